# class: stealing
# task: F
# expect: RUNTIME_ERROR
# tries: to find the expected value in the frames that call it
import sys


def add(a, b):
    frame = sys._getframe()
    while frame:
        for name, value in {**frame.f_globals, **frame.f_locals}.items():
            if name in ("expected", "outputs", "answer", "tests", "solutions", "verdicts"):
                return value
        frame = frame.f_back
    raise LookupError
