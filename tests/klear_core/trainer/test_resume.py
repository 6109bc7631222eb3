"""A run that is interrupted anywhere and goes on is the run that was not: the same rows, the same bytes of weights."""

import copy
import dataclasses
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ablations.mixing import open_supervision
from klear_core.errors import DataError
from klear_core.records import Completion, FinishReason, Problem, Prompt, RolloutGroup
from klear_core.rollout.native import NativeEngine
from klear_core.trainer.checkpoint import Checkpoints, model_tensors
from klear_core.trainer.placing import place
from klear_core.trainer.rl import RLTrainer
from klear_core.trainer.rollout_state import pack, unpack
from klear_core.trainer.sft import SFTTrainer

STEPS = 3


class Graded(NativeEngine):
    """Real samples of which every third answers right, so that every step has something to learn."""

    problems = ()

    def generate(self, prompts, sampling, key):
        answers = {problem.problem_id: problem.answer for problem in self.problems}
        return [
            tuple(
                dataclasses.replace(
                    c, text=f"<think></think>\\boxed{{{answers[p.problem_id]}}}", finish_reason=FinishReason.STOP
                )
                if k % 3 == 0
                else c
                for k, c in enumerate(group)
            )
            for p, group in zip(prompts, super().generate(prompts, sampling, key), strict=True)
        ]


@pytest.fixture
def make_trainer(request, make_config, model, tokenizer, grader, chains):
    weights = copy.deepcopy(model)
    config = make_config(
        *("rl.problems_per_step=8", "rl.completions_per_problem=4", "task.train_problems=24"),
        *("rl.max_response_tokens=12", "rl.warmup_updates=2", "rl.learning_rate=1e-3", f"rl.steps={STEPS}"),
        *getattr(request, "param", ()),
    )

    def make(after_rollout=lambda: None):
        fresh = copy.deepcopy(weights)
        engine = Graded(fresh, tokenizer)
        engine.problems = chains
        return RLTrainer(
            config,
            model=fresh,
            tokenizer=tokenizer,
            engine=engine,
            grader=grader,
            problems=chains,
            after_rollout=after_rollout,
        )

    return make


def outcome(trainer):
    rows = [result.metrics for result in trainer.steps()]
    return rows, {name: value.clone() for name, value in model_tensors(trainer._model).items()}


def same_bits(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


PACKED = ("rl.pack_tokens=40", "rl.micro_batch_tokens=90")


@pytest.mark.parametrize(
    ("make_trainer", "when"),
    [
        *(((), (step, what)) for step in range(1, STEPS + 1) for what in ("rollout", "step")),
        *((PACKED, when) for when in ((2, "rollout"), (2, "step"))),
    ],
    indirect=["make_trainer"],
)
def test_an_rl_run_goes_on_bit_for_bit_from_any_point(make_trainer, tmp_path, when):
    rows, weights = outcome(make_trainer())
    assert all(row["grad_norm_mean"] > 0 for row in rows)
    checkpoints = Checkpoints(tmp_path)
    seen = []

    def save_in_the_rollout():
        if when == (len(seen) + 1, "rollout"):
            checkpoints.save(trainer.state())
            raise InterruptedError

    trainer = make_trainer(save_in_the_rollout)
    with pytest.raises(InterruptedError):
        for result in trainer.steps():
            seen.append(result.metrics)
            if when == (len(seen), "step"):
                checkpoints.save(trainer.state())
                raise InterruptedError
    other = make_trainer()
    other.restore(checkpoints.load())
    rest = list(other.steps())
    assert [result.resumed for result in rest] == [when[1] == "rollout", *[False] * STEPS][: len(rest)]
    kept = when[0] - (when[1] == "rollout")
    assert str(seen[:kept] + [result.metrics for result in rest]) == str(rows)
    assert same_bits(model_tensors(other._model), weights)


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["sft_mix=solo", "sft_mix.params.count=40", "sft.pack_tokens=100"],
        ["model.precision=bf16_master"],
        ["model.precision=bf16_kahan"],
    ],
)
def test_a_supervised_run_goes_on_bit_for_bit(make_config, model, tokenizer, tmp_path, settings):
    config = make_config("sft.steps=6", "sft.batch_size=8", "sft.warmup_steps=2", *settings)
    start = copy.deepcopy(model)

    def make():
        examples = open_supervision(config, tokenizer, context=128).examples
        held = place(copy.deepcopy(start), config.model)
        return SFTTrainer(held, tokenizer, examples, config.sft, precision=config.model.precision)

    whole = make()
    rows = list(whole.steps())
    for stop in range(1, 6):
        part = make()
        for row in part.steps():
            if row["step"] == stop:
                break
        checkpoints = Checkpoints(tmp_path / str(stop))
        checkpoints.save(part.state())
        rest = make()
        rest.restore(checkpoints.load())
        assert list(rest.steps()) == rows[stop:]
        assert same_bits(model_tensors(rest._model), model_tensors(whole._model))


def test_a_demonstration_depends_on_seed_and_visit_only(make_config, tokenizer):
    def taught(start, count, seed=0):
        return list(
            islice(open_supervision(make_config(f"seed={seed}"), tokenizer, context=128).examples(start), count)
        )

    whole = taught(0, 30)
    assert taught(11, 19) == whole[11:]
    assert taught(0, 30, seed=1) != whole


def test_a_rollout_of_other_problems_is_refused(make_trainer):
    states = []
    trainer = make_trainer(lambda: states.append(trainer.state()))
    next(trainer.steps())
    moved = dataclasses.replace(states[0], data={**states[0].data, "step": 1})
    with pytest.raises(DataError, match="rollout is that of other problems"):
        make_trainer().restore(moved)


FLOATS = st.floats(allow_nan=False, width=32) | st.floats(allow_nan=False)


@st.composite
def groups(draw):
    def completion():
        ids = draw(st.lists(st.integers(0, 2**31), min_size=0, max_size=4))
        numbers = st.lists(FLOATS, min_size=len(ids), max_size=len(ids)).map(tuple)
        return Completion(
            token_ids=tuple(ids),
            logprobs=draw(numbers),
            entropies=draw(st.none() | numbers),
            text=draw(st.text(max_size=5)),
            finish_reason=draw(st.sampled_from(list(FinishReason))),
        )

    made = []
    for index in range(draw(st.integers(1, 3))):
        problem = Problem(problem_id=str(index), domain="d", prompt="p", answer="a", source="s", difficulty=1)
        prompt = Prompt(problem_id=str(index), token_ids=tuple(draw(st.lists(st.integers(0, 99), max_size=3))))
        completions = tuple(completion() for _ in range(draw(st.integers(1, 3))))
        made.append(RolloutGroup(problem=problem, prompt=prompt, completions=completions, policy_step=index))
    return made


@given(made=groups())
def test_a_rollout_in_progress_round_trips_exactly(made):
    import json

    tensors, rest = pack(made)
    assert unpack(tensors, json.loads(json.dumps(rest)), [group.problem for group in made]) == made
