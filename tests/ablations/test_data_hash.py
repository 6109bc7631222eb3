"""Files that settings name: a change behind the name is a change of the data."""

import json
import shutil

import pytest

from ablations.data_hash import data_hash, mix_hash, reads_files
from ablations.mixing import open_supervision
from ablations.plan import make_plan
from ablations.run import compose
from klear_core.errors import ConfigError
from klear_core.trainer.model_folder import save_model

MIX = ["stage=sft", "sft_mix=solo", "sft_mix.params.count=40", "sweep.compare=sft_mix.name"]


def config_of(*arguments):
    (config,) = compose(["scale=smoke", "task=chains_mixed", *arguments])
    return config


def rates_file(path, rate):
    path.write_text(json.dumps({"prompt": "3+4=", "pass_rate": rate}) + "\n")
    return path


def test_generated_data_read_no_file():
    assert not reads_files(config_of(*MIX))
    assert mix_hash(config_of(*MIX)) == ""


def test_a_file_that_an_operator_reads_counts(tmp_path):
    path = rates_file(tmp_path / "rates.jsonl", 0.5)
    config = config_of(*MIX, f"sft_mix.steps=[{{pass_rates: {{file: {path}}}}}]")
    assert reads_files(config)
    before = data_hash(config)
    assert data_hash(config) == before
    rates_file(path, 0.25)
    assert data_hash(config) != before


def test_weights_behind_a_checkpoint_and_an_embedding_count(tmp_path, model, tokenizer):
    folder = tmp_path / "model"
    save_model(folder, model, tokenizer)
    step = f"sample: {{count: 4, method: kcenter, dimensions: 8, embedding: 'sentence:{folder}'}}"
    for arguments in ([f"sft.checkpoint={folder}"], [f"sft_mix.steps=[{{{step}}}]"]):
        save_model(folder, model, tokenizer)
        config = config_of(*MIX, *arguments)
        assert reads_files(config)
        before = data_hash(config)
        next(model.parameters()).data.mul_(1.5)
        shutil.rmtree(folder)
        save_model(folder, model, tokenizer)
        assert data_hash(config) != before


def test_arms_that_a_given_checkpoint_leaves_alike_are_refused(tmp_path, model, tokenizer):
    save_model(tmp_path / "model", model, tokenizer)
    given = f"sft.checkpoint={tmp_path / 'model'}"
    for compared in ("sft_mix.name", "sft.pack_tokens"):
        with pytest.raises(ConfigError, match=r"which has no effect beside sft\.checkpoint; allowed: settings of RL"):
            make_plan([config_of("sft_mix=solo", given, f"sweep.compare={compared}")])


def test_what_does_not_fit_the_model_is_left_out_and_counted(tokenizer):
    config = config_of(*MIX, "sft.pack_tokens=36")
    supervision = open_supervision(config, tokenizer, context=128)
    shown = supervision.mix
    assert shown["max_tokens"] == 36
    assert 0 < shown["too_long"] < 40
    assert shown["examples"] + shown["too_long"] == 40
    examples = supervision.examples(0)
    seen = {next(examples).prompt for _ in range(shown["examples"])}
    assert len(seen) == shown["prompts"] == shown["examples"]
    assert max(len(tokenizer(prompt)["input_ids"]) for prompt in seen) < 36
