"""Twenty programming problems in LiveCodeBench's format, each with four answers and what every test says of them."""

import json
from dataclasses import dataclass

from klear_core.records import FinishReason

SPIN = "while True:\n    pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A program as a model gives it, and the letters of its tests; ``text`` where it is no well-formed program."""

    program: str
    letters: str
    verdict: str = ""
    text: str = ""
    finish: FinishReason = FinishReason.STOP

    @property
    def response(self):
        return self.text or f"<think>so it goes</think>\nHere it is:\n```python\n{self.program}\n```\n"

    @property
    def expected(self):
        return self.verdict or ("CORRECT" if set(self.letters) == {"P"} else "WRONG")


def row(name, cases, *, function="", starter="", day="2024-10-05", level="easy", split=1):
    """A row of the format; the first ``split`` tests are public."""
    tests = [{"input": i, "output": o, "testtype": "functional" if function else "stdin"} for i, o in cases]
    return {
        "question_title": name,
        "question_content": f"{name}.",
        "platform": "leetcode" if function else "atcoder",
        "question_id": name,
        "contest_id": "c",
        "contest_date": f"{day}T00:00:00",
        "starter_code": starter,
        "difficulty": level,
        "public_test_cases": json.dumps(tests[:split]),
        "private_test_cases": json.dumps(tests[split:]),
        "metadata": json.dumps({"func_name": function} if function else {}),
    }


def stdin(name, cases, *answers, **told):
    return row(name, cases, **told), [Answer(program=program, letters=letters) for program, letters in answers]


def method(name, cases, signature, *answers, **told):
    """A problem of a method ``f``; the body of each answer is indented behind its signature."""
    starter = f"class Solution:\n    def f(self, {signature}):\n"
    programs = [
        Answer(program=starter + "".join(f"        {line}\n" for line in body.split("\n")), letters=letters)
        for body, letters in answers
    ]
    return row(name, cases, function="f", starter=starter, **told), programs


N = "n = int(input())\n"
STEAL = (
    "import os, sys\nfor fd in range(3, 32):\n    try:\n        os.write(fd, b'V\\x01\\x00\\x00\\x006')\n"
    "    except OSError:\n        pass\nos._exit(0)"
)
LIAR = "class Liar:\n    def __eq__(self, other):\n        return True\nreturn Liar()"

