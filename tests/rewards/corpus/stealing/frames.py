# class: stealing
# task: S
# expect: RUNTIME_ERROR
# tries: to find the expected output in the frames that run it
import sys

frame = sys._getframe()
while frame:
    for name, value in {**frame.f_globals, **frame.f_locals}.items():
        if name in ("expected", "outputs", "answer", "tests", "solutions", "verdicts"):
            print(value)
            raise SystemExit
    frame = frame.f_back
raise SystemExit(1)
