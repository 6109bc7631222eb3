r"""What counts as the same mathematics, the limits of looking at an answer, and the identity of the scorer.

The policy, all of it (``POLICY_VERSION`` changes with every line here, and goes into each run's records):

    what is judged   the last \boxed{...} (balanced braces) after the last </think>; of nested boxes the innermost last
    numbers          decimals are the numbers they write, in references too: 0.5 = 1/2, but 0.3333333 is not 1/3 and
                     1.41421356 is not \sqrt2.  0.\overline{3} is 1/3.  2\frac12 and 2 1/2 are 5/2.  1.5e3 is 1500
    separators       12,345 and 12\,345 and 12{,}345 and 12 345 are one number outside brackets; inside them a plain
                     comma separates items, and so it does where a group has not three digits
    percent          p\% is right where the reference is p or p/100, and the other way round
    units            a unit, currency, degree sign or base at the end is compared by name when both sides have one, and
                     ignored when one side has none.  Nothing is converted: 5 cm is not 5 m, nor 0.05 m
    counting words   2\text{ million} is 2000000; also hundred, thousand, billion, trillion
    names            "x = 7" is right for 7, as is "f(x) = ..." or "\text{Area} = ..."; when both sides have a name, the
                     names must agree.  "1 = 5" and "3 + 4 = 7" are equations, not answers
    order            (a,b), [a,b], [a,b) are ordered and keep their brackets; \{a,b\}, "a,b" and "a and b" are sets.  A
                     list without brackets is right for a bracketed reference when it has its order
    ratios           a:b is the number a/b
    infinity         an expression that holds an infinity is right for the same infinity only
    \pm              a \pm b is the set of both
    restatements     an answer that still holds an integral, sum, product, limit or derivative, which the reference does
                     not hold, is wrong, whatever its value.  Fractions, powers, roots, logarithms, trigonometric
                     functions, factorials and binomials of numbers are values
    letters          case counts, i is the imaginary unit, e is Euler's number, \log is to base 10, \ln to base e
    equations        are compared by their solutions, in the same unknowns; an inequality may be given as its set
    words            \text{...} and words of four letters or more are compared as text, whatever their case; one letter
                     in parentheses or \text is that letter
    references       one that cannot be read is an error of the grading, not of the answer
"""

from dataclasses import dataclass
from importlib import metadata

from klear_core.errors import ConfigError

POLICY_VERSION = "1"
_DEPENDENCIES = ("math-verify", "latex2sympy2-extended", "sympy", "antlr4-python3-runtime")


@dataclass(frozen=True, slots=True, kw_only=True)
class MathPolicy:
    """Limits of looking at one answer. What passes the first five is UNPARSABLE, what passes the others TIMEOUT."""

    max_answer_chars: int
    max_nesting: int  # depth of brackets of any kind
    max_exponent_digits: int  # digits of a number in an exponent
    max_power_tower: int  # powers upon each other: 2 in 9^{9^9}
    max_value_digits: int  # digits of the value of a power or factorial, estimated before it is computed
    cpu_limit_s: float  # CPU seconds that a worker gives an answer
    deadline_s: float  # wall seconds after which a worker that has not answered is killed
    memory_limit_mib: int  # address space of a worker, interpreter and libraries included
    cache_entries: int  # judgements that are remembered

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ConfigError(f"math policy: {name} is {getattr(self, name)!r}; allowed: numbers above 0")
        if self.deadline_s <= self.cpu_limit_s:
            raise ConfigError(f"math policy: deadline_s is {self.deadline_s}; allowed: above cpu_limit_s")


STANDARD_POLICY = MathPolicy(
    max_answer_chars=400,
    max_nesting=50,
    max_exponent_digits=6,
    max_power_tower=3,
    max_value_digits=10_000,
    cpu_limit_s=0.8,
    deadline_s=6.0,
    memory_limit_mib=1024,
    cache_entries=65_536,
)


def scorer_identity() -> dict[str, str]:
    """Policy version and the versions of every package that a verdict depends on; "not installed" for a missing one."""
    return {"math-policy": POLICY_VERSION, **{package: _version(package) for package in _DEPENDENCIES}}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
