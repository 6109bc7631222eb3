import random

import pytest
import torch

from klear_core.data.mixes.embed import ngram_embeddings
from klear_core.errors import ConfigError, DataError
from tests.klear_core.data.mixes.examples import SAMPLE, apply, context, demonstration, numbered

MIX = numbered(60)


@pytest.mark.parametrize("method", ["random", "kcenter"])
@pytest.mark.parametrize("count", [1, 7, 60])
def test_exactly_as_many_stay_in_the_order_in_which_they_came(method, count):
    kept, details = apply("sample", MIX, count=count, method=method, **SAMPLE)
    assert len(kept) == count
    assert kept == [example for example in MIX if example in kept]
    assert details["dropped"] == 60 - count


@pytest.mark.parametrize("method", ["random", "kcenter"])
def test_a_larger_sample_holds_a_smaller_one(method):
    small, large = (apply("sample", MIX, count=count, method=method, **SAMPLE)[0] for count in (9, 20))
    assert all(example in large for example in small)


@pytest.mark.parametrize("method", ["random", "kcenter"])
def test_the_name_of_the_mix_decides_the_draw(method):
    first, again, other = (
        apply("sample", MIX, context(name), count=10, method=method, **SAMPLE)[0] for name in ("m/0", "m/0", "m/1")
    )
    assert first == again != other


@pytest.mark.parametrize("method", ["random", "kcenter"])
def test_too_few_demonstrations_are_an_error_that_names_both_numbers(method):
    with pytest.raises(DataError, match=r"sample.count is 61, but 60 demonstrations are there"):
        apply("sample", MIX, count=61, method=method, **SAMPLE)


def test_a_random_sample_takes_every_position_equally_often():
    counts = [0] * 20
    for seed in range(400):
        for example in apply("sample", MIX[:20], context(f"m/{seed}"), count=5, method="random", **SAMPLE)[0]:
            counts[MIX.index(example)] += 1
    assert sum(counts) == 2000
    # 100 each with deviation 8.7: five of them.
    assert all(abs(count - 100) < 44 for count in counts)


def test_k_center_covers_better_than_chance_and_says_its_radius():
    draw = random.Random(0)
    topics = [[f"{name}{k}" for k in range(12)] for name in "abcdefgh"]
    sizes = [100, 60, 30, 5, 2, 1, 1, 1]
    mix = [
        demonstration(" ".join(draw.choices(topic, k=20)))
        for topic, size in zip(topics, sizes, strict=True)
        for _ in range(size)
    ]
    embeddings = ngram_embeddings([example.prompt for example in mix], dimensions=64)

    def radius(kept):
        chosen = embeddings[[mix.index(example) for example in kept]]
        return float(torch.cdist(embeddings, chosen).min(1).values.max())

    kept, details = apply("sample", mix, count=8, method="kcenter", **SAMPLE)
    assert {example.prompt[0] for example in kept} == set("abcdefgh")
    assert details["radius"] == pytest.approx(radius(kept), abs=1e-3)
    by_chance = apply("sample", mix, count=8, method="random", **SAMPLE)[0]
    assert details["radius"] < radius(by_chance)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "best"}, "allowed: random, kcenter"),
        ({"count": 0}, "allowed: 1 or more"),
        ({"dimensions": 0}, "allowed: 1 or more"),
        ({"embedding": "words"}, "allowed: ngrams, or sentence: with a local folder"),
        ({"embedding": "sentence:"}, "allowed: ngrams, or sentence: with a local folder"),
    ],
)
def test_a_setting_out_of_its_limits_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        apply("sample", MIX, **({"count": 3, "method": "kcenter", **SAMPLE} | change))
