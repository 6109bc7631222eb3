from itertools import islice

from klear_core.data.order import shuffled_forever


def first(name, count):
    return list(islice(shuffled_forever(10, name=name), count))


def test_the_order_depends_on_its_name_alone_and_covers_everything_once_an_epoch():
    assert first("a", 25) == first("a", 25)
    assert first("a", 10) != first("b", 10)
    assert sorted(first("a", 10)) == list(range(10))
    assert sorted(first("a", 20)[10:]) == list(range(10))
    assert first("a", 10) != first("a", 20)[10:]
