# class: resources
# task: F
# expect: TIMEOUT
# tries: to never end in a call
def add(a, b):
    while True:
        a += b
