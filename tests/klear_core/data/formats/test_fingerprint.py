"""The content hash depends on the records and their order, on nothing else; written records are read back."""

import dataclasses
import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klear_core.data.formats.fingerprint import Fingerprinter, fingerprint
from klear_core.data.formats.load import load_rows
from klear_core.data.formats.write import write_rows
from klear_core.errors import DataError
from klear_core.records import CodeTests, TestKind
from tests.klear_core.data.formats.samples import CASES, CONTAINERS, example, problem

_texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
_numbers = st.none() | st.floats(-1e9, 1e9)
_examples = st.builds(
    example,
    _texts,
    _texts,
    source=_texts,
    teacher=_texts,
    is_correct=st.none() | st.booleans(),
    difficulty=_numbers,
    system=_texts,
)
_tests = st.lists(st.tuples(_texts, _texts), min_size=1, max_size=3).map(
    lambda pairs: CodeTests(
        kind=TestKind.FUNCTION,
        entry="f",
        inputs=tuple(one for one, _ in pairs),
        outputs=tuple(two for _, two in pairs),
    )
)
_problems = st.builds(
    problem,
    _texts,
    _texts,
    domain=_texts,
    source=_texts,
    difficulty=_numbers,
    tests=st.none() | _tests,
    flawed=st.booleans(),
    system=_texts,
)
_streams = st.lists(_examples, min_size=1, max_size=5) | st.lists(_problems, min_size=1, max_size=5)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@settings(max_examples=60)
@given(records=_streams)
def test_written_records_are_read_back(ending, records, tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / f"rows.{ending}"
    assert write_rows(path, records) == len(records)
    assert [*load_rows(str(path))] == records
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@settings(max_examples=30)
@given(records=st.lists(_examples, min_size=1, max_size=5))
def test_the_hash_is_that_of_the_records_in_every_kind_of_file(records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    rows = [dataclasses.asdict(record) for record in records]
    hashes = {fingerprint(load_rows(str(write(folder, rows)))) for write in CONTAINERS.values()}
    assert hashes == {fingerprint(records)}


@pytest.mark.parametrize("case", CASES)
def test_public_rows_have_the_hash_of_their_records_in_every_kind_of_file(case, tmp_path):
    _, rows, records = CASES[case]
    assert {fingerprint(load_rows(str(write(tmp_path, rows)))) for write in CONTAINERS.values()} == {
        fingerprint(records)
    }


def test_the_order_of_json_keys_changes_nothing(tmp_path):
    row = dataclasses.asdict(example("p", "r", source="s", difficulty=1.0))
    hashes = set()
    for seed in range(5):
        keys = [*row]
        Random(seed).shuffle(keys)
        path = tmp_path / f"{seed}.jsonl"
        path.write_text(json.dumps({key: row[key] for key in keys}))
        hashes.add(fingerprint(load_rows(str(path))))
    assert len(hashes) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"problem_id": "x"},
        {"prompt": "q"},
        {"response": "q"},
        {"source": "q"},
        {"teacher": "q"},
        {"is_correct": None},
        {"is_correct": False},
        {"difficulty": None},
        {"difficulty": 1.5},
        {"system": "q"},
    ],
)
def test_every_field_counts(change):
    record = example("p", "r", source="s", teacher="t", is_correct=True, difficulty=1.0)
    assert fingerprint([record]) != fingerprint([dataclasses.replace(record, **change)])
    assert len(change) == 1
    assert {*change} <= {each.name for each in dataclasses.fields(record)}


def test_order_number_and_kind_count():
    one, two = example("p", "r"), example("q", "r")
    hashes = [fingerprint(each).content_hash for each in ([], [one], [one, one], [one, two], [two, one])]
    hashes.append(fingerprint([problem("p", "r")]).content_hash)
    assert len(set(hashes)) == 6


def test_a_border_between_fields_or_rows_cannot_be_moved():
    assert fingerprint([example("a", "b")]) != fingerprint([example("ab", "")])
    assert fingerprint([example('a","b', "")]) != fingerprint([example("a", 'b",""')])


def test_a_difficulty_is_a_number_whatever_its_type():
    assert fingerprint([example("p", "r", difficulty=1)]) == fingerprint([example("p", "r", difficulty=1.0)])


def test_it_grows_record_by_record():
    growing = Fingerprinter()
    records = [example(str(k), "r") for k in range(3)]
    for count, record in enumerate(records, start=1):
        growing.add(record)
        assert growing.result() == fingerprint(records[:count])


def test_the_hash_of_known_records_stays_the_same():
    # Mixes are known by it, so a change of the form is one of all their names.
    assert fingerprint([]).content_hash[:12] == "2117b37a80be"
    assert fingerprint([example("p", "é", is_correct=True, difficulty=2)]).content_hash[:12] == "9a3d0562a878"
    assert fingerprint(CASES["own problem with tests"][2]).content_hash[:12] == "50f8c2c38696"


def test_nothing_and_other_endings_are_not_written(tmp_path):
    with pytest.raises(DataError, match="there are no rows to write"):
        write_rows(tmp_path / "rows.jsonl", [])
    with pytest.raises(DataError, match=r"ends in '\.csv'; allowed: \.jsonl or \.parquet"):
        write_rows(tmp_path / "rows.csv", [example("p", "r")])
    with pytest.raises(DataError, match=r"rows\.jsonl cannot be written: "):
        write_rows(tmp_path / "none" / "rows.jsonl", [example("p", "r")])
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_stream_that_fails_leaves_the_earlier_file(ending, tmp_path):
    path = tmp_path / f"rows.{ending}"
    write_rows(path, [example("p", "r")])

    def failing():
        yield example("q", "r")
        raise DataError("damage")

    with pytest.raises(DataError, match="damage"):
        write_rows(path, failing())
    with pytest.raises(TypeError, match="a Problem among records of SFTExample"):
        write_rows(path, [example("p", "r"), problem("p", "4")])
    assert [*load_rows(str(path))] == [example("p", "r")]
    assert [*tmp_path.iterdir()] == [path]


def test_rows_are_written_while_they_are_read(tmp_path):
    rows = [{"prompt": str(k), "completion": "r"} for k in range(600)]
    first = CONTAINERS["JSON lines"](tmp_path, rows)
    write_rows(tmp_path / "own.parquet", load_rows(str(first)))
    write_rows(tmp_path / "own.jsonl", load_rows(str(tmp_path / "own.parquet")))
    names = (first.name, "own.parquet", "own.jsonl")
    assert {fingerprint(load_rows(str(tmp_path / name))).rows for name in names} == {600}
    assert len({fingerprint(load_rows(str(tmp_path / name))) for name in names}) == 1
