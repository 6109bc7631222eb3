# class: resources
# task: S
# tests: 1
# expect: OUTPUT_LIMIT|TIMEOUT
# tries: to make reading dear by one packet a byte
import os

fcntl_o_direct = 0o40000
import fcntl

fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL) | fcntl_o_direct)
while True:
    os.write(1, b"x")
