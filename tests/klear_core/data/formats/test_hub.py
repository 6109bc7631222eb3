"""The Hub is read when a name asks for it, never otherwise, and says in one line why it cannot be."""

import builtins
import functools
import itertools
import socket
import sys
import time

import datasets
import pytest

from klear_core.data.formats import hub
from klear_core.data.formats.fingerprint import fingerprint
from klear_core.data.formats.hub import HubName, parse_hub_name
from klear_core.data.formats.load import load_rows
from klear_core.errors import DataError
from tests.klear_core.data.formats.samples import CASES, OPENR1, write_jsonl, write_parquet

_load_dataset = datasets.load_dataset


def _refused(where, **keywords):
    with pytest.raises(DataError) as caught:
        [*load_rows(where, **keywords)]
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("hub:org/name", HubName(path="org/name", config=None, split="train")),
        ("hub:org/name@test", HubName(path="org/name", config=None, split="test")),
        (
            "hub:open-r1/OpenR1-Math-220k/default",
            HubName(path="open-r1/OpenR1-Math-220k", config="default", split="train"),
        ),
        ("hub:o/n/c_1.0@train.x", HubName(path="o/n", config="c_1.0", split="train.x")),
    ],
)
def test_a_name_says_data_set_config_and_split(where, name):
    assert parse_hub_name(where) == name


@pytest.mark.parametrize(
    "where", ["hub:", "hub:name", "hub:/a/b", "hub:a/b/c/d", "hub:a/b@", "hub:../a", "hub:a/b@x[1]"]
)
def test_a_name_of_another_form_is_refused(where):
    assert _refused(where) == f"{where} names no data set; allowed: {hub.FORM}"


def test_a_name_without_hub_is_a_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    asked = []
    assert "org/name is no file and no folder; allowed: a path, or hub:org/name" in _refused(
        "org/name", hub=asked.append
    )
    assert asked == []
    (tmp_path / "org" / "name").mkdir(parents=True)
    write_jsonl(tmp_path / "org" / "name", [{"prompt": "p"}])
    assert load_rows("org/name", hub=asked.append).format == "prompts"
    assert asked == []


def test_rows_of_the_hub_are_read_as_those_of_files_and_named_by_their_number():
    rows = load_rows("hub:org/name@test", hub=lambda name: iter([OPENR1, OPENR1]))
    assert (rows.format, len([*rows]), len([*rows])) == ("openr1-math", 4, 4)
    told = _refused("hub:org/name", hub=lambda name: [{"prompt": "p", "response": "r"}, {"prompt": "p"}])
    assert told.startswith("hub:org/name row 2: column response is missing")
    assert "holds no rows" in _refused("hub:org/name", hub=lambda name: [])


def _from_folder(monkeypatch, folder):
    """``datasets`` as it is, with a local folder where it would ask the network."""
    calls = []

    def load(path, *arguments, **keywords):
        calls.append((path, *arguments, keywords))
        return _load_dataset(str(folder), *arguments, **keywords)

    monkeypatch.setattr(datasets, "load_dataset", load)
    return calls


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
@pytest.mark.parametrize("case", ["klear maths", "messages", "OpenR1", "OpenThoughts3", "AIME", "texts"])
def test_datasets_streams_the_same_records(case, write, monkeypatch, tmp_path):
    name, rows, records = CASES[case]
    home = tmp_path / "data"
    home.mkdir()
    write(home, rows)
    calls = _from_folder(monkeypatch, home)
    loaded = load_rows("hub:org/name")
    assert loaded.format == name
    assert fingerprint(loaded) == fingerprint(records)
    assert calls[0] == ("org/name", None, {"split": "train", "streaming": True})


def test_a_split_or_config_that_is_not_there_is_one_line(monkeypatch, tmp_path):
    home = tmp_path / "data"
    home.mkdir()
    write_jsonl(home, [{"prompt": "p"}])
    _from_folder(monkeypatch, home)
    assert "hub:org/name cannot be read: ValueError: Bad split: nope" in _refused("hub:org/name@nope")
    assert "hub:org/name cannot be read: ValueError: BuilderConfig 'nope' not found" in _refused("hub:org/name/nope")


def test_a_data_set_of_a_script_is_refused_and_nothing_of_it_runs(monkeypatch, tmp_path):
    home = tmp_path / "name"
    home.mkdir()
    (home / "name.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    _from_folder(monkeypatch, home)
    assert "Dataset scripts are no longer supported" in _refused("hub:org/name")
    assert not (tmp_path / "ran").exists()


def test_a_connection_that_breaks_is_one_line(monkeypatch):
    def load(*arguments, **keywords):
        def rows():
            yield {"prompt": "p"}
            raise ConnectionResetError("reset by\npeer")

        return rows()

    monkeypatch.setattr(datasets, "load_dataset", load)
    rows = iter(load_rows("hub:org/name"))
    next(rows)
    with pytest.raises(DataError, match="cannot be read: ConnectionResetError: reset by peer; allowed: a network, or"):
        next(rows)


def test_without_network_the_refusal_comes_at_once(monkeypatch):
    started = time.monotonic()
    assert "hub:org/name cannot be read: " in _refused("hub:org/name")  # HF_HUB_OFFLINE is set for all tests
    monkeypatch.delenv("HF_HUB_OFFLINE")
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)

    def unreachable(address, timeout):
        assert (address, timeout) == (("huggingface.co", 443), 5.0)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr(socket, "create_connection", unreachable)
    told = _refused("hub:org/name")
    assert "huggingface.co is not reached" in told
    assert told.endswith("allowed: a network, or the path of the downloaded files")
    assert time.monotonic() - started < 5


def test_without_datasets_the_refusal_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "datasets")
    real = builtins.__import__

    def without(name, *arguments):
        if name == "datasets":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    assert _refused("hub:org/name") == "hub:org/name needs the package datasets: pip install 'klear-ablations[hub]'"


def test_a_folder_of_the_same_name_is_not_taken_for_the_hub(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    write_jsonl(tmp_path / "org" / "name", [{"prompt": "p"}])
    assert "hub:org/name is also the folder org/name here" in _refused("hub:org/name")


def test_only_as_many_rows_are_fetched_as_are_asked_for():
    fetched = []

    def endless(name):
        for number in itertools.count():
            fetched.append(number)
            yield {"prompt": str(number), "response": "r"}

    rows = load_rows("hub:org/name", hub=functools.partial(endless))
    assert [each.prompt for each in itertools.islice(rows, 3)] == ["0", "1", "2"]
    assert len(fetched) == 4
