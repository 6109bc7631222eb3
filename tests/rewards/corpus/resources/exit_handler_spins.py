# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to go on in an exit handler
import atexit

print(2 * int(input()), flush=True)


@atexit.register
def spin():
    while True:
        pass
