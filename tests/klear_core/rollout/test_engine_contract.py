"""The contract that every engine keeps; a new engine joins by adding itself to ENGINES.

That of vLLM joins where vLLM is installed: .venv-vllm/bin/python -m pytest tests/klear_core/rollout
"""

import dataclasses
import hashlib
import importlib.util
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats

from klear_core.engine_config import EngineConfig
from klear_core.errors import ConfigError, EngineError
from klear_core.records import FinishReason, Prompt, RandomKey, SamplingParams
from klear_core.rollout.engine import check_trainable, uniforms
from klear_core.rollout.engines import open_engine
from klear_core.rollout.model_decoder import ModelDecoder
from klear_core.rollout.native import NativeEngine
from klear_core.rollout.transformers_engine import TransformersEngine
from klear_core.rollout.vllm_engine import VllmEngine
from klear_core.trainer.collate import pad
from klear_core.trainer.policy import score


class NativeWithAnyModel(NativeEngine):
    """As for an architecture that has no decoder of its own."""

    def _decoder(self):
        return partial(ModelDecoder, self._model, pad_id=self._tokenizer.pad_token_id)


def config_of(name, max_rows=64):
    return EngineConfig(name=name, max_rows=max_rows, cuda_graphs=False, kv_cache_gb=0.25, sleeps=False)


def vllm_engine(model, tokenizer, max_rows=64):
    return VllmEngine.over_model(model, tokenizer, config=config_of("vllm", max_rows))


# They share their random numbers, and so draw the same.
TWINS = {"native": NativeEngine, "native_any_model": NativeWithAnyModel, "transformers": TransformersEngine}
ENGINES = TWINS | ({"vllm": vllm_engine} if importlib.util.find_spec("vllm") else {})
KEY = RandomKey(seed=0, stream="test", step=1)
SAMPLING = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=24, num_samples=4)


@pytest.fixture
def model(make_model):
    return make_model(head_dim=32)  # the smallest that vLLM has on a CPU


@pytest.fixture(params=sorted(ENGINES))
def engine(request, model, tokenizer):
    opened = ENGINES[request.param](model, tokenizer)
    yield opened
    if isinstance(opened, VllmEngine):
        opened.close()


def trainer_logprobs(model, tokenizer, prompts, groups, temperature):
    rows = [(prompt, completion) for prompt, group in zip(prompts, groups, strict=True) for completion in group]
    padded = pad([p.token_ids for p, _ in rows], [c.token_ids for _, c in rows], pad_id=tokenizer.pad_token_id)
    with torch.no_grad():
        scores = score(
            model,
            padded.token_ids_NL,
            padded.attention_mask_NL,
            num_response=padded.response_mask_NT.shape[1],
            temperature=temperature,
            entropy=True,
        )
    lengths = [len(c.token_ids) for _, c in rows]
    return [
        (logprobs[:n], entropy[:n])
        for logprobs, entropy, n in zip(scores.logprobs_NT, scores.entropy_NT, lengths, strict=True)
    ]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_logprobs_and_entropies_equal_the_trainers(engine, model, tokenizer, prompts, temperature):
    sampling = dataclasses.replace(SAMPLING, temperature=temperature)
    groups = engine.generate(prompts, sampling, KEY)
    completions = [completion for group in groups for completion in group]
    expected = trainer_logprobs(model, tokenizer, prompts, groups, temperature)
    for completion, (logprobs, entropy) in zip(completions, expected, strict=True):
        torch.testing.assert_close(torch.tensor(completion.logprobs), logprobs, atol=1e-5, rtol=0)
        if completion.entropies is not None:
            torch.testing.assert_close(torch.tensor(completion.entropies), entropy, atol=1e-5, rtol=1e-5)


def test_logprobs_change_with_the_weights(engine, model, tokenizer, prompts):
    before = engine.generate(prompts, SAMPLING, KEY)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    padded = pad([p.token_ids for p in prompts], [g[0].token_ids for g in before], pad_id=tokenizer.pad_token_id)
    scores = score(
        model,
        padded.token_ids_NL,
        padded.attention_mask_NL,
        num_response=padded.response_mask_NT.shape[1],
        temperature=1.0,
        entropy=False,
    )
    torch.autograd.backward(scores.logprobs_NT[padded.response_mask_NT].mean())
    optimizer.step()
    after = engine.generate(prompts, SAMPLING, KEY)
    assert before != after
    expected = trainer_logprobs(model, tokenizer, prompts, after, 1.0)
    completions = [completion for group in after for completion in group]
    for completion, (logprobs, _) in zip(completions, expected, strict=True):
        torch.testing.assert_close(torch.tensor(completion.logprobs), logprobs, atol=1e-5, rtol=0)


