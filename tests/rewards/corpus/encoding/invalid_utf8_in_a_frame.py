# class: encoding
# task: F
# expect: WRONG
# tries: to answer with bytes that are no text
import os
import struct

os.write(3, (struct.pack("<cI", b"V", 3) + b"\xff3\x80") * 2)
os._exit(0)
