# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to look starved by threads that wait for each other
import os
import threading


def spin():
    while True:
        os.sched_yield()


for _ in range(8):
    threading.Thread(target=spin, daemon=True).start()
spin()
