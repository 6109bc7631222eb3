from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.data.mixes.balanced import fair_shares
from klear_core.errors import ConfigError, DataError
from tests.klear_core.data.mixes.examples import apply, context, numbered

MIX = [*numbered(30, source="a", teacher="x"), *numbered(10, source="b", teacher="y"), *numbered(4, source="c")]


def counts(kept, field):
    return Counter(getattr(example, field) for example in kept)


def test_without_a_count_every_group_gives_what_the_smallest_has():
    kept, details = apply("balanced", MIX, by="source", count=None)
    assert counts(kept, "source") == {"a": 4, "b": 4, "c": 4}
    assert details == {"kept": {"a": 4, "b": 4, "c": 4}, "unknown": 0, "dropped": 32}
    assert kept == [example for example in MIX if example in kept]


@pytest.mark.parametrize(("count", "shares"), [(12, (4, 4, 4)), (20, (8, 8, 4)), (34, (20, 10, 4)), (44, (30, 10, 4))])
def test_with_a_count_small_groups_give_all_and_the_others_the_rest(count, shares):
    kept = apply("balanced", MIX, by="source", count=count)[0]
    assert counts(kept, "source") == dict(zip("abc", shares, strict=True))


def test_teachers_and_difficulties_are_groups_too_and_an_unknown_difficulty_is_none():
    assert counts(apply("balanced", MIX, by="teacher", count=12)[0], "teacher") == {"x": 4, "y": 4, "t": 4}
    mix = [*numbered(5, difficulty=0.5), *numbered(3, difficulty=0.0), *numbered(9)]
    kept, details = apply("balanced", mix, by="difficulty", count=None)
    assert counts(kept, "difficulty") == {0.5: 3, 0.0: 3}
    assert details == {"kept": {"0.0": 3, "0.5": 3}, "unknown": 9, "dropped": 11}


def test_the_name_of_the_mix_decides_the_draw():
    first, again, other = (
        apply("balanced", MIX, context(name), by="source", count=9)[0] for name in ("m/0", "m/0", "m/1")
    )
    assert first == again != other


def test_too_few_or_a_scale_of_difficulties_is_an_error():
    with pytest.raises(DataError, match=r"balanced.count is 45, but 44 demonstrations are there"):
        apply("balanced", MIX, by="source", count=45)
    with pytest.raises(DataError, match="difficulty, which has 101 values; allowed: 100"):
        apply("balanced", [*(numbered(1, difficulty=k / 7)[0] for k in range(101))], by="difficulty", count=None)
    with pytest.raises(ConfigError, match="allowed: source, teacher, difficulty"):
        apply("balanced", MIX, by="prompt", count=None)
    assert apply("balanced", [], by="source", count=None)[0] == []


@given(st.dictionaries(st.text(max_size=2), st.integers(0, 30), max_size=6), st.floats(0, 1))
def test_shares_are_fair(sizes, part):
    count = int(part * sum(sizes.values()))
    shares = fair_shares(sizes, count)
    assert sum(shares.values()) == count
    assert all(0 <= shares[key] <= sizes[key] for key in sizes)
    # Nobody has two more than one who could still give.
    for key in sizes:
        if shares[key] < sizes[key]:
            assert all(share <= shares[key] + 1 for share in shares.values())


def test_more_than_there_is_cannot_be_shared():
    with pytest.raises(ValueError, match="3 cannot give 4"):
        fair_shares({"a": 1, "b": 2}, 4)
