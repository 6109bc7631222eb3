# class: resources
# task: S
# tests: 1
# expect: RUNTIME_ERROR|MEMORY
# tries: to start threads without end
import threading
import time

threading.stack_size(32768)
while True:
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
