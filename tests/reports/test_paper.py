"""The document over all sweeps shows what was measured, and says of everything else how to measure it."""

import json
import re
import subprocess
import sys

import pytest

from reports.paper import write_paper
from reports.paper_items import ITEMS


@pytest.fixture
def document(write_sweep, tmp_path):
    path = write_paper(write_sweep(), tmp_path / "document")
    return path.parent, path.read_text(encoding="utf-8")


def test_every_table_and_figure_of_the_paper_has_a_section(document):
    _, text = document
    headings = re.findall(r"^## (\w+ \d):", text, flags=re.M)
    assert headings == [item.name.replace("_", " ").capitalize() for item in ITEMS if item.name]
    # Cells as printed, among them the ones of Table 1, which take a GPU.
    for printed in ("90.5", "45.00", "79.37", "61.0"):
        assert printed in text


def test_a_sweep_that_was_not_run_has_a_dash_and_its_command(document):
    _, text = document
    for item in ITEMS:
        for name in (item.sweep, *item.more):
            if name and name != "clipping":
                assert f"—, not run. `python -m ablations.run +sweep={name}` runs it." in text
    assert "+sweep=clipping` runs it" not in text


def test_what_was_run_is_there_with_its_intervals_and_a_link_to_its_own_report(document):
    folder, text = document
    assert "[the report of `clipping`](../clipping/report/report.md)" in text
    assert "GPPO learns better than clip-higher" in text
    assert re.search(r"Here small models do generated arithmetic and short programs, \d seeds a cell\.", text)
    assert (folder / "clipping-results.png").is_file()
    assert (folder / "clipping-verdicts-u4.csv").is_file()


def test_it_is_there_in_every_format_and_holds_no_image_that_is_not(document):
    folder, text = document
    names = {path.suffix for path in folder.iterdir()}
    assert {".md", ".html", ".json", ".csv", ".tex", ".png", ".svg"} <= names
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (folder / name).is_file()
    record = json.loads((folder / "paper.json").read_text(encoding="utf-8"))
    assert list(record["sweeps"]) == ["clipping"]
    assert any(table["name"] == "claims" for table in record["tables"])


def test_no_table_is_written_under_the_name_of_another(document):
    folder, _ = document
    record = json.loads((folder / "paper.json").read_text(encoding="utf-8"))
    by_name = {}
    for table in record["tables"]:
        assert by_name.setdefault(table["name"], table) == table, table["name"]


def test_without_any_run_it_is_all_dashes(tmp_path):
    text = write_paper(tmp_path / "nothing", tmp_path / "document").read_text(encoding="utf-8")
    assert "No sweep was run." in text
    assert "Here small models do generated arithmetic and short programs. Effects" in text
    assert "+sweep=controls` runs it" in text


def test_the_command_writes_it_and_says_where(write_sweep):
    root = write_sweep()
    done = subprocess.run(
        [sys.executable, "-m", "reports", "paper", "--runs", root], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"document: {root / '_paper' / 'paper.md'}\n"
    blocked = subprocess.run(
        [sys.executable, "-m", "reports", "paper", "--runs", root / "_paper" / "paper.md"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert blocked.returncode == 2
    assert blocked.stderr.startswith("error: --runs is ") and blocked.stderr.count("\n") == 1
