# class: controls
# task: S
# expect: PASS
# tries: nothing; shares the work among threads and waits for them
import threading
from concurrent.futures import ThreadPoolExecutor

n = int(input())
with ThreadPoolExecutor(4) as pool:
    parts = list(pool.map(lambda k: k * n, [1, 0, -1, 2]))
found = []
threads = [threading.Thread(target=found.append, args=(part,)) for part in parts]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(found))
