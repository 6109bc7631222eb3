"""The page of a report in a real browser: sorting, light and dark, a narrow screen, and nothing from the network."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from reports.drawing import save_figure
from reports.html import render_page
from reports.markdown import Table
from reports.write import write_document
from tests.e2e.browser import CHROMIUM, Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)"),
]
EXAMPLES = Path(__file__).resolve().parents[2] / "reports" / "examples"
WORST_FIRST = ["-0.282 [-0.781, +0.217]", "-0.004 [-0.037, +0.028]", "+0.004 [-0.009, +0.016]", "+0.014 [-0.1, +0.2]"]
ROWS = [
    ["gppo", WORST_FIRST[0], "2 of 20", "1.97 %", "44,769", "better"],
    ["ppo_clip", "—", "10 of 20", "— (not run)", "9,000", "—"],
    ["<script>alert(1)</script>", WORST_FIRST[3], "1 of 20", "12.00 %", "—", "worse"],
    ["cispo", WORST_FIRST[1], "20 of 20", "0.50 %", "1,000,000", "not resolved"],
    ["**clip_higher**", WORST_FIRST[2], "3 of 20", "3.00 %", "7", "not resolved"],
]
HEADER = ["arm", "difference [95 % t interval]", "seeds", "share", "tokens", "verdict"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A document with a table of every kind of cell and a wide figure."""
    folder = tmp_path_factory.mktemp("page")
    figure = Figure(figsize=(14, 3))
    figure.subplots().plot([0, 1])
    save_figure(figure, folder / "wide.png")
    table = Table(name="t", header=HEADER, rows=ROWS, raw=pd.DataFrame({"n": [1]}), notes=["A note."])
    markdown = (
        f"# A title\n\n{'word ' * 40}{'x' * 200}\n\n## A table\n\n{table.markdown()}\n![Wide.](wide.png)\n\nWide.\n"
    )
    write_document(folder, "doc", title="T", markdown=markdown, tables=[table], figures=["wide.png"], facts={})
    return folder / "doc.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def column(browser: Browser, index: int) -> list[str]:
    cells = f"[...document.querySelectorAll('tbody tr')].map(row => row.cells[{index}].textContent)"
    return list(browser.evaluate(cells))


def click(browser: Browser, index: int) -> str:
    """Press the button of a column with the keyboard's means; how the column is sorted then."""
    header = f"document.querySelectorAll('th')[{index}]"
    browser.evaluate(f"{header}.querySelector('button').focus()")
    for kind in ("keyDown", "keyUp"):
        told = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        browser.call("Input.dispatchKeyEvent", type=kind, **(told if kind == "keyDown" else told | {"text": ""}))
    return str(browser.evaluate(f"{header}.ariaSort"))


@pytest.mark.parametrize(
    ("index", "ascending"),
    [
        (1, [*WORST_FIRST, "—"]),
        (2, ["1 of 20", "2 of 20", "3 of 20", "10 of 20", "20 of 20"]),
        (3, ["0.50 %", "1.97 %", "3.00 %", "12.00 %", "— (not run)"]),
        (4, ["7", "9,000", "44,769", "1,000,000", "—"]),
        (5, ["better", "not resolved", "not resolved", "worse", "—"]),
    ],
)
def test_a_column_sorts_by_its_leading_number_up_and_down_with_dashes_last_and_back(page, browser, index, ascending):
    browser.open(page, width=1280, scheme="light")
    before = column(browser, index)
    assert click(browser, index) == "ascending"
    assert column(browser, index) == ascending
    assert click(browser, index) == "descending"
    known = [text for text in ascending if not text.startswith("—")]
    assert column(browser, index) == known[::-1] + ascending[len(known) :]
    # Rows stay whole.
    rows = browser.evaluate("[...document.querySelectorAll('tbody tr')].map(r => [...r.cells].map(c => c.textContent))")
    assert sorted(rows) == sorted([[cell.replace("**", "") for cell in row] for row in ROWS])
    assert click(browser, index) == "none"
    assert column(browser, index) == before
    assert browser.complaints == []


def test_only_one_column_is_marked_as_sorted(page, browser):
    browser.open(page, width=1280, scheme="light")
    click(browser, 1)
    click(browser, 2)
    assert browser.evaluate("[...document.querySelectorAll('th')].map(h => h.ariaSort)") == [
        *("none", "none", "ascending", "none", "none", "none"),
    ]


def test_dark_follows_the_reader_and_the_switch_turns_it_round(page, browser):
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = {}
    for scheme in ("light", "dark"):
        browser.open(page, width=1280, scheme=scheme)
        first = browser.evaluate(ground)
        browser.evaluate("document.getElementById('theme').click()")
        seen[scheme] = (first, browser.evaluate(ground))
        assert (
            browser.evaluate("getComputedStyle(document.querySelector('img')).backgroundColor") == "rgb(255, 255, 255)"
        )
        assert browser.complaints == []
    assert seen["light"] == seen["dark"][::-1]
    assert seen["light"][0] != seen["light"][1]


def test_what_the_policy_forbids_does_not_run_and_nothing_is_asked_of_the_network(page, browser):
    browser.open(page, width=1280, scheme="light")
    assert browser.evaluate("document.images[0].naturalWidth") > 1000
    assert {url.partition(":")[0] for url in browser.requests} == {"file", "data"}
    assert [url for url in browser.requests if url.startswith("file:")] == [page.resolve().as_uri()]
    assert (
        browser.evaluate("performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length")
        == 0
    )
    assert browser.complaints == []
    browser.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit=1\">');"
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hit=1'}));"
        "new Promise(done => setTimeout(done, 50))"
    )
    assert browser.evaluate("window.hit") is None
    assert len([text for text in browser.complaints if "Content Security Policy" in text]) >= 2


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_never_scrolls_sideways_and_its_tables_do(page, browser, width):
    browser.open(page, width=width, scheme="light")
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate("document.body.scrollWidth") <= width
    boxes = browser.evaluate("[...document.querySelectorAll('.wide')].map(box => box.scrollWidth > box.clientWidth)")
    assert boxes == [width == 400] * 2
    sides = browser.evaluate("[...document.querySelectorAll('.wide')].map(box => box.getBoundingClientRect().right)")
    assert max(sides) <= width


def test_the_committed_reports_fit_a_narrow_screen(browser, tmp_path):
    for report in sorted(EXAMPLES.glob("*/report.md")):
        figures = {path.name: path for path in report.parent.glob("*.png")}
        path = tmp_path / f"{report.parent.name}.html"
        path.write_text(render_page(report.read_text(), title=report.parent.name, figures=figures))
        browser.open(path, width=400, scheme="dark")
        assert browser.evaluate("document.documentElement.scrollWidth") == 400, report
        assert browser.evaluate("document.querySelectorAll('table').length") > 5
        ids = browser.evaluate("[...document.querySelectorAll('nav a')].map(a => !!document.querySelector(a.hash))")
        assert ids
        assert all(ids)
        assert browser.complaints == []
