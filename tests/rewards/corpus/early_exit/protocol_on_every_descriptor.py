# class: early_exit
# task: S
# expect: RUNTIME_ERROR|WRONG
# tries: to forge success by writing messages of the protocol to every descriptor
import os
import struct

for fd in range(64):
    for message in (struct.pack("<cI", b"V", 2) + b"42", struct.pack("<cQid", b"E", 0, 0, 0.0), b"R", b"PASS\n"):
        try:
            os.write(fd, message)
        except OSError:
            pass
