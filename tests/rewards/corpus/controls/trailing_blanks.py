# class: controls
# task: S
# expect: PASS
# tries: nothing; prints trailing blanks and empty lines
print(2 * int(input()), "  \t")
print()
print(" ")
