# class: resources
# task: S
# tests: 1
# expect: MEMORY|TIMEOUT
# tries: to take more and more
parts = []
while True:
    parts.append(bytearray(16 * 2**20))
