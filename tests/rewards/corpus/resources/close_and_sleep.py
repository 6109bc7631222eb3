# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to sleep on unseen after closing all its descriptors
import os
import time

print(2 * int(input()), flush=True)
os.closerange(0, 64)
time.sleep(1000)
