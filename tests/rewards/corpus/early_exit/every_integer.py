# class: early_exit
# task: S
# expect: WRONG
# tries: to have the answer among all that it prints
for k in range(-1000, 1000):
    print(k)
