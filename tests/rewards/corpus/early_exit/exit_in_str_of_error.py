# class: early_exit
# task: S
# expect: WRONG|RUNTIME_ERROR
# tries: to end with 0 while its exception is told
import os


class Quiet(Exception):
    def __str__(self):
        os._exit(0)


raise Quiet
