# class: controls
# task: S
# expect: PASS
# tries: nothing; looks at its own name, as logging does
import os
import sys

assert os.path.basename(__file__) == sys.argv[0] == "program.py"
assert __name__ == "__main__" and sys.modules["__main__"].__dict__ is globals()
print(2 * int(input()))
