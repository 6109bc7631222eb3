"""The README claims only what works today, and its commands and links exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def claims():
    rows = re.findall(r"^\| (.+?) \| (works|not yet) \| `(.+?)` \|$", README, flags=re.MULTILINE)
    assert len(rows) >= 10
    return rows


def test_what_works_names_a_test_that_exists():
    for what, state, evidence in claims():
        if state == "works":
            path, name = evidence.split("::")
            assert f"def {name}(" in (ROOT / path).read_text(), what


def test_what_is_not_there_yet_is_not_there():
    for what, state, evidence in claims():
        if state == "not yet":
            assert not (ROOT / evidence).exists(), f"{what} exists now: the table is out of date"


def test_every_link_and_picture_exists():
    for page in ("README.md", "DESIGN.md", "CONTRIBUTING.md", "PAPER_INDEX.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
            if not target.startswith("http"):
                assert (ROOT / target).is_file(), f"{page}: {target}"


def test_the_commands_are_those_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    assert "ablations.run +sweep=clipping" in makefile


def test_every_choice_in_the_commands_exists():
    for group, names in re.findall(r"\b(sweep|scale|objective)=([\w,]+)", README):
        for name in names.split(","):
            if name != "soft_clip":  # the objective that the README teaches how to add
                assert (ROOT / "sweeps" / group / f"{name}.yaml").is_file(), (group, name)


def test_every_file_the_paper_index_names_exists():
    for target in re.findall(r"`((?:sweeps|klear_core|reports|tests)/[\w/.]+)`", (ROOT / "PAPER_INDEX.md").read_text()):
        assert (ROOT / target).is_file(), target
