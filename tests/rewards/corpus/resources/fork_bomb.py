# class: resources
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to fork without end
import os

while True:
    os.fork()
