"""Files that are broken, cut off, empty or none are refused in one line; the rows before the damage come first."""

import json
import os
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from klear_core.data.formats import arrays, files
from klear_core.data.formats.load import load_rows
from tests.klear_core.data.formats.samples import lines, refused, write_array, write_jsonl, write_parquet

_ROW = {"prompt": "p", "response": "r"}
_LINE = json.dumps(_ROW).encode() + b"\n"
_DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"prompt": "p", "resp', "is no JSON at character 17: Unterminated string"),
        (b"{'prompt': 1}", "is no JSON at character 2"),
        (b"nonsense", "is no JSON at character 1"),
        (b'{"prompt": "\xff"}', "is not UTF-8 at byte 13; allowed: JSON in UTF-8"),
        (_LINE.decode().encode("utf-16"), "is not UTF-8 at byte 1"),
        (b"[1, 2]", "is a list of 2; allowed: one JSON object a line"),
        (b"null", "is null; allowed: one JSON object a line"),
        (b"3", "is a number (3); allowed: one JSON object a line"),
        (b'{"prompt": ' + _DEEP, "is nested too deeply"),
        (b'{"difficulty": ' + b"9" * 5000 + b"}", "has a number of too many digits"),
    ],
)
def test_a_broken_line_is_named_by_its_number(line, told, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(_LINE + b"\n" + _LINE + line + b"\n" + _LINE)
    message, before = refused(path)
    assert f"{path} line 4 {told}" in message
    assert len(before) == 2


def test_blank_lines_a_byte_order_mark_and_a_missing_last_line_end_are_no_damage(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\n\r\n  \n" + _LINE.replace(b"\n", b"\r\n") + _LINE.strip())
    assert len([*load_rows(str(path))]) == 2


def test_a_line_without_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_LINE", 1000)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(_LINE + b"x" * 1001)
    message, before = refused(path)
    assert "line 2 has more than 1000 bytes" in message
    assert len(before) == 1


@pytest.mark.parametrize(
    ("text", "told", "count"),
    [
        ("[{R}, {R}", "row 3 is cut off: the array does not end", 2),
        ("[{R}, {R},", "row 3 is no JSON, or is cut off", 2),
        ('[{R}, {"prompt": "x', "row 2 is no JSON, or is cut off: Unterminated string", 1),
        ("[{R}, {'a'}]", "row 2 is no JSON, or is cut off", 1),
        ("[{R}, 3]", "row 2 is a number (3); allowed: an array of objects", 1),
        ("[{R}, [{R}]]", "row 2 is a list of 1; allowed: an array of objects", 1),
        ("[{R},]", "row 2 is no JSON (']')", 1),
        ("[{R} {R}]", "row 2 has '{' where ',' belongs", 1),
        ("[{R}] {R}", "goes on after its array", 1),
        ("[{R}, {DEEP", "row 2 is nested too deeply", 1),
        ("[{R}, {NUMBER}]", "row 2 is no JSON, or is cut off: a number of too many digits", 1),
        ("[]", "holds no rows", 0),
        ("[", "row 1 is no JSON, or is cut off", 0),
    ],
)
def test_a_broken_array_is_named_by_the_row(text, told, count, tmp_path):
    path = tmp_path / "rows.json"
    text = text.replace("{R}", json.dumps(_ROW)).replace("{DEEP", '{"a":' + "[" * 200_000)
    path.write_text(text.replace("{NUMBER}", '{"a": ' + "9" * 5000 + "}"))
    message, before = refused(path)
    assert str(path) in message
    assert told in message
    assert len(before) == count


def test_bytes_in_an_array_that_are_no_utf8_are_refused(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(b"[" + _LINE + b"," + b'{"prompt": "\xff"}]')
    assert "is not UTF-8" in refused(path)[0]


@pytest.mark.parametrize("chunk", [1, 2, 7, 64])
def test_an_array_is_the_same_rows_wherever_it_is_cut_into_reads(chunk, tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "_CHUNK", chunk)
    rows = [{"prompt": f'é "{k}" ]}},{{[\\', "response": "x" * k} for k in range(20)]
    read = [*load_rows(str(write_array(tmp_path, rows)))]
    assert [{"prompt": each.prompt, "response": each.response} for each in read] == rows


def test_an_object_that_does_not_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "_CHUNK", 64)
    monkeypatch.setattr(files, "MAX_LINE", 1000)
    path = tmp_path / "rows.json"
    path.write_bytes(b"[" + _LINE + b',{"prompt": "' + b"x" * 100_000)
    assert "row 2 is no JSON, or is cut off" in refused(path)[0]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_a_file_without_rows_is_refused(name, tmp_path):
    path = tmp_path / name
    for content in (b"", b"\n \n"):
        path.write_bytes(content)
        assert refused(path) == (f"{path} holds no rows; allowed: at least one", [])


def test_a_parquet_file_without_rows_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), path)
    assert "holds no rows" in refused(path)[0]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_parquet_file_is_refused(share, tmp_path):
    path = write_parquet(tmp_path, [_ROW] * 500)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    message, _ = refused(path)
    assert message.startswith(f"{path} is no whole parquet file: ")


