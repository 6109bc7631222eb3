# class: controls
# task: S
# expect: PASS
# tries: nothing; writes through the buffer API, without a newline at the end
import sys

n = int(sys.stdin.buffer.readline())
sys.stdout.buffer.write(str(2 * n).encode())
