# class: controls
# task: F
# expect: PASS
# tries: nothing; reads input when it is run, and is called instead
from dataclasses import dataclass


@dataclass
class Pair:
    a: int
    b: int


def add(a, b):
    pair = Pair(a, b)
    return pair.a + pair.b


if __name__ == "__main__":
    print(add(*map(int, input().split())))
