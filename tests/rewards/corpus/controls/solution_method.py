# class: controls
# task: F
# expect: PASS
# tries: nothing; answers as a method of class Solution
from typing import List


class Solution:
    def __init__(self):
        self.seen: List[int] = []

    def add(self, a: int, b: int) -> int:
        self.seen.append(a)
        return a + b
