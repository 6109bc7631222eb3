# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to drown its judge in error output
import os

while True:
    os.write(2, b"x" * 65536)
