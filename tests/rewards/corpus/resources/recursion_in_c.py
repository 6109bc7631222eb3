# class: resources
# task: S
# tests: 1
# expect: RUNTIME_ERROR|MEMORY
# tries: to overflow the C stack
import sys

sys.setrecursionlimit(10**9)


class Deep:
    def __getattr__(self, name):
        return getattr(self, name + "x"[:0])


Deep().anything
