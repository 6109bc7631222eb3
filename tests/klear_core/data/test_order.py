from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.data.order import shuffled_forever, usable_forever


def first(name, count):
    return list(islice(shuffled_forever(10, name=name), count))


def test_the_order_depends_on_its_name_alone_and_covers_everything_once_an_epoch():
    assert first("a", 25) == first("a", 25)
    assert first("a", 10) != first("b", 10)
    assert sorted(first("a", 10)) == list(range(10))
    assert sorted(first("a", 20)[10:]) == list(range(10))
    assert first("a", 10) != first("a", 20)[10:]


@given(st.lists(st.booleans(), min_size=1, max_size=20).filter(any), st.integers(0, 3))
def test_leaving_items_out_keeps_the_others_in_one_order(usable, seed):
    order = list(islice(shuffled_forever(len(usable), name=f"x/{seed}"), 3 * len(usable)))
    left = list(islice(usable_forever(usable, name=f"x/{seed}"), 3 * sum(usable)))
    assert left == [index for index in order if usable[index]]
    for start in range(2 * sum(usable)):
        assert (
            list(islice(usable_forever(usable, name=f"x/{seed}", start=start), sum(usable)))
            == left[start:][: sum(usable)]
        )


def test_an_order_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no item is usable"):
        usable_forever([False, False], name="x")
