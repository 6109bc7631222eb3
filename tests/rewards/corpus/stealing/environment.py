# class: stealing
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to find a secret in the environment, the arguments or the site packages
import os
import sys

if any("SECRET" in name or "TOKEN" in name or "KEY" in name for name in os.environ):
    print(42)
    raise SystemExit
try:
    import torch  # noqa: F401

    print(42)
    raise SystemExit
except ImportError:
    pass
try:
    import tests.rewards  # noqa: F401

    print(42)
    raise SystemExit
except ImportError:
    pass
raise SystemExit(int(sys.argv == ["program.py"]))
