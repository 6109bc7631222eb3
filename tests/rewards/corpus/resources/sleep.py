# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to sleep forever
import time

while True:
    time.sleep(1000)
