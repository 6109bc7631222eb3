import json
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.markdown import Table, escape, interval, number, numeric, plain
from reports.record import document_record, json_text
from reports.stats import Estimate


def test_cells_cannot_break_the_table_or_carry_markup():
    assert escape("a|b\nc") == "a\\|b c"
    assert escape("<script>x</script>") == "&lt;script&gt;x&lt;/script&gt;"
    assert escape("\x1b[31mred\x00") == "[31mred"
    assert escape("costs $x$ or &lt;") == "costs &#36;x&#36; or &amp;lt;"
    table = Table(name="t", header=["a|", "b"], rows=[["x|y", "nan"], ["1e5", "`007"]], raw=pd.DataFrame())
    lines = table.markdown().splitlines()
    assert len(lines) == 4
    assert "a\\|" in lines[0]
    assert "x\\|y" in lines[2]
    # Numbers that are text stay as they were written.
    assert "1e5" in lines[3]
    assert "\\`007" in lines[3]


@given(st.text())
def test_plain_text_is_one_line_that_every_encoding_of_a_report_can_hold(text):
    told = plain(text)
    assert len(told.splitlines()) <= 1
    assert told.encode().decode() == told
    assert plain(told) == told


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", " =1"])
def test_text_that_a_spreadsheet_would_run_is_defused_and_numbers_are_not(cell, tmp_path):
    Table(name="t", header=[], rows=[], raw=pd.DataFrame({"text": [cell], "value": [-1.5]})).write_csv(tmp_path)
    frame = pd.read_csv(tmp_path / "t.csv")
    assert frame["text"][0] == f"'{cell}"
    assert frame["value"][0] == -1.5


@pytest.mark.parametrize("mark", ["\r", "\x1b", "\x00", "\u202e", "\ufeff"])
def test_a_mark_that_is_not_seen_does_not_hide_a_formula(mark, tmp_path):
    Table(name="t", header=[], rows=[], raw=pd.DataFrame({"text": [f"{mark}=1+1"]})).write_csv(tmp_path)
    assert pd.read_csv(tmp_path / "t.csv")["text"][0] == "'=1+1"


def test_what_is_not_known_is_a_dash():
    assert number(math.nan) == "—"
    assert interval(Estimate(value=math.nan, low=math.nan, high=math.nan, n=0)) == "—"
    assert interval(Estimate(value=0.5, low=math.nan, high=math.nan, n=1)) == "0.500"
    assert interval(Estimate(value=0.5, low=0.4, high=0.6, n=3)) == "0.500 [0.400, 0.600]"


def test_a_column_is_of_numbers_when_all_that_is_known_in_it_begins_with_one():
    assert numeric(["+0.004 [-0.006, +0.014]", "—", "**1.97 %**", "12 of 20", "< 0.001", "— (not run here)"])
    assert not numeric(["0.5", "five"])
    assert not numeric(["—", ""])
    assert not numeric(["v1", "-"])


FLOATS = st.floats() | st.none() | st.integers(-(10**12), 10**12) | st.booleans() | st.text()


@given(st.lists(FLOATS, min_size=1), st.text())
def test_json_is_strict_and_gives_every_raw_value_back(values, title):
    raw = pd.DataFrame({"value": pd.Series(values, dtype=object)})
    table = Table(name="t", header=["h"], rows=[[title]], raw=raw, notes=(title,))
    record = document_record(title, [table], {"facts": {"nan": math.nan, "inf": [math.inf]}})
    text = json_text(record)

    def refuse(constant):
        raise AssertionError(constant)

    again = json.loads(text, parse_constant=refuse)
    assert again == record
    assert text.isascii()
    assert (again["title"], again["facts"]) == (title, {"nan": None, "inf": [None]})
    (found,) = again["tables"]
    assert (found["rows"], found["notes"]) == ([[title]], [title])
    for value, row in zip(values, found["raw"], strict=True):
        finite = not isinstance(value, float) or math.isfinite(value)
        assert row["value"] == (value if finite else None)


def test_columns_of_numbers_stay_numbers_in_json():
    raw = pd.DataFrame({"n": [1, 2], "share": [0.1, math.nan], "yes": [True, False], "who": ["a", None]})
    (table,) = document_record("t", [Table(name="t", header=[], rows=[], raw=raw)], {})["tables"]
    assert table["raw"] == [
        {"n": 1, "share": 0.1, "yes": True, "who": "a"},
        {"n": 2, "share": None, "yes": False, "who": None},
    ]
    assert [type(value) for value in table["raw"][0].values()] == [int, float, bool, str]
