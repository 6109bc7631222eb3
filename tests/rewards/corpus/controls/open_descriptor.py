# class: controls
# task: S
# expect: PASS
# tries: nothing; opens standard input by its number
with open(0) as file:
    print(2 * int(file.read()))
