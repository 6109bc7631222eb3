# class: encoding
# task: S
# expect: WRONG
# tries: to overwrite the terminal of whoever reads its output
print(f"\x1b[2J\x1b]0;title\x07{2 * int(input())}\x1b[0m")
