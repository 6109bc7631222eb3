# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to go on unseen after closing all its descriptors
import os

os.closerange(0, 64)
while True:
    pass
