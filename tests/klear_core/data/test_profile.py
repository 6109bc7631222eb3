"""A profile counts what a straightforward count finds, and holds numbers only."""

import dataclasses
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_core.data import profile as profiles
from klear_core.data.formats.fingerprint import fingerprint
from klear_core.data.profile import profile
from tests.klear_core.data.formats.samples import READ_TESTS, example, problem

_short = st.sampled_from(["", "a", "a b", "é é é", "x" * 40])
_examples = st.lists(
    st.builds(
        example,
        _short,
        _short,
        source=_short,
        teacher=_short,
        is_correct=st.sampled_from([True, False, None]),
        difficulty=st.none() | st.integers(0, 3),
        system=_short,
    ),
    min_size=1,
    max_size=12,
)


def _profile(*records, **against):
    return profile(records, against=against)


@settings(max_examples=80)
@given(records=_examples)
def test_everything_is_what_a_straightforward_count_says(records):
    found = profile(iter(records), against={})
    assert found.fingerprint == fingerprint(records)
    assert found.sources.rows == Counter(each.source for each in records)
    assert found.teachers.rows == Counter(each.teacher for each in records)
    asked = {"right": True, "wrong": False, "unknown": None}
    assert found.correctness == {name: sum(each.is_correct is flag for each in records) for name, flag in asked.items()}
    assert found.systems == sum(bool(each.system) for each in records)
    assert found.prompts == len({each.prompt for each in records})
    assert found.prompts + found.repeated_prompts == len(records)
    assert found.repeated_pairs == len(records) - len({(each.prompt, each.response) for each in records})
    known = Counter(each.difficulty for each in records if each.difficulty is not None)
    assert found.difficulties.bins == [(value, value, known[value]) for value in sorted(known)]
    assert found.difficulties.unknown == len(records) - known.total()
    assert (found.domains, found.decided_by) == (None, None)
    for part in ("prompt", "response"):
        for unit, measure in (("characters", len), ("words", lambda text: len(text.split()))):
            lengths = [measure(getattr(each, part)) for each in records]
            told = found.lengths[f"{part} {unit}"]
            assert (told.smallest, told.largest) == (min(lengths), max(lengths))
            assert told.mean == pytest.approx(np.mean(lengths))
            assert [*told.quantiles.values()] == pytest.approx(np.quantile(lengths, profiles.QUANTILES))
            assert sum(rows for _, _, rows in told.bins) == len(records)
            for low, high, rows in told.bins:
                assert rows == sum(low <= length < high for length in lengths)


def test_problems_say_what_decides_them():
    found = _profile(
        problem("p", "4", domain="math"),
        problem("q", "", domain="code", tests=READ_TESTS),
        problem("q", "", domain="code"),
    )
    assert found.decided_by == {"answer": 1, "tests": 1, "nothing": 1}
    assert found.domains.rows == {"code": 2, "math": 1}
    assert (found.teachers, found.correctness, found.repeated_pairs) == (None, None, None)
    assert found.repeated_prompts == 1
    assert {*found.lengths} == {"prompt characters", "prompt words"}


def test_many_difficulties_are_put_into_bins():
    found = _profile(*[example(str(k), "r", difficulty=k / 7) for k in range(71)], example("x", "r")).difficulties
    assert len(found.bins) == 10
    assert sum(rows for _, _, rows in found.bins) == 71
    assert (found.bins[0][0], found.bins[-1][1], found.unknown) == (0.0, 10.0, 1)
    assert [high for _, high, _ in found.bins[:-1]] == [low for low, _, _ in found.bins[1:]]


def test_more_names_than_are_kept_are_counted_together(monkeypatch):
    monkeypatch.setattr(profiles, "_MAX_NAMES", 2)
    found = _profile(*[example("p", "r", source=name) for name in "abacbd"]).sources
    assert (found.rows, found.others) == ({"a": 2, "b": 2}, 2)


def test_prompts_are_compared_with_every_list_of_questions():
    records = [example("one", "r"), example("two", "r"), example("one", "s")]
    found = profile(records, against={"a": "one".__eq__, "b": lambda prompt: False})
    assert found.contaminated == {"a": 2, "b": 0}


def test_a_border_between_prompt_and_response_cannot_be_moved():
    assert _profile(example("ab", "c"), example("a", "bc")).repeated_pairs == 0


_GROWTH = """
import resource
from klear_core.data.profile import profile
from klear_core.records import SFTExample
def rows(count):
    for k in range(count):
        yield SFTExample(problem_id="p", prompt=f"{k} " * 50, response=f"{k} " * 500, source="s", teacher="t",
                         is_correct=None, difficulty=float(k))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
profile(rows(100), against={})
before = peak()
profile(rows(30_000), against={})
print(peak() - before)
"""


def test_memory_holds_no_texts():
    # 100 MB of text, of which some 60 bytes a row are kept.
    done = subprocess.run([sys.executable, "-c", _GROWTH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 15


def test_a_profile_is_plain_data():
    found = dataclasses.asdict(_profile(example("p", "r", difficulty=1.0)))
    assert found["difficulties"]["bins"] == [(1.0, 1.0, 1)]
    assert found["lengths"]["prompt characters"]["bins"] == [(1, 2, 1)]
