"""Fixtures of the fault tests."""

import pytest

from tests.reliability.lab import Lab, make_lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Small sweeps that start from one supervised checkpoint."""
    return make_lab(tmp_path_factory.mktemp("lab"))
