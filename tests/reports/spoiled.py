"""What can happen to one file of a stored run, and what a report says about it."""

import json

import pyarrow.parquet as pq

from klear_core.runs import schema, store
from klear_core.runs.log import encode, read_log


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_rows(path, change):
    """The rows of a table after ``change`` made other rows of them."""
    store.write_table(path, change(pq.read_table(path).to_pylist()), schema.EVAL_COLUMNS)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero_the_middle(path):
    raw = bytearray(path.read_bytes())
    raw[4:400] = bytes(396)
    path.write_bytes(raw)


def double_a_step(path):
    rows = list(read_log(path))
    rows[5] = rows[4]
    path.write_bytes(b"".join(encode(row, seq) for seq, row in enumerate(rows, start=1)))


def damage_a_line(path):
    path.write_bytes(path.read_bytes().replace(b'"updates": 8', b'"updates": 9', 1))


def contradict(rows):
    return [row | {"verdict": "WRONG", "correct": True} if k == 3 else row for k, row in enumerate(rows)]


def ask_another_problem(rows):
    return [row | {"problem_id": "other"} if row["question"] == 7 else row for row in rows]


def ask_a_question_more(rows):
    return rows + [row | {"question": 12} for row in rows if row["question"] == 0]


# What happens to one file of gppo-u4, seed 0 -> what the report says about it.
SPOILED = {
    "garbage table": (schema.EVAL_FILE, lambda path: path.write_bytes(b"PAR1" + bytes(500)), "eval.parquet cannot be"),
    "cut table": (schema.EVAL_FILE, cut, "eval.parquet cannot be read"),
    "table damaged inside": (schema.EVAL_FILE, zero_the_middle, "eval.parquet cannot be read"),
    "cut manifest": (schema.MANIFEST_FILE, cut, "manifest.json cannot be read"),
    "manifest of another version": (
        schema.MANIFEST_FILE,
        lambda path: edit_json(path, schema_version=3),
        "is not a manifest of this version",
    ),
    "empty status": (schema.STATUS_FILE, lambda path: path.write_text(""), "status.json cannot be read"),
    "damaged step": (schema.STEPS_FILE, damage_a_line, "steps.jsonl line 2 is damaged"),
    "doubled step": (schema.STEPS_FILE, double_a_step, "steps.jsonl holds step 5 twice"),
    "doubled timing": (schema.TIMINGS_FILE, double_a_step, "timings.jsonl holds step 5 twice"),
    "doubled rows": (
        schema.EVAL_FILE,
        lambda path: edit_rows(path, lambda rows: rows + rows[5:9]),
        "test question 1 under t1.0 at step 12, sample 1, stands in its evaluation rows more than once",
    ),
    "contradiction": (
        schema.EVAL_FILE,
        lambda path: edit_rows(path, contradict),
        "test question 0 under t1.0 at step 12, sample 3: correct is true, the verdict is WRONG",
    ),
    "another problem": (
        schema.EVAL_FILE,
        lambda path: edit_rows(path, ask_another_problem),
        "question 7 is another problem than that of most runs",
    ),
    "a question more": (
        schema.EVAL_FILE,
        lambda path: edit_rows(path, ask_a_question_more),
        "it alone was asked test question 12",
    ),
    "another run": (
        schema.MANIFEST_FILE,
        lambda path: edit_json(path, run_id="other"),
        "the folder holds run other, the plan asks for gppo-u4-0",
    ),
}
