# class: controls
# task: S
# expect: PASS
# tries: nothing; computes with integers of thousands of digits and prints some of them on the error output
import sys

n = int(input())
power = pow(3, 8000)
print(power % 10**4000, file=sys.stderr)
print(power * 2 * n // power)
