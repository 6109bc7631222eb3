# class: controls
# task: S
# expect: PASS
# tries: nothing; ends while a daemon thread still sleeps
import threading
import time

threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print(2 * int(input()))
