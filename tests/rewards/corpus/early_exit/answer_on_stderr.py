# class: early_exit
# task: S
# expect: WRONG
# tries: to answer on the error output only
import sys

print(2 * int(input()), file=sys.stderr)
