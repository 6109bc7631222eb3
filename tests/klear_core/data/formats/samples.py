"""Rows of every public format as their files hold them, and the ways in which files hold rows."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from klear_core.data.formats.load import load_rows
from klear_core.data.splits import problem_id_of
from klear_core.errors import DataError
from klear_core.records import CodeTests, Problem, SFTExample, TestKind


def user(text, *before):
    return [*before, {"role": "user", "content": text}]


def chat(text, reply, system=""):
    head = [{"role": "system", "content": system}] if system else []
    return [*user(text, *head), {"role": "assistant", "content": reply}]


def rl(prompt, truth, ability="math", **more):
    reward = {"ground_truth": truth, "style": "rule"}
    return {"data_source": "set", "prompt": user(prompt), "ability": ability, "reward_model": reward} | more


def aime(unique_id, prompt, solution="73"):
    meta = {"unique_id": unique_id, "problem": prompt, "solution": solution, "Part": "II"}
    return {"messages": user(prompt), "meta": meta}


def hmmt(number, prompt, answer="103"):
    return {"id": number, "messages": user(prompt), "solution": "\\boxed{x}", "answer": answer}


def example(prompt, response, **more):
    values = {"source": "", "teacher": "", "is_correct": None, "difficulty": None} | more
    return SFTExample(problem_id=problem_id_of(prompt), prompt=prompt, response=response, **values)


def problem(prompt, answer, **more):
    values = {"domain": "", "source": "", "difficulty": None} | more
    return Problem(problem_id=problem_id_of(prompt), prompt=prompt, answer=answer, **values)


TESTS = json.dumps({"inputs": ["1\n", "2\n"], "outputs": ["1", "4"]})
READ_TESTS = CodeTests(kind=TestKind.STDIN, entry="", inputs=("1\n", "2\n"), outputs=("1", "4"))
OPENR1 = {
    "problem": "p",
    "solution": "s",
    "answer": "4",
    "source": "olympiads",
    "uuid": "u",
    "generations": ["<think>a</think> 4", "<think>b</think> 5"],
    "correctness_math_verify": [True, False],
    "messages": chat("p", "<think>a</think> 4"),
}
OPENTHOUGHTS = {
    "difficulty": 7,
    "source": "stackexchange",
    "domain": "code",
    "conversations": [{"from": "human", "value": "p"}, {"from": "gpt", "value": "r"}],
}

# Name of the case -> (format, rows of a file, the records they are).
CASES = {
    "klear maths": ("klear-rl", [rl("p", "4")], [problem("p", "4", domain="math", source="set")]),
    "klear code": (
        "klear-rl",
        [rl("p", TESTS, "code")],
        [problem("p", "", domain="code", source="set", tests=READ_TESTS)],
    ),
    "klear code with pytest": (
        "klear-rl",
        [rl("p", json.dumps({"pytest": "def test(): assert f() == 1"}), "code")],
        [problem("p", "", domain="code", source="set")],
    ),
    "verl": (
        "verl-rl",
        [rl("p", "4", extra_info={"split": "train", "index": 0})],
        [problem("p", "4", domain="math", source="set")],
    ),
    "messages": (
        "messages",
        [{"messages": chat("p", "r")}, {"messages": chat("q", "é", "be brief")}],
        [example("p", "r"), example("q", "é", system="be brief")],
    ),
    "messages with more": (
        "messages",
        [{"messages": chat("p", "r"), "source": "a", "teacher": "t", "is_correct": True, "difficulty": 2}],
        [example("p", "r", source="a", teacher="t", is_correct=True, difficulty=2.0)],
    ),
    "texts": ("prompt-completion", [{"prompt": "p", "completion": "r"}], [example("p", "r")]),
    "lists": (
        "prompt-completion",
        [{"prompt": user("p", {"role": "system", "content": "s"}), "completion": chat("p", "r")[1:]}],
        [example("p", "r", system="s")],
    ),
    "prompt alone": ("prompts", [{"prompt": "p"}], [problem("p", "")]),
    "prompt list alone": ("prompts", [{"prompt": user("p")}], [problem("p", "")]),
    "OpenR1": (
        "openr1-math",
        [OPENR1],
        [
            example("p", "<think>a</think> 4", source="olympiads", is_correct=True),
            example("p", "<think>b</think> 5", source="olympiads", is_correct=False),
        ],
    ),
    "OpenThoughts3": ("openthoughts", [OPENTHOUGHTS], [example("p", "r", source="stackexchange", difficulty=7.0)]),
    "OpenThoughts without difficulty": (
        "openthoughts",
        [OPENTHOUGHTS | {"difficulty": None}, OPENTHOUGHTS],
        [
            example("p", "r", source="stackexchange"),
            example("p", "r", source="stackexchange", difficulty=7.0),
        ],
    ),
    "AIME": (
        "aime",
        [aime("2024-II-1", "p"), aime("2024-II-2", "q", "7")],
        [problem("p", "73", domain="math"), problem("q", "7", domain="math")],
    ),
    "HMMT": (
        "hmmt",
        [hmmt(0, "p"), hmmt(1, "q", "7")],
        [problem("p", "103", domain="math"), problem("q", "7", domain="math")],
    ),
    "own demonstration": ("own-demonstrations", [{"prompt": "p", "response": "r"}], [example("p", "r")]),
    "own problem": ("own-problems", [{"prompt": "p", "answer": "4"}], [problem("p", "4")]),
    "own problem with tests": (
        "own-problems",
        [{"prompt": "p", "tests": {"kind": "stdin", "entry": "", "inputs": ["1\n", "2\n"], "outputs": ["1", "4"]}}],
        [problem("p", "", tests=READ_TESTS)],
    ),
}


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def write_jsonl(folder, rows):
    path = folder / "rows.jsonl"
    path.write_text(lines(rows))
    return path


def write_array(folder, rows):
    path = folder / "array.json"
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


def write_json_lines(folder, rows):
    path = folder / "lines.json"
    path.write_text(lines(rows))
    return path


def write_parquet(folder, rows):
    path = folder / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_folder(folder, rows):
    home = folder / "shards"
    home.mkdir()
    (home / "README.md").write_text("no data")
    (home / ".hidden.jsonl").write_text("no data")
    for number, row in enumerate(rows):
        if number % 2:
            pq.write_table(pa.Table.from_pylist([row]), home / f"{number:03}.parquet")
        else:
            (home / f"{number:03}.jsonl").write_text(lines([row]))
    return home


CONTAINERS = {
    "JSON lines": write_jsonl,
    "array": write_array,
    "lines in .json": write_json_lines,
    "parquet": write_parquet,
    "folder": write_folder,
}


def refused(path):
    """The one line of rows that must be refused, and the records that came before it."""
    before = []
    with pytest.raises(DataError) as caught:
        for record in load_rows(str(path)):
            before.append(record)
    assert "\n" not in str(caught.value)
    return str(caught.value), before
