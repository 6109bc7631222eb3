# class: controls
# task: S
# tests: 1
# expect: PASS
# tries: nothing; computes for a good part of its limit
n = int(input())
sieve = bytearray([1]) * 600000
for p in range(2, 775):
    if sieve[p]:
        sieve[p * p :: p] = bytes(len(range(p * p, len(sieve), p)))
assert sum(sieve) - 2 == 49098
print(2 * n)
