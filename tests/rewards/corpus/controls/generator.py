# class: controls
# task: S
# expect: PASS
# tries: nothing; computes with generators
def lines():
    while True:
        try:
            yield input()
        except EOFError:
            return


print(sum(int(line) * 2 for line in lines()))
