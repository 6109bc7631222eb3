"""Numbers that papers print, as data, with what their counts of questions can support."""

from functools import cache
from pathlib import Path

from klear_core.errors import ConfigError
from reports.published.read import read_paper
from reports.published.records import Paper, PublishedTable

__all__ = ["Paper", "PublishedTable", "all_tables", "figures", "paper_names", "published_paper", "published_table"]

_FOLDER = Path(__file__).resolve().parent
KLEAR = "klear_reasoner"


def paper_names() -> tuple[str, ...]:
    """Names of the papers that are held, the paper of this project first."""
    return tuple(sorted((path.stem for path in _FOLDER.glob("*.yaml")), key=lambda name: (name != KLEAR, name)))


@cache
def published_paper(name: str = KLEAR) -> Paper:
    """A paper by its name; ConfigError when it is not held, DataError when its file is broken."""
    if name not in paper_names():
        raise ConfigError(f"no paper {name}; known: {', '.join(paper_names())}")
    return read_paper(_FOLDER / f"{name}.yaml")


def published_table(name: str, key: str = KLEAR) -> PublishedTable:
    """A table or figure of a paper by its name, such as ``table_4``; ConfigError when there is none."""
    tables = published_paper(key).tables
    if name not in tables:
        raise ConfigError(f"no table {name} in {key}; known: {', '.join(tables)}")
    return tables[name]


def all_tables() -> tuple[PublishedTable, ...]:
    """The tables and figures of all papers, in the papers' order."""
    return tuple(table for name in paper_names() for table in published_paper(name).tables.values())


def figures(key: str = KLEAR) -> tuple[PublishedTable, ...]:
    """A paper's figures; ``cells`` holds the values that the text prints, none where they are only drawn."""
    return tuple(table for name, table in published_paper(key).tables.items() if name.startswith("figure_"))
