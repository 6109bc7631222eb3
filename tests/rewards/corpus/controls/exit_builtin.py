# class: controls
# task: S
# expect: PASS
# tries: nothing; ends by exit(), which the site module defines
import builtins

n = int(input())
print(2 * n)
assert callable(quit) and callable(builtins.exit)
exit(0)
print("not reached")
