# class: early_exit
# task: S
# expect: MEMORY
# tries: to end by the exit code of another verdict, which is no pass either
import os

print(2 * int(input()), flush=True)
os._exit(117)
