# class: controls
# task: S
# expect: PASS
# tries: nothing; reads standard input by the name of its device
with open("/dev/stdin") as file:
    print(2 * int(file.read()))
