import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_core.data.mixes import kcenter
from klear_core.data.mixes.kcenter import farthest_first, kcenter_greedy, squared_distances


def oracle(points, count, first=0):
    """A pass over all points a centre, in float64."""
    nearest = torch.full((len(points),), math.inf, dtype=torch.float64)
    chosen, index = [], first
    for _ in range(count):
        chosen.append(index)
        nearest = torch.minimum(nearest, ((points.double() - points[index].double()) ** 2).sum(1))
        nearest[chosen] = -1
        index = int(nearest.argmax())
    return chosen


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def whole(high, *shape, seed=0):
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed)).float()


def clustered(points, dimensions, clusters, spread):
    members = whole(clusters, points).long()
    return normal(clusters, dimensions, seed=1)[members] + spread * normal(points, dimensions, seed=2)


SHAPES = {
    "random": normal(700, 16),
    "uniform in a cube": normal(900, 3).erf(),
    "clusters": clustered(900, 8, 20, 0.01),
    "tight clusters far from the origin": clustered(600, 8, 5, 1e-5) + 1000,
    "clusters of clusters": clustered(900, 8, 4, 0.1) + clustered(900, 8, 30, 0.001),
    "a lattice with many ties": whole(3, 900, 4),
    "a large lattice": whole(40, 1200, 2),
    "corners of a cube": whole(2, 600, 24),
    "copies": normal(50, 8)[whole(50, 500).long()],
    "one point": torch.ones(300, 3),
    "one dimension": normal(500, 1),
    "one dimension, whole numbers": whole(100, 400, 1),
    "tiny": 1e-22 * normal(300, 4),
    "huge": 1e12 * normal(300, 4),
    "heavy tails": normal(600, 8) * (2 * normal(600, 1, seed=3)).exp(),
    "no dimension": torch.zeros(20, 0),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("share", [0.05, 0.4, 1.0])
def test_the_choice_is_that_of_a_pass_over_all_points_a_centre(name, share):
    points = SHAPES[name]
    count, first = max(1, int(share * len(points))), len(points) // 3
    assert kcenter_greedy(points, count, first=first).tolist() == oracle(points, count, first)


@settings(max_examples=60)
@given(st.data(), st.integers(1, 3), st.integers(1, 4), st.integers(1, 200))
def test_the_choice_on_small_lattices_is_that_of_the_oracle(data, dimensions, high, size):
    points = whole(high + 1, size, dimensions, seed=data.draw(st.integers(0, 1000)))
    count = data.draw(st.integers(1, size))
    first = data.draw(st.integers(0, size - 1))
    assert kcenter_greedy(points, count, first=first).tolist() == oracle(points, count, first)


@pytest.mark.parametrize("largest", [1, 3, 1000])
def test_the_choice_does_not_depend_on_the_sizes_of_pools_and_blocks(monkeypatch, largest):
    points = SHAPES["clusters"]
    expected = oracle(points, 150)
    monkeypatch.setattr(kcenter, "_SMALLEST_POOL", min(largest, 2))
    monkeypatch.setattr(kcenter, "_LARGEST_POOL", largest)
    monkeypatch.setattr(kcenter, "_ROWS", 7)
    monkeypatch.setattr(kcenter, "_COLUMNS", 5)
    monkeypatch.setattr(kcenter, "_PAIRS", 11)
    assert kcenter_greedy(points, 150).tolist() == expected


def test_a_rough_product_changes_nothing(monkeypatch):
    """As where float32 matrices are multiplied in bfloat16 or TF32, which torch says of itself."""
    points = SHAPES["random"]
    exact = torch.addmm

    def rough(bias, left, right, *, alpha):
        if left.dtype == torch.float32:
            left, right = left.bfloat16().float(), right.bfloat16().float()
        return exact(bias, left, right, alpha=alpha)

    monkeypatch.setattr(torch, "addmm", rough)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    assert kcenter_greedy(points, 300).tolist() == oracle(points, 300)


def test_distances_never_rise_and_the_radius_covers_every_point():
    points = SHAPES["random"]
    found = farthest_first(points, 60)
    distances = found.distances_C.tolist()
    assert distances[0] == math.inf
    assert all(left >= right for left, right in itertools.pairwise(distances))
    covered = torch.cdist(points.double(), points[found.indices_C].double()).min(1).values
    assert found.radius == pytest.approx(float(covered.max()), rel=1e-6)
    assert found.radius <= distances[-1]
    assert farthest_first(points, len(points)).radius == 0


def test_no_choice_of_centres_is_twice_as_good():
    points = normal(12, 2)
    greedy = farthest_first(points, 3).radius
    distances = torch.cdist(points, points)
    best = min(float(distances[:, list(some)].min(1).values.max()) for some in itertools.combinations(range(12), 3))
    assert best <= greedy <= 2 * best


def test_more_centres_begin_with_those_of_fewer():
    points = SHAPES["clusters"]
    assert kcenter_greedy(points, 50).tolist() == kcenter_greedy(points, 300)[:50].tolist()


def test_shifting_and_scaling_by_powers_of_two_change_nothing():
    points = SHAPES["a large lattice"]
    expected = kcenter_greedy(points, 200).tolist()
    assert kcenter_greedy(points - 64, 200).tolist() == expected
    assert kcenter_greedy(points / 1024, 200).tolist() == expected


def test_half_precision_is_taken_as_it_is():
    points = SHAPES["random"].bfloat16()
    assert kcenter_greedy(points, 80).tolist() == oracle(points.float(), 80)


def test_a_distance_does_not_depend_on_those_beside_it():
    left, right = normal(301, 37), normal(301, 37, seed=1)
    together = squared_distances(left, right)
    assert torch.equal(together[17:18], squared_distances(left[17:18], right[17:18]))
    assert torch.equal(together[::3], squared_distances(left[::3], right[::3]))


@pytest.mark.parametrize(
    ("points", "count", "first", "message"),
    [
        (normal(4), 1, 0, r"embeddings are \(4,\) of torch.float32"),
        (normal(4, 2).double(), 1, 0, "of torch.float64; allowed"),
        (whole(3, 4, 2).long(), 1, 0, "of torch.int64; allowed"),
        (normal(4, 2), 0, 0, "count is 0; allowed: 1 to 4"),
        (normal(4, 2), 5, 0, "count is 5; allowed: 1 to 4"),
        (normal(4, 2), 2, 4, "first is 4; allowed: 0 to 3"),
        (normal(4, 2), 2, -1, "first is -1; allowed: 0 to 3"),
        (torch.tensor([[0.0], [math.nan]]), 1, 0, "not finite, or beyond"),
        (torch.tensor([[0.0], [math.inf]]), 1, 0, "not finite, or beyond"),
        (torch.tensor([[0.0], [1e16]]), 1, 0, "not finite, or beyond"),
    ],
)
def test_what_has_no_traversal_is_refused(points, count, first, message):
    with pytest.raises(ValueError, match=message):
        kcenter_greedy(points, count, first=first)
