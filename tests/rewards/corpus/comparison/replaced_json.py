# class: comparison
# task: F
# expect: WRONG|RUNTIME_ERROR
# tries: to replace the module that it thinks the judge uses
import json
import sys
import types

fake = types.ModuleType("json")
fake.dumps = lambda *_, **__: "true"
fake.loads = lambda *_, **__: []
sys.modules["json"] = fake
json.dumps = fake.dumps
json.JSONEncoder.encode = lambda *_: "true"


def add(a, b):
    return 10**6
