# class: host
# task: S
# expect: PASS
# tries: to find a thread that the filter does not bind
import os
import threading

escaped = []


def attempt():
    for way in (os.fork, lambda: open("/etc/passwd").read(), lambda: os.kill(__TRAINER__, 0)):
        try:
            way()
        except OSError:
            continue
        escaped.append(way)


threads = [threading.Thread(target=attempt) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(escaped or 2 * int(input()))
