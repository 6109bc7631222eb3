# class: resources
# task: S
# tests: 1
# expect: MEMORY
# tries: to take 8 GiB
data = bytearray(8 * 2**30)
print(42)
