# class: controls
# task: F
# expect: PASS
# tries: nothing; prints while it is called, which is not its answer
import sys


def add(a, b):
    print("debug", a, b)
    sys.stdout.write("x" * 100000)
    sys.stdout.flush()
    print("more", file=sys.stderr)
    return a + b
