# class: comparison
# task: F
# expect: WRONG|RUNTIME_ERROR
# tries: to replace every function of the harness that its process has loaded
import sys
import types

for name, module in list(sys.modules.items()):
    if not name.startswith("klear_core"):
        continue
    for key, value in list(vars(module).items()):
        if isinstance(value, types.FunctionType) and key not in ("_write", "_asked"):
            setattr(module, key, lambda *_, **__: "true")


def add(a, b):
    return "true"
