# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to never end
while True:
    pass