def test_a_completion_does_not_depend_on_its_neighbours(engine, prompts):
    together = engine.generate(prompts, SAMPLING, KEY)
    alone = [engine.generate([prompt], SAMPLING, KEY)[0] for prompt in prompts]
    reverse = engine.generate(prompts[::-1], SAMPLING, KEY)[::-1]
    for group, lone, reversed_group in zip(together, alone, reverse, strict=True):
        for completion, lone_one, reversed_one in zip(group, lone, reversed_group, strict=True):
            assert completion.token_ids == lone_one.token_ids == reversed_one.token_ids
            torch.testing.assert_close(completion.logprobs, lone_one.logprobs, atol=1e-5, rtol=0)


def test_fewer_samples_are_a_prefix_of_more(engine, prompts):
    few = engine.generate(prompts, dataclasses.replace(SAMPLING, num_samples=2), KEY)
    many = engine.generate(prompts, SAMPLING, KEY)
    assert [[c.token_ids for c in group] for group in few] == [[c.token_ids for c in group[:2]] for group in many]


def test_the_same_call_gives_the_same_completions_and_another_key_others(engine, prompts):
    assert engine.generate(prompts, SAMPLING, KEY) == engine.generate(prompts, SAMPLING, KEY)
    assert engine.generate(prompts, SAMPLING, KEY) != engine.generate(
        prompts, SAMPLING, dataclasses.replace(KEY, step=2)
    )


def test_completions_end_at_end_of_text_or_at_the_cap(engine, tokenizer, prompts):
    reasons = set()
    for group in engine.generate(prompts, dataclasses.replace(SAMPLING, num_samples=8), KEY):
        for completion in group:
            reasons.add(completion.finish_reason)
            assert tokenizer.eos_token_id not in completion.token_ids[:-1]
            if completion.finish_reason is FinishReason.STOP:
                assert completion.token_ids[-1] == tokenizer.eos_token_id
            else:
                assert len(completion.token_ids) == SAMPLING.max_tokens
            assert len(completion.logprobs) == len(completion.token_ids)
    assert reasons == {FinishReason.STOP, FinishReason.LENGTH}


def test_greedy_takes_the_likeliest_token_and_ignores_the_key(engine, model, prompts):
    greedy = dataclasses.replace(SAMPLING, temperature=0.0, num_samples=1)
    groups = engine.generate(prompts, greedy, KEY)
    assert groups == engine.generate(prompts, greedy, dataclasses.replace(KEY, seed=9))
    for prompt, (completion,) in zip(prompts, groups, strict=True):
        ids = torch.tensor([[*prompt.token_ids, *completion.token_ids]])
        with torch.no_grad():
            choices = model(input_ids=ids).logits[0, len(prompt.token_ids) - 1 : -1].argmax(-1)
        assert tuple(choices.tolist()) == completion.token_ids


def test_top_p_samples_only_from_the_nucleus(engine, model, prompts):
    sampling = dataclasses.replace(SAMPLING, top_p=0.5, num_samples=8)
    for prompt, group in zip(prompts, engine.generate(prompts, sampling, KEY), strict=True):
        for completion in group:
            ids = torch.tensor([[*prompt.token_ids, *completion.token_ids]])
            with torch.no_grad():
                probs = model(input_ids=ids).logits[0, len(prompt.token_ids) - 1 : -1].softmax(-1)
            for row, token in zip(probs, completion.token_ids, strict=True):
                likelier = row[row > row[token] + 1e-6].sum()
                assert likelier < 0.5 + 1e-5


def test_sampled_tokens_follow_the_models_distribution(engine, model, prompts):
    prompt = prompts[0]
    sampling = SamplingParams(temperature=1.0, top_p=1.0, max_tokens=1, num_samples=4000)
    (group,) = engine.generate([prompt], sampling, KEY)
    with torch.no_grad():
        probs = model(input_ids=torch.tensor([prompt.token_ids])).logits[0, -1].softmax(-1)
    counts = torch.bincount(torch.tensor([c.token_ids[0] for c in group]), minlength=len(probs)) / 4000
    # Five standard errors of the largest cell.
    assert (counts - probs).abs().max() < 5 * 0.5 / 4000**0.5


def test_a_prompt_that_does_not_fit_is_refused(engine):
    long = Prompt(problem_id="long", token_ids=(7,) * 120)
    with pytest.raises(EngineError, match="context of 128"):
        engine.generate([long], SAMPLING, KEY)


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_memory_bound_changes_nothing(name, model, tokenizer, prompts):
    whole = ENGINES[name](model, tokenizer).generate(prompts, SAMPLING, KEY)
    parts = ENGINES[name](model, tokenizer, max_rows=8).generate(prompts, SAMPLING, KEY)
    assert [[c.token_ids for c in group] for group in whole] == [[c.token_ids for c in group] for group in parts]


