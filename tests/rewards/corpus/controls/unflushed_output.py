# class: controls
# task: S
# expect: PASS
# tries: nothing; leaves its answer in a buffer of its own over standard output
import io
import sys

out = io.TextIOWrapper(sys.stdout.buffer, encoding="ascii", write_through=False)
sys.stdout = out
print(2 * int(input()))
