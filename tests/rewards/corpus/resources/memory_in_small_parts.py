# class: resources
# task: S
# tests: 1
# expect: MEMORY|TIMEOUT
# tries: to take more and more, slowly
parts = [[]]
while True:
    parts.append([parts[-1]] * 1000)
