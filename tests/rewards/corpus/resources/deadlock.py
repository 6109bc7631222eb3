# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to wait for a lock that nobody releases
import threading

lock = threading.Lock()
lock.acquire()
lock.acquire()
