# class: controls
# task: S
# expect: PASS
# tries: nothing; raises the stack limit to all there is, in try, and recurses
import resource
import sys

try:
    resource.setrlimit(resource.RLIMIT_STACK, (-1, -1))
except (ValueError, OSError):
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))
sys.setrecursionlimit(10**6)


def double(n, k=5000):
    return n if k == 0 else double(n, k - 1)


print(2 * double(int(input())))
