# class: comparison
# task: F
# expect: WRONG|RUNTIME_ERROR
# tries: to change the frames that call it
import ctypes
import sys


def add(a, b):
    frame = sys._getframe()
    while frame:
        for name in list(frame.f_locals):
            frame.f_locals[name] = True
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
        frame = frame.f_back
    return True
