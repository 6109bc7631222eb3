# class: resources
# task: S
# tests: 1
# expect: MEMORY|RUNTIME_ERROR|TIMEOUT
# tries: to take more memory than there is, again and again, catching every refusal
kept = []
for size in (2**29, 2**28, 2**27, 2**26, 2**24, 2**20):
    while True:
        try:
            kept.append(bytearray(size))
        except MemoryError:
            break
raise MemoryError
