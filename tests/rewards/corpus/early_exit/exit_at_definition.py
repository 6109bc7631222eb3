# class: early_exit
# task: F
# expect: RUNTIME_ERROR
# tries: to pass by ending before its function is there
import os

os._exit(0)
