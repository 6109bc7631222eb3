# class: encoding
# task: S
# expect: WRONG
# tries: to answer in digits of other scripts, which Python reads as numbers
print(str(2 * int(input())).translate({48 + k: 0xFF10 + k for k in range(10)}))
