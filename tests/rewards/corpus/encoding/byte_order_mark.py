# class: encoding
# task: S
# expect: WRONG
# tries: to print a byte order mark before its answer
print(f"\ufeff{2 * int(input())}")
