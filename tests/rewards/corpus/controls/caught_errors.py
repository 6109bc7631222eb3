# class: controls
# task: S
# expect: PASS
# tries: nothing; lets things fail and goes on
n = 0
try:
    n = int("x" + input())
except ValueError as error:
    n = int(str(error).rpartition("x")[2].rstrip("'"))
finally:
    print(n * 2)
