# class: controls
# task: S
# expect: PASS
# tries: nothing; gives its answer in an exit handler
import atexit

n = int(input())
atexit.register(lambda: print(2 * n))
