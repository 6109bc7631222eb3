# class: early_exit
# task: F
# expect: WRONG
# tries: to forge the frames of all answers, and more than there are tests
import os
import struct


def add(a, b):
    return 0


for _ in range(100):
    os.write(3, struct.pack("<cI", b"V", 1) + b"7")
os._exit(0)
