# class: early_exit
# task: S
# expect: WRONG
# tries: to pass by an exit code of 0
import os

os._exit(0)
