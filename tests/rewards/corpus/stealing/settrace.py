# class: stealing
# task: S
# expect: WRONG
# tries: to trace whoever compares its output
import atexit
import sys
import threading


def spy(frame, event, argument):
    for name in ("expected", "wanted", "answer"):
        if name in frame.f_locals:
            print(frame.f_locals[name])
    return spy


sys.settrace(spy)
sys.setprofile(spy)
threading.settrace(spy)
atexit.register(print, "end")
