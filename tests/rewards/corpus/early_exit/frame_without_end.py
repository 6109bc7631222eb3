# class: early_exit
# task: F
# expect: OUTPUT_LIMIT
# tries: to make the judge wait for a frame of 4 GiB
import os
import struct

os.write(3, struct.pack("<cI", b"V", 2**32 - 1))
while True:
    os.write(3, b" " * 65536)
