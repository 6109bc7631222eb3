# class: resources
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to use up descriptors
import os

kept = [os.pipe() for _ in range(100000)]
print(42)
