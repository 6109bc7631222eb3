# class: controls
# task: S
# expect: PASS
# tries: nothing; recurses through the C stack, by a cache
import functools
import sys

sys.setrecursionlimit(10**6)


@functools.lru_cache(maxsize=None)
def total(k):
    return k and 1 + total(k - 1)


assert total(15000) == 15000
print(2 * int(input()))
