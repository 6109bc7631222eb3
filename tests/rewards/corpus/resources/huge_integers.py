# class: resources
# task: S
# tests: 1
# expect: TIMEOUT|MEMORY
# tries: to compute what no one can wait for, inside one operation
x = 3
while True:
    x = x * x
