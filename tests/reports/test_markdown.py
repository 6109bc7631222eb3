import math

import pandas as pd
import pytest

from reports.markdown import Table, escape, interval, number
from reports.stats import Estimate


def test_cells_cannot_break_the_table_or_carry_markup():
    assert escape("a|b\nc") == "a\\|b c"
    assert escape("<script>x</script>") == "&lt;script&gt;x&lt;/script&gt;"
    assert escape("\x1b[31mred\x00") == "[31mred"
    table = Table(name="t", header=["a", "b"], rows=[["x|y", "nan"], ["1e5", "007"]], raw=pd.DataFrame())
    lines = table.markdown().splitlines()
    assert len(lines) == 4
    assert "x\\|y" in lines[2]
    # Numbers that are text stay as they were written.
    assert "1e5" in lines[3]
    assert "007" in lines[3]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_text_that_a_spreadsheet_would_run_is_defused_and_numbers_are_not(cell, tmp_path):
    Table(name="t", header=[], rows=[], raw=pd.DataFrame({"text": [cell], "value": [-1.5]})).write_csv(tmp_path)
    frame = pd.read_csv(tmp_path / "t.csv")
    assert frame["text"][0] == f"'{cell}"
    assert frame["value"][0] == -1.5


def test_what_is_not_known_is_a_dash():
    assert number(math.nan) == "—"
    assert interval(Estimate(value=math.nan, low=math.nan, high=math.nan, n=0)) == "—"
    assert interval(Estimate(value=0.5, low=math.nan, high=math.nan, n=1)) == "0.500"
    assert interval(Estimate(value=0.5, low=0.4, high=0.6, n=3)) == "0.500 [0.400, 0.600]"
