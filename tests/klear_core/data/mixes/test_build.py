import dataclasses
import json

import pytest

from klear_core.config import SFTMixConfig
from klear_core.data.formats.write import write_rows
from klear_core.data.mixes.build import build_mix, check_mix
from klear_core.data.tasks import get_task
from klear_core.errors import ConfigError, DataError
from klear_core.records import SFTExample

CLEAN = {
    "generated": "clean",
    "teacher": "t",
    "accuracy": 0.8,
    "min_difficulty": None,
    "max_difficulty": None,
    "first": 0,
    "problems": 60,
    "per_problem": 1,
}


def mix_config(inputs, steps=()):
    return SFTMixConfig(name="m", note="", params={}, inputs=list(inputs), steps=list(steps))


@pytest.fixture(scope="module")
def task(make_config):
    return get_task(make_config("task=chains_mixed").task)


@pytest.fixture(scope="module")
def made(task):
    def make(inputs, steps=(), seed=0, questions=()):
        problems = task.problems("train", 600)
        return build_mix(mix_config(inputs, steps), task=task, problems=problems, questions=questions, seed=seed)

    return make


def test_each_step_says_what_it_took_and_what_it_left(made):
    mix = made(
        [CLEAN | {"per_problem": 2}],
        [
            {"dedup": {"of": "pair"}},
            {"correctness": {"keep": "only_true"}},
            {"sample": {"count": 20, "method": "random", "dimensions": 8, "embedding": "ngrams"}},
        ],
    )
    assert [step.name for step in mix.steps] == ["inputs", "dedup", "correctness", "sample"]
    assert mix.steps[0].after == 120
    for before, after in zip(mix.steps, mix.steps[1:], strict=False):
        assert after.before == before.after >= after.after
        assert after.details["dropped"] == after.before - after.after
    assert len(mix.examples) == 20 == mix.fingerprint.rows
    assert all(example.is_correct for example in mix.examples)


def test_a_mix_depends_on_its_settings_and_its_seed_only(made):
    assert made([CLEAN]) == made([CLEAN])
    assert made([CLEAN]).fingerprint != made([CLEAN], seed=1).fingerprint


def test_mixes_share_the_demonstrations_that_both_ask_for(made):
    both = made([CLEAN, CLEAN | {"generated": "foreign", "first": 60}])
    assert made([CLEAN]).examples == tuple(e for e in both.examples if e.source == "clean")
    more = made([CLEAN | {"per_problem": 3}])
    assert more.examples[:60] == made([CLEAN]).examples


def test_a_generated_input_has_its_problems_within_the_limits_and_its_accuracy(made):
    mix = made([CLEAN | {"min_difficulty": 4, "max_difficulty": 5, "problems": 150, "per_problem": 8, "accuracy": 0.5}])
    assert {example.difficulty for example in mix.examples} == {4, 5}
    assert len({example.prompt for example in mix.examples}) == 150
    assert sum(example.is_correct for example in mix.examples) / 1200 == pytest.approx(0.5, abs=0.04)


def test_questions_are_never_trained_on(made, task):
    asked = task.problems("train", 600)[10:20]
    mix = made([CLEAN], [{"decontaminate": {"ngram": 9}}], questions=asked)
    assert len(mix.examples) == 50
    assert not {q.prompt for q in asked} & {e.prompt for e in mix.examples}


def test_rows_of_a_file_keep_what_they_say_unless_the_mix_names_it(made, tmp_path):
    rows = [
        SFTExample(
            problem_id="", prompt=f"p{k}", response="r", source="s", teacher="w", is_correct=None, difficulty=None
        )
        for k in range(5)
    ]
    from klear_core.data.splits import problem_id_of

    rows = [dataclasses.replace(row, problem_id=problem_id_of(row.prompt)) for row in rows]
    path = tmp_path / "rows.jsonl"
    write_rows(path, rows)
    assert made([{"rows": str(path)}]).examples == tuple(rows)
    renamed = made([{"rows": str(path), "teacher": "other", "source": None}]).examples
    assert renamed == tuple(dataclasses.replace(row, teacher="other") for row in rows)


def test_nothing_left_is_refused_with_what_each_step_left(made):
    with pytest.raises(DataError, match=r"no demonstration is left in the mix m: 60 read, 0 after correctness"):
        made([CLEAN | {"accuracy": 1.0}], [{"correctness": {"keep": "only_false"}}])


def test_more_problems_than_there_are_is_refused_with_both_numbers(made):
    with pytest.raises(DataError, match=r"asks for problems 590 to 649 .* there are 600 among"):
        made([CLEAN | {"first": 590}])


@pytest.mark.parametrize(
    ("inputs", "steps", "told"),
    [
        ([3], [], r"sft_mix\.inputs\[0\] is 3; allowed: a mapping with either rows or generated"),
        ([{"rows": "a", "generated": "clean"}], [], r"inputs\[0\] .* either rows or generated"),
        ([CLEAN | {"generated": "dirty"}], [], r"inputs\[0\]\.generated is 'dirty'; allowed: clean, foreign|skipped"),
        ([CLEAN | {"accuracy": 1.5}], [], r"inputs\[0\]\.accuracy is 1\.5; allowed: 0 < value <= 1"),
        ([CLEAN | {"problems": 0}], [], r"inputs\[0\]\.problems is 0; allowed: > 0"),
        ([CLEAN | {"typo": 1}], [], r"inputs\[0\]\.typo is not a setting"),
        ([{"rows": 5}], [], r"inputs\[0\]\.rows is 5; allowed: a value of type str"),
        ([CLEAN], ["dedup"], r"sft_mix\.steps\[0\] is 'dedup'; allowed: a mapping of one operator"),
        ([CLEAN], [{"dedup": {"of": "prompt"}, "sources": {}}], r"steps\[0\] .* a mapping of one operator"),
        ([CLEAN], [{"dedupe": {}}], r"steps\[0\] is 'dedupe'; allowed: balanced, correctness"),
        ([CLEAN], [{"dedup": None}], r"steps\[0\]\.dedup is None; allowed: the operator's parameters"),
        ([CLEAN], [{"dedup": {}}], r"steps\[0\]\.dedup\.of is missing; needed: of"),
        ([CLEAN], [{"dedup": {"of": "row"}}], r"steps\[0\]\.dedup\.of is 'row'; allowed: prompt"),
        ([CLEAN], [{"decontaminate": {"ngram": "9"}}], r"\.ngram is '9'; allowed: a number of type int"),
        ([], [{"dedup": {"of": "pair"}}], r"sft_mix\.steps is given without sft_mix\.inputs"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_planned(task, inputs, steps, told):
    with pytest.raises((ConfigError, DataError), match=told) as caught:
        check_mix(mix_config(inputs, steps), task)
    assert "\n" not in str(caught.value)


def test_details_are_plain_json(made):
    steps = [
        {"top_sources": {"k": 1, "ranking": [], "by": "correct"}},
        {"label_difficulty": {"accuracy": 0.7, "completions": 4}},
        {"sample": {"count": 30, "method": "kcenter", "dimensions": 8, "embedding": "ngrams"}},
    ]
    mix = made([CLEAN, CLEAN | {"generated": "wrong_answers", "first": 60}], steps)
    assert json.loads(json.dumps([step.details for step in mix.steps])) == [dict(step.details) for step in mix.steps]
    assert {example.source for example in mix.examples} == {"clean"}
