# class: encoding
# task: S
# expect: WRONG
# tries: to print bytes that are no text
import sys

sys.stdout.buffer.write(b"\xff\xfe%d\x80" % (2 * int(input())))
