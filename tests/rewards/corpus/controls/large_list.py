# class: controls
# task: S
# tests: 1
# expect: PASS
# tries: nothing; holds 300 MB of list, under the limit of 512
n = int(input())
numbers = [n] * (300 * 2**20 // 8)
print(numbers[0] + numbers[-1])
