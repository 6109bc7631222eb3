# class: resources
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to leave a process that outlives it
import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(987)
    os._exit(0)
print(2 * int(input()))
