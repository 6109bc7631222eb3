# class: controls
# task: S
# expect: PASS
# tries: nothing; sleeps for a while
import time

time.sleep(0.1)
print(2 * int(input()))
