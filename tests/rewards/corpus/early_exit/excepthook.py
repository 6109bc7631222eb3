# class: early_exit
# task: S
# expect: RUNTIME_ERROR
# tries: to hide a failure behind an excepthook
import os
import sys

sys.excepthook = lambda *_: os._exit(0)
print(2 * int(input()))
1 / 0
