"""What scales, recipes and their sweeps compose to, and that a plan of them passes every check."""

import dataclasses

import pytest

from ablations.estimate import num_parameters
from ablations.plan import make_plan
from ablations.preflight import check_prompts
from ablations.run import compose
from klear_core.errors import ConfigError
from klear_core.trainer.model_folder import load_model
from tests.e2e import own_data

SMALL = ["task.train_problems=64", "eval.test_questions=8", "eval.validation_questions=8"]
QWEN = ("qwen3_0_6b", "qwen3_8b")


# Of each sweep some arms and points: all of them take Hydra a minute to compose.
@pytest.mark.parametrize(
    ("sweep", "digits", "part"),
    [
        ("clipping", 2, ["objective=clip_higher,gppo"]),
        ("reward", None, ["reward=hard,klear_released"]),
        ("stability", 2, ["objective=clip_higher", "rl.updates_per_rollout=4", "rl.learning_rate=1e-5,5e-5"]),
    ],
)
def test_a_gpu_sweep_trains_a_medium_model_on_a_gpu(sweep, digits, part, tmp_path):
    configs = compose([f"+sweep={sweep}", "scale=gpu", "seed=0", *part, *SMALL, f"launch.runs_dir={tmp_path}"])
    assert len(make_plan(configs).plan.runs) == {"clipping": 4, "reward": 2, "stability": 2}[sweep]
    for config in configs:
        assert (config.model.device, config.model.precision, config.launch.slots) == ("cuda", "float32", 4)
        assert 20e6 < num_parameters(config) < 100e6
        assert config.rl.micro_batch_tokens == config.sft.micro_batch_tokens == 16384
        # Sweeps about programs keep their task.
        assert config.task.params.get("digits") == digits
        assert config.sweep.name == sweep


def test_every_other_scale_stays_on_the_cpu(make_config):
    for scale in ("laptop", "smoke"):
        config = make_config(f"scale={scale}")
        assert (config.model.device, config.model.precision) == ("cpu", "float32")


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A tiny model folder in the place of Qwen3's, and problems to go with it, as arguments."""
    folder = tmp_path_factory.mktemp("own")
    data, model = own_data.write_data(folder / "data"), own_data.write_model(folder / "model")
    return model, [
        *(f"task.params.{split}={data[split]}" for split in ("train", "validation", "test")),
        *("task.train_problems=8", "eval.validation_questions=4", "eval.test_questions=6"),
        f"launch.runs_dir={folder / 'runs'}",
    ]


SMALL_STEPS = ["rl.problems_per_step=8", "rl.max_response_tokens=24"]


@pytest.mark.parametrize("scale", QWEN)
@pytest.mark.parametrize("recipe", ["klear_paper", "klear_released"])
def test_a_preset_starts_from_a_folder_with_the_values_of_the_paper(scale, recipe, stand_in):
    model, arguments = stand_in
    arguments = [f"scale={scale}", f"recipe={recipe}", f"sft.checkpoint={model}", *arguments]
    # The stand-in has 8 problems; a step of the recipe has 128.
    (config,) = compose([*arguments, "task.train_problems=128"])
    rl = config.rl
    assert (rl.problems_per_step, rl.completions_per_problem, rl.updates_per_rollout) == (128, 8, 8)
    assert (rl.learning_rate, rl.warmup_updates, rl.weight_decay, rl.max_grad_norm) == (1e-6, 10, 0.1, 1.0)
    assert (rl.temperature, rl.max_response_tokens) == (1.0, 32768)
    assert (config.sft.learning_rate, config.sft.final_learning_rate) == (8e-5, 4e-5)
    assert (config.objective.params["clip_low"], config.objective.params["clip_high"]) == (0.2, 0.28)
    assert config.reward.name == recipe
    reduction = {"klear_paper": "group_token_mean", "klear_released": "token_mean"}
    assert (config.loss.reduction, config.loss.denominator) == (reduction[recipe], "kept")
    differing = config.objective.params["dual_clip"], config.objective.params["beta_low"], config.advantage.params
    expected = {"klear_paper": (None, 1.0, {"ddof": 0}), "klear_released": (10.0, 0.25, {"ddof": 1})}
    assert differing == expected[recipe]
    assert config.reward.verifier == "math_verify"
    assert (config.model.device, config.model.name) == ("cuda", scale)
    # What the memory of a GPU asks for with answers of 32K tokens.
    assert (config.engine.name, config.engine.sleeps, config.model.gradient_checkpointing) == ("vllm", True, True)
    longest = rl.max_response_tokens + 4096
    assert config.rl.micro_batch_tokens == config.sft.micro_batch_tokens == longest
    (small,) = compose([*arguments, *SMALL_STEPS])
    checked = make_plan([small])
    assert checked.plan.primary.decoding == "t0.6_p0.95"
    held, tokenizer = load_model(model, dataclasses.replace(small.model, device="cpu"))
    assert {parameter.element_size() for parameter in held.parameters()} == {2}
    check_prompts(small, tokenizer, held.config.max_position_embeddings)


def test_a_preset_runs_the_clipping_sweep_as_well(stand_in):
    model, arguments = stand_in
    arguments = ["+sweep=clipping", "scale=qwen3_8b", f"sft.checkpoint={model}", *arguments, *SMALL_STEPS]
    held = ["model.device=cpu", "model.precision=bf16_master", "engine=native"]
    configs = compose([*arguments, *held, "rl.updates_per_rollout=2", "objective=clip_higher,cispo", "seed=0"])
    assert {(config.model.device, config.model.precision) for config in configs} == {("cpu", "bf16_master")}
    assert {config.objective.name for config in configs} == {"clip_higher", "cispo"}
    assert len(make_plan(configs).plan.runs) == 2


def test_an_engine_that_sleeps_is_alone_on_its_gpu(stand_in):
    model, arguments = stand_in
    arguments = ["scale=qwen3_0_6b", f"sft.checkpoint={model}", *arguments, *SMALL_STEPS]
    with pytest.raises(ConfigError, match=r"engine\.sleeps is True with launch\.slots = 2; allowed: false"):
        compose([*arguments, "launch.slots=2"])
    compose([*arguments, "launch.slots=2", "engine.sleeps=false"])


@pytest.mark.parametrize("scale", QWEN)
def test_a_preset_without_a_model_says_how_to_get_one(scale, stand_in):
    with pytest.raises(ConfigError, match=r"sft\.checkpoint is null.*'hf download org/name --local-dir FOLDER'.*hub:"):
        make_plan(compose([f"scale={scale}", *stand_in[1], *SMALL_STEPS]))
