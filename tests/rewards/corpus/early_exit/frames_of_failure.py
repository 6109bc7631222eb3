# class: early_exit
# task: F
# expect: RUNTIME_ERROR
# tries: to confuse the judge with frames of unknown kinds and lengths
import os
import struct

os.write(3, struct.pack("<cI", b"P", 0) + struct.pack("<cI", b"\xff", 3) + b"abc" + b"V\xff\xff\xff\xff")
os._exit(0)
