# class: controls
# task: S
# expect: PASS
# tries: nothing; recurses deeply in a thread with a big stack, as competitive programs do
import sys
import threading

sys.setrecursionlimit(10**6)
threading.stack_size(64 * 2**20)


def depth(k):
    return 0 if k == 0 else 1 + depth(k - 1)


def main():
    n = int(input())
    assert depth(20000) == 20000
    print(2 * n)


thread = threading.Thread(target=main)
thread.start()
thread.join()
