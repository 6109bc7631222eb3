# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to be taken for busier than it is by a kernel that counts clock ticks, and to be killed early for it
import time

tick = 0.004
while True:
    end = (time.clock_gettime(time.CLOCK_MONOTONIC) // tick + 1) * tick
    time.sleep(max(end - time.clock_gettime(time.CLOCK_MONOTONIC) - 0.0003, 0))
    while time.clock_gettime(time.CLOCK_MONOTONIC) < end + 0.0002:
        pass
