import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klear_core.errors import RunStoreError
from klear_core.runs import schema, store

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(rows=st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=5))
def test_rows_round_trip_with_every_digit(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "steps.jsonl"
    with store.JsonLines(path) as log:
        for row in rows:
            log.append(row)
    assert list(store.read_jsonl(path)) == rows


def test_undefined_values_stay_undefined(tmp_path):
    with store.JsonLines(tmp_path / "a.jsonl") as log:
        log.append({"x": math.nan, "y": math.inf})
    (row,) = store.read_jsonl(tmp_path / "a.jsonl")
    assert math.isnan(row["x"])
    assert row["y"] == math.inf


def test_every_row_is_on_disk_before_the_next(tmp_path):
    path = tmp_path / "steps.jsonl"
    with store.JsonLines(path) as log:
        for step in range(3):
            log.append({"step": step})
            assert len(list(store.read_jsonl(path))) == step + 1


def test_a_log_is_never_overwritten(tmp_path):
    (tmp_path / "steps.jsonl").write_text("{}\n")
    with pytest.raises(RunStoreError, match="exists already"):
        store.JsonLines(tmp_path / "steps.jsonl")


def test_a_torn_last_line_is_left_out_and_a_broken_one_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "steps.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert [row["step"] for row in store.read_jsonl(path)] == [1, 2]
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(RunStoreError, match="line 2 is not JSON"):
        list(store.read_jsonl(path))


def test_tables_round_trip_and_hold_the_declared_columns(tmp_path):
    row = dict.fromkeys(schema.ROLLOUT_COLUMNS, "x") | {"step": 3, "reward": 0.5}
    store.write_table(tmp_path / "t.parquet", [row | {"extra": 1}], schema.ROLLOUT_COLUMNS)
    table = store.read_table(tmp_path / "t.parquet")
    assert table.column_names == list(schema.ROLLOUT_COLUMNS)
    assert table.to_pylist() == [row]


def test_a_damaged_or_missing_table_is_a_store_error(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(RunStoreError, match="cannot be read"):
        store.read_table(tmp_path / "t.parquet")
    with pytest.raises(RunStoreError, match="does not exist"):
        store.read_table(tmp_path / "u.parquet")


def test_a_plan_of_another_version_is_a_store_error(tmp_path):
    (tmp_path / schema.PLAN_FILE).write_text(json.dumps({"sweep": "x"}))
    with pytest.raises(RunStoreError, match="not a plan of this version"):
        store.read_plan(tmp_path)


def test_writing_leaves_no_temporary_file_and_replaces_whole(tmp_path):
    store.write_text(tmp_path / "a" / "f.txt", "one")
    store.write_text(tmp_path / "a" / "f.txt", "two")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["f.txt"]
    assert (tmp_path / "a" / "f.txt").read_text() == "two"
