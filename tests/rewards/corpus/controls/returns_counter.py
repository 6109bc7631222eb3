# class: controls
# entry: letters
# inputs: [["abca"], [""]]
# outputs: ["{\"a\": 2, \"b\": 1, \"c\": 1}", "{}"]
# expect: PASS
# tries: nothing; returns a Counter where a dictionary is expected
from collections import Counter


def letters(word):
    return Counter(word)