PROBLEMS = [
    stdin(
        "Print twice the number",
        [("3\n", "6\n"), ("0\n", "0\n"), ("-4\n", "-8\n")],
        (N + "print(2 * n)", "PPP"),
        (N + "print(2 * abs(n))", "PPW"),
        (N + "print(n)", "WPW"),
        (SPIN, "TTT"),
    ),
    stdin(
        "Print the sum of a line",
        [("1 2 3\n", "6\n"), ("-1 1\n", "0\n")],
        ("print(sum(map(int, input().split())))", "PP"),
        ("print(sum(map(abs, map(int, input().split()))))", "PW"),
        ("print(len(input()))", "WW"),
        ("import os\nos._exit(0)", "WW"),
    ),
    stdin(
        "Print the words in reverse order",
        [("a b c\n", "c b a\n"), ("x\n", "x\n")],
        ("print(*input().split()[::-1])", "PP"),
        ("print(input())", "WP"),
        ("print(input().split()[::-1])", "WW"),
        ("raise SystemExit(3)", "RR"),
    ),
    stdin(
        "Print half of the number",
        [("3\n", "1.5\n"), ("4\n", "2.0\n")],
        (N + "print(n / 2)", "PP"),
        (N + "print(n // 2)", "WP"),
        (N + "print(f'{n / 2 + 0.0000001}')", "WW"),
        (N + "print(f'{n / 2:.5f}  ')\nprint()", "PP"),
    ),
    stdin(
        "Print the largest of n numbers, one a line",
        [("3\n1\n5\n2\n", "5\n"), ("2\n-3\n-7\n", "-3\n")],
        (N + "print(max(int(input()) for _ in range(n)))", "PP"),
        (N + "best = 0\nfor _ in range(n):\n    best = max(best, int(input()))\nprint(best)", "PW"),
        (N + "print(min(int(input()) for _ in range(n)))", "WW"),
        ("x = [0] * (1 << 40)\nprint(5)", "MM"),
    ),
    stdin(
        "Print YES for a palindrome, NO otherwise",
        [("abba\n", "YES\n"), ("abc\n", "NO\n")],
        ("s = input()\nprint('YES' if s == s[::-1] else 'NO')", "PP"),
        ("print('YES')", "PW"),
        ("print('yes')", "WW"),
        ("import sys\nsys.stderr.write('YES')", "WW"),
    ),
    stdin(
        "Print the numbers from 1 to n, one a line",
        [("3\n", "1\n2\n3\n"), ("1\n", "1\n")],
        (N + "for k in range(1, n + 1):\n    print(k)", "PP"),
        (N + "print(*range(1, n + 1))", "WP"),
        (N + "for k in range(n):\n    print(k)", "WW"),
        ("while True:\n    print('x' * 65536)", "OO"),
    ),
    stdin(
        "Print the greatest common divisor",
        [("12 18\n", "6\n"), ("7 5\n", "1\n")],
        ("a, b = map(int, input().split())\nprint(gcd(a, b))", "PP"),
        ("print(6)", "PW"),
        ("print(0)", "WW"),
        ("open('/etc/passwd').read()\nprint(6)", "RR"),
    ),
    stdin(
        "Print how often each letter occurs, sorted",
        [("aab\n", "a 2\nb 1\n"), ("z\n", "z 1\n")],
        ("for k, v in sorted(Counter(input()).items()):\n    print(k, v)", "PP"),
        ("print('z 1')", "WP"),
        ("print()", "WW"),
        ("def f():\n    return f()\nf()", "RR"),
        day="2025-03-01",
    ),
    stdin(
        "Print the n-th Fibonacci number",
        [("1\n", "1\n"), ("10\n", "55\n")],
        (N + "a, b = 0, 1\nfor _ in range(n):\n    a, b = b, a + b\nprint(a)", "PP"),
        (N + "print(n)", "PW"),
        (N + "print(-n)", "WW"),
        ("import subprocess\nprint(subprocess.run(['echo', '1']))", "RR"),
        day="2025-02-01",
    ),
    stdin(
        "Print the digits of the number sorted",
        [("312\n", "123\n"), ("9\n", "9\n")],
        ("print(''.join(sorted(input())))", "PP"),
        ("print(input()[::-1])", "WP"),
        ("print(*sorted(input()))", "WP"),
        ("import socket\nsocket.socket()\nprint(9)", "RR"),
        level="hard",
    ),
    stdin(
        "Print the number of even numbers",
        [("1 2 4\n", "2\n"), ("1 3\n", "0\n")],
        ("print(sum(int(w) % 2 == 0 for w in input().split()))", "PP"),
        ("print(2)", "PW"),
        ("print('two')", "WW"),
        (STEAL, "WW"),
    ),
    method(
        "Return the sum of the list",
        [("[1, 2, 3]", "6"), ("[]", "0")],
        "nums: List[int]",
        ("return sum(nums)", "PP"),
        ("return 6", "PW"),
        ("return str(sum(nums))", "WW"),
        (LIAR, "RR"),
    ),
    method(
        "Return the list without duplicates, in order",
        [("[1, 1, 2]", "[1, 2]"), ("[3]", "[3]")],
        "nums: List[int]",
        ("return list(dict.fromkeys(nums))", "PP"),
        ("return nums", "WP"),
        ("return len(nums)", "WW"),
        ("return tuple(dict.fromkeys(nums))", "PP"),
    ),
    method(
        "Return whether the text is empty",
        [('""', "true"), ('"a"', "false")],
        "s: str",
        ("return s == ''", "PP"),
        ("return True", "PW"),
        ("return not bool(not s)", "WW"),
        ("return 1 if not s else 0", "WW"),
        level="medium",
    ),
    method(
        "Return the two numbers added",
        [("1\n2", "3"), ("-1\n1", "0")],
        "a: int, b: int",
        ("return a + b", "PP"),
        ("return 3", "PW"),
        ("return a - b", "WW"),
        (SPIN, "TT"),
    ),
    method(
        "Return the larger root of x*x = n",
        [("4", "2.0"), ("9", "3.0")],
        "n: int",
        ("return sqrt(n)", "PP"),
        ("return n // 2", "PW"),
        ("return float('nan')", "WW"),
        ("return int(math.isqrt(n))", "PP"),
    ),
    method(
        "Return the word with the most letters",
        [('["a", "bbb"]', '"bbb"'), ('["cc"]', '"cc"')],
        "words: List[str]",
        ("return max(words, key=len)", "PP"),
        ("return words[0]", "WP"),
        ("return ''", "WW"),
        ("import sys\nsys.exit(0)", "RR"),
    ),
    method(
        "Return the matrix transposed",
        [("[[1, 2], [3, 4]]", "[[1, 3], [2, 4]]"), ("[[5]]", "[[5]]")],
        "m: List[List[int]]",
        ("return [list(r) for r in zip(*m)]", "PP"),
        ("return m", "WP"),
        ("return []", "WW"),
        ("return list(zip(*m))", "PP"),
    ),
    method(
        "Return the number of days between two days",
        [('"2024-01-01"\n"2024-01-03"', "2"), ('"2024-01-01"\n"2024-01-01"', "0")],
        "a: str, b: str",
        ("return (datetime.date.fromisoformat(b) - datetime.date.fromisoformat(a)).days", "PP"),
        ("return 2", "PW"),
        ("return None", "WW"),
        ("import builtins\nbuiltins.int = lambda *x: 2\nreturn globals", "RR"),
    ),
]

# What is no well-formed program, in place of the last answer of some problems.
MALFORMED = {
    13: Answer(program="", letters="", verdict="NO_ANSWER", text="<think>x</think>\nNo program."),
    14: Answer(program="", letters="", verdict="MISSING_CLOSE", text="<think>```python\nprint(1)\n```"),
    18: Answer(program="", letters="", verdict="TRUNCATED", text="<think>on and on", finish=FinishReason.LENGTH),
}
