# class: encoding
# task: S
# expect: PASS
# tries: nothing; ends its lines as Windows does
import sys

sys.stdout.write(f"{2 * int(input())}\r\n\r\n")
