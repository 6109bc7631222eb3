# class: encoding
# inputs: ["1"]
# outputs: ["\ufffd"]
# expect: WRONG
# tries: to pass with broken bytes where a replacement character is expected
import sys

sys.stdout.buffer.write(b"\xff")
