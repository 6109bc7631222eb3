import json

import pytest

from klear_core.errors import RunStoreError
from klear_core.runs import schema, store

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