def test_damage_inside_a_parquet_file_is_an_error_or_seen_in_the_texts(tmp_path):
    path = tmp_path / "rows.parquet"
    table = pa.Table.from_pylist([{"prompt": f"p{k}" * 50, "response": "r"} for k in range(2000)])
    pq.write_table(table, path, compression="zstd", use_dictionary=False, data_page_size=4096)
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 4
    whole[middle : middle + 64] = bytes(64)
    path.write_bytes(whole)
    assert "is no whole parquet file after row " in refused(path)[0]


def test_bytes_in_parquet_that_are_no_utf8_are_named_by_the_row(tmp_path):
    path = tmp_path / "rows.parquet"
    texts = pa.array([b"p"] * 70 + [b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"prompt": texts, "response": texts}), path)
    message, before = refused(path)
    assert f"{path} row 71 is not UTF-8" in message
    assert len(before) == 70


def test_paths_that_hold_no_data_are_refused(tmp_path):
    assert refused(tmp_path / "none.jsonl")[0].endswith("none.jsonl is no file and no folder")
    (tmp_path / "rows.csv").write_text("prompt,response\n")
    assert "ends in '.csv'; allowed: .jsonl, .json, .parquet, a folder of these" in refused(tmp_path / "rows.csv")[0]
    assert "is a folder without data files; allowed: files .jsonl, .json, .parquet" in refused(tmp_path)[0]
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "is no file and no folder" in refused(tmp_path / "pipe.jsonl")[0]
    assert "is no file and no folder" in refused("x" * 5000)[0]
    assert "is no file and no folder" in refused("x\0.jsonl")[0]


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    path = write_jsonl(tmp_path, [_ROW])

    def denied(*arguments, **keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", denied)
    assert refused(path)[0] == f"{path} cannot be read: Permission denied"


def test_columns_of_any_type_that_no_format_reads_are_left_alone(tmp_path):
    path = tmp_path / "rows.parquet"
    dates = pa.array([2**60], pa.int64()).cast(pa.timestamp("ms"))
    pq.write_table(pa.table({"prompt": ["p"], "response": ["r"], "made": dates}), path)
    rows = load_rows(str(path))
    assert rows.ignored == ("made",)
    assert len([*rows]) == 1
    pq.write_table(pa.table({"prompt": ["p"], "response": ["r"], "source": dates}), path)
    assert f"{path} row 1 cannot be read: " in refused(path)[0]


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table([["p"], ["q"]], names=["prompt", "prompt"]), path)
    assert refused(path)[0] == f"{path} has two columns prompt; allowed: one of a name"


def test_files_of_a_folder_are_read_by_name_and_a_stray_one_is_named(tmp_path):
    for name, prompt in {"b.jsonl": "2", "a.jsonl": "1", "c.JSONL": "3"}.items():
        (tmp_path / name).write_text(lines([{"prompt": prompt, "response": "r"}]))
    assert [each.prompt for each in load_rows(str(tmp_path))] == ["1", "2", "3"]
    (tmp_path / "d.json").write_text('[{"name": "x"}]')
    message, before = refused(tmp_path)
    assert f"{tmp_path / 'd.json'} row 1: column prompt is missing; allowed: what row 1 has" in message
    assert len(before) == 3


_GROWTH = """
import resource, sys
from klear_core.data.formats.fingerprint import fingerprint
from klear_core.data.formats.load import load_rows
small, large = sys.argv[1:]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
fingerprint(load_rows(small))
before = peak()
rows = fingerprint(load_rows(large)).rows
print(rows, peak() - before)
"""


@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_memory_does_not_grow_with_the_file(ending, tmp_path):
    text = "reasoning " * 5000
    count = 2000  # of 50 kB: 100 MB
    small, large = tmp_path / f"small.{ending}", tmp_path / f"large.{ending}"
    for path, rows in ((small, 200), (large, count)):
        if ending == "parquet":
            schema = pa.schema({"prompt": pa.string(), "response": pa.string()})
            with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
                batch = pa.Table.from_pylist([{"prompt": "p", "response": text}] * rows, schema=schema)
                writer.write_table(batch, row_group_size=rows)  # one group, larger than the growth allowed
        else:
            opening, between, closing = ("[", ",", "]") if ending == "json" else ("", "\n", "\n")
            row = json.dumps({"prompt": "p", "response": text})
            with path.open("w") as file:
                file.write(opening + row)
                for _ in range(rows - 1):
                    file.write(between + row)
                file.write(closing)
    assert large.stat().st_size > 95e6
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _GROWTH, small, large], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    rows, growth_mb = done.stdout.split()
    assert int(rows) == count
    assert float(growth_mb) < 30, f"after {time.monotonic() - started:.1f} s"
