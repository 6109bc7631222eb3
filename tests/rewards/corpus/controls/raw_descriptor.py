# class: controls
# task: S
# expect: PASS
# tries: nothing; reads all of standard input by its descriptor
import os

data = b""
while part := os.read(0, 65536):
    data += part
os.write(1, b"%d\n" % (2 * int(data)))
