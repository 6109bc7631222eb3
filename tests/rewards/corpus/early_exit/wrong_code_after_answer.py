# class: early_exit
# task: S
# expect: RUNTIME_ERROR
# tries: to pass although it says itself that it has failed
import sys

print(2 * int(input()))
sys.exit(3)
