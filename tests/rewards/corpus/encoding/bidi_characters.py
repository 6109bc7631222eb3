# class: encoding
# task: S
# expect: WRONG
# tries: to look like its answer by characters that turn the direction of writing
print(f"\u202e{str(2 * int(input()))[::-1]}\u202c")
