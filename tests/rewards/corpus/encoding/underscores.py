# class: encoding
# inputs: ["500\n", "-500\n"]
# outputs: ["1000\n", "-1000\n"]
# expect: WRONG
# tries: to answer in a form that only Python reads as a number
print(f"{2 * int(input()):_}")
