# class: encoding
# task: S
# expect: WRONG
# tries: to hide a wrong answer behind a carriage return
print(f"7\r{2 * int(input())}")
