import json
import math

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


def test_half_of_a_character_is_a_store_error_and_a_whole_one_is_read(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text('{"title": "\\ud83d\\ude00"}', encoding="utf-8")
    assert store.read_json(path) == {"title": "\N{GRINNING FACE}"}
    path.write_text('{"title": "\\ud83d"}', encoding="utf-8")
    with pytest.raises(RunStoreError, match=r"plan.json cannot be read: .*surrogates not allowed; move it away"):
        store.read_json(path)


def test_a_plan_of_another_version_is_a_store_error(tmp_path):
    (tmp_path / schema.PLAN_FILE).write_text(json.dumps({"sweep": "x"}))
    with pytest.raises(RunStoreError, match="not a plan of this version"):
        store.read_plan(tmp_path)


def test_writing_leaves_no_temporary_file_and_replaces_whole(tmp_path):
    store.write_text(tmp_path / "a" / "f.txt", "one")
    store.write_text(tmp_path / "a" / "f.txt", "two")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["f.txt"]
    assert (tmp_path / "a" / "f.txt").read_text() == "two"


def identities(**changes):
    check = schema.IdentityCheck(
        name="gradient per token",
        objective="gppo",
        compared="autograd | reference",
        dtype="float32",
        tokens=5,
        pieces={"A>0, r>1.28": 5},
        difference=math.nan,
        tolerance=1e-6,
        state=changes.pop("state", "passed"),
        note="",
    )
    corners = dict.fromkeys(schema.CORNERS, 1)
    whole = {"problem": "", "source": "s", "start": "k", "policy": "p", "tokens": 5, "corners": corners}
    return schema.Identities(checks=[check], **(whole | changes))


def test_identities_round_trip_and_are_none_where_there_are_none(tmp_path):
    assert store.read_identities(tmp_path) is None
    store.write_json(tmp_path / schema.IDENTITIES_FILE, identities())
    # NaN differs from itself, so the texts are compared.
    assert repr(store.read_identities(tmp_path)) == repr(identities())


def test_an_identity_in_no_known_state_is_a_store_error(tmp_path):
    store.write_json(tmp_path / schema.IDENTITIES_FILE, identities(state="good"))
    with pytest.raises(RunStoreError, match="state is 'good'; allowed: passed, failed, not exercised"):
        store.read_identities(tmp_path)
