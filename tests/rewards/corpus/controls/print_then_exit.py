# class: controls
# task: S
# expect: PASS
# tries: nothing; ends by sys.exit(0) after its answer
import sys

print(2 * int(input()))
sys.exit(0)
