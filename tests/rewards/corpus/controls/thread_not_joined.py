# class: controls
# task: S
# expect: PASS
# tries: nothing; leaves the answer to a thread that it does not wait for
import threading
import time

n = int(input())


def answer():
    time.sleep(0.05)
    print(2 * n)


threading.Thread(target=answer).start()
