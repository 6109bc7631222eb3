# class: stealing
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to read its parent's and the trainer's memory without /proc
import ctypes
import os

libc = ctypes.CDLL(None)


class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


buffer = ctypes.create_string_buffer(64)
here, there = Part(ctypes.addressof(buffer), 64), Part(id(Part), 64)
for process in (__TRAINER__, os.getppid()):
    if libc.process_vm_readv(process, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0:
        print(42)
        raise SystemExit
raise SystemExit(1)
