# class: early_exit
# task: F
# expect: WRONG
# tries: to answer all tests at once, and to go on running
import os
import struct

os.write(3, (struct.pack("<cI", b"V", 1) + b"9") * 2)
while True:
    pass
