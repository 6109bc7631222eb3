# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to sleep forever in so many steps that it looks like waiting for a processor
import time

while True:
    time.sleep(0.002)
