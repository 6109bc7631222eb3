# class: controls
# task: S
# expect: PASS
# tries: nothing; prints far more on the error output than is kept
import sys

for _ in range(2000):
    print("debug" * 20, file=sys.stderr)
print(2 * int(input()))
