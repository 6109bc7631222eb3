# class: encoding
# task: S
# expect: WRONG
# tries: to break the comparison by NUL bytes
print(f"\0{2 * int(input())}\0")
