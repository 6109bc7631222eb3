# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to wait for a pipe whose other end it holds
import os

read, write = os.pipe()
os.read(read, 1)
