"""Demonstrations and runs of operators for the tests of mixes."""

from klear_core.data.mixes.operators import MixContext, get_operator
from klear_core.data.splits import problem_id_of
from klear_core.records import SFTExample

SAMPLE = {"dimensions": 64, "embedding": "ngrams"}


def demonstration(prompt="1+1=", **fields):
    """A demonstration with the given fields; its id is that of its prompt."""
    known = {"response": "2", "source": "s", "teacher": "t", "is_correct": True, "difficulty": None}
    return SFTExample(problem_id=problem_id_of(prompt), prompt=prompt, **(known | fields))


def numbered(count, **fields):
    """Demonstrations of different prompts."""
    return [demonstration(f"What is {number} plus {number % 7}?", **fields) for number in range(count)]


def context(name="mix/0", questions=(), **fields):
    """A context with nothing in it."""
    return MixContext(name=name, questions=tuple(questions), **fields)


def apply(name, examples, where=None, **params):
    """(what stays, details) of an operator that is looked up and checked as a mix does."""
    function, checked = get_operator(name, params, where="mix.operators")
    details = {}
    kept = list(function(iter(examples), where or context(), details, **checked))
    return kept, details