@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_engines_that_share_random_numbers_draw_the_same_completions(model, tokenizer, prompts, top_p):
    sampling = dataclasses.replace(SAMPLING, top_p=top_p)
    drawn = [engine(model, tokenizer).generate(prompts, sampling, KEY) for engine in TWINS.values()]
    for others in drawn[1:]:
        for group, other in zip(drawn[0], others, strict=True):
            for ours, theirs in zip(group, other, strict=True):
                assert (ours.token_ids, ours.text, ours.finish_reason) == (
                    *(theirs.token_ids, theirs.text),
                    theirs.finish_reason,
                )
                torch.testing.assert_close(ours.logprobs, theirs.logprobs, atol=1e-5, rtol=0)
                torch.testing.assert_close(ours.entropies, theirs.entropies, atol=1e-5, rtol=1e-5)


def test_sampling_leaves_the_model_as_it_was(engine, model, prompts):
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = model.generation_config
    engine.generate(prompts, SAMPLING, KEY)
    assert model.training and model.generation_config is settings
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_checkpoints_own_settings_of_generation_have_no_effect(engine, model, prompts):
    plain = engine.generate(prompts, SAMPLING, KEY)
    model.generation_config.repetition_penalty = 3.0
    model.generation_config.suppress_tokens = [7, 8, 9]
    assert engine.generate(prompts, SAMPLING, KEY) == plain


@pytest.mark.parametrize("name", ["native", "transformers"])
def test_a_config_names_its_engine(name, model, tokenizer, prompts):
    engine = open_engine(config_of(name, max_rows=8), model, tokenizer)
    assert type(engine) is TWINS[name]
    assert engine.generate(prompts, SAMPLING, KEY) == TWINS[name](model, tokenizer, max_rows=8).generate(
        prompts, SAMPLING, KEY
    )


@pytest.mark.parametrize(
    ("change", "told"), [({"top_p": 0.95}, "top_p is 0.95"), ({"temperature": 0.0}, "temperature")]
)
def test_truncated_sampling_is_refused_in_training(change, told):
    check_trainable(SAMPLING)
    with pytest.raises(EngineError, match=f"{told}.*allowed in training"):
        check_trainable(dataclasses.replace(SAMPLING, **change))


@pytest.mark.parametrize("setting", ["rl.top_p=0.9", "rl.top_k=20", "+rl.top_p=0.9"])
def test_no_setting_truncates_sampling_in_training(setting, make_config):
    with pytest.raises(ConfigError, match="top_"):
        make_config(setting)


def test_random_numbers_depend_on_every_part_of_the_key_and_on_no_other_row():
    drawn = [
        tuple(uniforms(key, [(problem, sample)], 8)[0])
        for key, problem, sample in (
            (KEY, "p", 0),
            (KEY, "p", 1),
            (KEY, "q", 0),
            (dataclasses.replace(KEY, stream="x"), "p", 0),
            (dataclasses.replace(KEY, step=2), "p", 0),
            (dataclasses.replace(KEY, seed=1), "p", 0),
        )
    ]
    assert len(set(drawn)) == len(drawn)
    together = uniforms(KEY, [("q", 0), ("p", 1), ("p", 0)], 5)
    assert [tuple(row) for row in together] == [drawn[2][:5], drawn[1][:5], drawn[0][:5]]


def test_random_numbers_are_splitmix64_and_uniform():
    # The published first outputs of SplitMix64 from state 1234567.
    def splitmix(state, count):
        for _ in range(count):
            state = (state + 0x9E3779B97F4A7C15) % 2**64
            z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
            yield z ^ (z >> 31)

    assert list(splitmix(1234567, 2)) == [6457827717110365317, 3203168211198807973]
    state = int.from_bytes(hashlib.blake2b(b"0/test/1/p/3", digest_size=8).digest(), "little")
    assert uniforms(KEY, [("p", 3)], 6)[0].tolist() == [(z >> 11) * 2.0**-53 for z in splitmix(state, 6)]
    many = uniforms(KEY, [("p", n) for n in range(4000)], 4)
    assert abs(many.mean(0) - 0.5).max() < 0.03
    assert scipy_stats.kstest(many.ravel(), "uniform").pvalue > 0.001
    assert abs(np.corrcoef(many.T) - np.eye(4)).max() < 0.07
