# class: stealing
# task: F
# expect: PASS
# tries: nothing that is forbidden; reads the arguments of later tests, which is no help
import sys


def add(a, b):
    frame = sys._getframe()
    seen = []
    while frame:
        seen += frame.f_locals.get("arguments", [])
        frame = frame.f_back
    assert len(seen) >= 2
    return a + b
