"""Writing a document into a folder: markdown, one HTML file, CSV and LaTeX of every table, and all numbers as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from klear_core.errors import RunStoreError
from klear_core.runs.folders import make_folder
from klear_core.runs.store import write_text
from reports.html import render_page
from reports.latex import latex_table
from reports.markdown import Table
from reports.record import document_record, json_text


@contextmanager
def made_beside(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill, whose files then replace those of the same name in ``folder``.

    A disk that fills up costs the new document, and no older one. RunStoreError when it does.
    """
    make_folder(folder)
    try:
        with TemporaryDirectory(dir=folder, prefix=".new") as beside:
            yield Path(beside)
            for path in sorted(Path(beside).iterdir()):
                path.replace(folder / path.name)
    except OSError as error:
        raise RunStoreError(f"the report in {folder} cannot be written: {error.strerror or error}") from error


def write_document(
    folder: Path,
    name: str,
    *,
    title: str,
    markdown: str,
    tables: Sequence[Table],
    figures: Sequence[str] = (),
    facts: Mapping[str, Any],
) -> Path:
    """Write NAME.md, NAME.html and NAME.json, and TABLE.csv and TABLE.tex of every table; returns the path of NAME.md.

    ``figures`` are names of images in the text that lie in the folder; where one is there as SVG too, the page takes
    that. ``facts`` is what the JSON holds beside the tables.
    """
    for table in tables:
        table.write_csv(folder)
        (folder / f"{table.name}.tex").write_text(latex_table(table), encoding="utf-8")
    record = json_text(document_record(title, tables, facts))
    (folder / f"{name}.json").write_text(record, encoding="utf-8")
    inside = {
        figure: path if (path := (folder / figure).with_suffix(".svg")).is_file() else folder / figure
        for figure in figures
    }
    page = render_page(markdown, title=title, figures=inside)
    (folder / f"{name}.html").write_text(page, encoding="utf-8")
    write_text(folder / f"{name}.md", markdown)
    return folder / f"{name}.md"
