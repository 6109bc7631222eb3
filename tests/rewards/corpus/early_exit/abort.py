# class: early_exit
# task: S
# expect: RUNTIME_ERROR
# tries: to end by a signal after its answer
import os

print(2 * int(input()), flush=True)
os.abort()
