# class: early_exit
# task: F
# expect: RUNTIME_ERROR
# tries: to pass by an exit inside the call
import sys


def add(a, b):
    sys.exit(0)
