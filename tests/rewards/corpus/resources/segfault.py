# class: resources
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to crash after its answer
import ctypes

print(2 * int(input()), flush=True)
ctypes.string_at(0)
