"""A claim's outcome follows from its sign and the verdict of the sweep's report, and from nothing else."""

import pytest

from reports.analysis import analyse
from reports.claims import claim_table, held_claims, not_run, outcome, published_effects
from reports.comparisons import SPECS
from reports.load import load_sweep
from reports.paper_items import ITEMS
from reports.published import published_table

CLIPPING = next(item for item in ITEMS if item.sweep == "clipping")


@pytest.mark.parametrize(
    ("sign", "verdict", "expected"),
    [
        (1, "better", "as claimed"),
        (1, "worse", "against the claim"),
        (-1, "worse", "as claimed"),
        (-1, "better", "against the claim"),
        (1, "not resolved", "not resolved"),
        (-1, "no verdict", "no verdict"),
        (1, "not ranked", "not ranked"),
        (0, "better", "better, where no direction is claimed"),
    ],
)
def test_the_outcome_is_the_verdict_seen_from_the_claim(sign, verdict, expected):
    assert outcome(sign, verdict) == expected


def test_a_claim_has_a_row_at_every_operating_point_with_the_measured_difference(write_sweep):
    data = load_sweep(write_sweep(), "clipping")
    analysis = analyse(data)
    held = [one for one in held_claims(CLIPPING, "clipping", data, analysis) if not one.claim.against]
    assert [(one.claim.treatment, one.where) for one in held] == [
        (arm, f"updates = {u}") for arm in ("gppo", "cispo") for u in (4, 16)
    ]
    by_place = {(v.treatment, data.told(v.point)): v for v in analysis.versus}
    for one in held:
        assert one.measured == by_place[one.claim.treatment, one.where].comparison.difference
        assert one.verdict == by_place[one.claim.treatment, one.where].verdict


def test_the_published_effect_is_the_difference_of_printed_cells():
    item = next(item for item in ITEMS if item.name == "figure_3")
    assert published_effects(item, item.claims[0], "") == "lcb_v5 +1.8"
    item = next(item for item in ITEMS if item.name == "table_4")
    assert "aime24 -3.1" in published_effects(item, item.claims[0], "on_chains")
    assert published_effects(CLIPPING, CLIPPING.claims[0], "u4") == "only drawn"


def test_what_was_not_run_has_a_dash_and_the_command():
    table = claim_table(not_run(CLIPPING))
    assert len(table.rows) == len(CLIPPING.claims)
    for row in table.rows:
        assert (row[0], row[-1]) == ("Figure 2", "**not run**")
        assert row[4] == "— (python -m ablations.run +sweep=clipping)"


def test_every_item_names_what_exists():
    for item in ITEMS:
        assert not item.name or published_table(item.name)
        assert {name for name in (item.sweep, *item.more) if name} <= set(SPECS)
        assert item.sweep or item.evaluated or item.why_not
    named = {name for item in ITEMS for name in (item.sweep, *item.more) if name}
    assert named == set(SPECS)
    assert {item.name for item in ITEMS if item.name} == {
        *(f"table_{k}" for k in range(1, 7)),
        *(f"figure_{k}" for k in range(2, 6)),
    }
