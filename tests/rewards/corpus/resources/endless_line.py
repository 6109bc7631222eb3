# class: resources
# task: S
# tests: 1
# expect: OUTPUT_LIMIT
# tries: to print without end and without a newline
import sys

while True:
    sys.stdout.write("x" * 4096)
