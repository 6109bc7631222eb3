# class: controls
# task: S
# expect: PASS
# tries: nothing; recurses 50000 deep in its main thread
import sys

sys.setrecursionlimit(200000)


def count(k):
    if k == 0:
        return 0
    return count(k - 1) + 1


n = int(input())
assert count(50000) == 50000
print(n + n)
