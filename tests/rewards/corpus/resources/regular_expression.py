# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to backtrack forever inside one call, in which no handler of Python runs
import re

re.match(r"(a|aa)+$", "a" * 60 + "b")
