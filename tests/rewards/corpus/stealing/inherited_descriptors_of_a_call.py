# class: stealing
# task: F
# expect: RUNTIME_ERROR
# tries: to find a descriptor other than those of its streams and its results
import os


def add(a, b):
    for fd in range(4, 4096):
        try:
            os.fstat(fd)
        except OSError:
            continue
        return fd
    for fd in (0, 1, 3):
        try:
            if data := os.read(fd, 1 << 16):
                return data.decode()
        except OSError:
            continue
    raise LookupError
