# class: early_exit
# task: S
# expect: RUNTIME_ERROR
# tries: to hide a failure behind an exit handler that ends with 0
import atexit
import sys


@atexit.register
def hide():
    sys.exit(0)


print(2 * int(input()))
raise ValueError("failed after all")
