# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to go on in a thread after its end
import threading

print(2 * int(input()), flush=True)


def spin():
    while True:
        pass


threading.Thread(target=spin).start()
