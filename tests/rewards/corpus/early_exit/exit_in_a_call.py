# class: early_exit
# task: F
# expect: RUNTIME_ERROR
# tries: to pass by ending the process inside the call
import os


def add(a, b):
    os._exit(0)
