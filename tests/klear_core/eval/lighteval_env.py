"""The adapter where lighteval is installed; a test file that asks for it elsewhere is skipped."""

import importlib
import warnings
from importlib.util import find_spec

import pytest

REASON = "lighteval is not installed: make env-lighteval"
needs_lighteval = pytest.mark.skipif(find_spec("lighteval") is None, reason=REASON)


def load(name):
    """A module that imports lighteval, whose warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("lighteval", reason=REASON)
        return importlib.import_module(name)
