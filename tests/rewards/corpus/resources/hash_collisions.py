# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to make a dictionary slow by keys of one hash
step = 2**61 - 1
found = {k * step: k for k in range(200000)}
print(42)
