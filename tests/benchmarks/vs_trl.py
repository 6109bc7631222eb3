"""Times one RL step of ours and of TRL 1.16's GRPOTrainer on the same work, alternating in one run.

    pip install -c constraints.txt -e '.[trl]'
    python tests/benchmarks/vs_trl.py [--checkpoint FOLDER] [--updates 8] [--steps 10] [--threads 1]

Equal on both sides: the starting checkpoint, problems, 32 problems x 8 completions, token cap, temperature, updates a
rollout, mini-batch rows, AdamW with its rate and betas, gradient clipping, PPO-clip 0.2/0.28, no KL, the grader,
float32, threads.  Both score the rollout once more for old log-probabilities before the updates.  Our step runs inside
TRL's callback between two of TRL's steps, so the machine's mood meets both.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

_PARSER = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
_PARSER.add_argument("--checkpoint", type=Path, help="supervised checkpoint to start from; trained here when absent")
_PARSER.add_argument("--updates", type=int, default=8, help="optimizer updates a rollout (a divisor of 32)")
_PARSER.add_argument("--steps", type=int, default=10, help="timed alternations after two of warm-up")
_PARSER.add_argument("--threads", type=int, default=1)
_ARGUMENTS = _PARSER.parse_args()
# OpenMP reads these when torch is imported.
os.environ.update(
    OMP_NUM_THREADS=str(_ARGUMENTS.threads),
    OMP_WAIT_POLICY="PASSIVE",
    GOMP_SPINCOUNT="0",
    HF_HUB_OFFLINE="1",
    WANDB_MODE="disabled",
    TOKENIZERS_PARALLELISM="false",
)
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from measured import ratio, tell  # noqa: E402
from transformers import TrainerCallback  # noqa: E402
from transformers.trainer_utils import set_seed  # noqa: E402
from trl import GRPOConfig, GRPOTrainer  # noqa: E402

from ablations.evaluation import load_problems  # noqa: E402
from ablations.mixing import open_supervision  # noqa: E402
from ablations.run import compose  # noqa: E402
from klear_core.data.order import shuffled_forever  # noqa: E402
from klear_core.data.tokenizer import build_tokenizer  # noqa: E402
from klear_core.records import Completion, FinishReason, Problem, Verdict  # noqa: E402
from klear_core.rewards.grader import Grader, Scoring  # noqa: E402
from klear_core.rollout.native import NativeEngine  # noqa: E402
from klear_core.trainer.model_folder import load_model, save_model  # noqa: E402
from klear_core.trainer.policy import build_model  # noqa: E402
from klear_core.trainer.rl import RLTrainer  # noqa: E402
from klear_core.trainer.sft import SFTTrainer  # noqa: E402

WARM_UP = 2
GRADER = Grader(Scoring(scores={verdict: float(verdict is Verdict.CORRECT) for verdict in Verdict}, soft=False))
PHASES = ("rollout_s", "reward_s", "score_s", "update_s")


def settings(skip: bool):
    """The laptop scale's config under PPO-clip 0.2/0.28."""
    (config,) = compose(
        [
            "objective=clip_higher",
            f"rl.updates_per_rollout={_ARGUMENTS.updates}",
            "rl.warmup_updates=0",
            "rl.steps=100000",
            "loss.reduction=token_mean",
            f"loss.skip_zero_advantage_rows={str(skip).lower()}",
        ]
    )
    return config


def train_checkpoint(folder: Path) -> Path:
    """The supervised start of seed 0 at laptop scale."""
    config = settings(True)
    tokenizer = build_tokenizer(max_length=128)
    model = build_model(config.model, tokenizer, seed=0)
    examples = open_supervision(config, tokenizer, context=128).examples
    trainer = SFTTrainer(model, tokenizer, examples, config.sft, precision=config.model.precision)
    for row in trainer.steps():
        if row["step"] % 200 == 0:
            print(f"supervised start: step {row['step']}, loss {row['loss']:.3f}", flush=True)
    save_model(folder, model, tokenizer)
    return folder


class Ours:
    """Our trainer, one timed step at a time."""

    def __init__(self, checkpoint: Path, *, skip: bool) -> None:
        config, self.skip = settings(skip), skip
        self.model, tokenizer = load_model(checkpoint)
        engine = NativeEngine(self.model, tokenizer)
        problems = load_problems(config, "train")
        graded = {"grader": GRADER, "problems": problems}
        trainer = RLTrainer(config, model=self.model, tokenizer=tokenizer, engine=engine, **graded)
        self._steps = trainer.steps()
        self.seconds: list[float] = []
        self.results = []

    def step(self) -> None:
        """Run and time one step."""
        started = time.perf_counter()
        result = next(self._steps)
        self.seconds.append(time.perf_counter() - started)
        self.results.append(result)

    def phase(self, name: str) -> float:
        """Median seconds of a phase after the warm-up."""
        return statistics.median(result.seconds[name] for result in self.results[WARM_UP:])


class Alternate(TrainerCallback):
    """After every full TRL step (a generation and its updates), run ours with and without leaving rows out."""

    def __init__(self, ours: dict[str, Ours], updates: int) -> None:
        self.ours = ours
        self.updates = updates
        self.seconds: list[float] = []
        self._started = 0.0

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        """Start the first TRL clock."""
        self._started = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Stop TRL's clock at the last update of a rollout, let ours run, start it again."""
        if state.global_step % self.updates:
            return
        self.seconds.append(time.perf_counter() - self._started)
        for trainer in self.ours.values():
            trainer.step()
        self._started = time.perf_counter()


class Rewards:
    """Our grader as a TRL reward function, keeping count of what TRL sampled."""

    __name__ = "boxed"

    def __init__(self, eos: int) -> None:
        self._eos = eos
        self.means: list[float] = []
        self.tokens: list[int] = []

    def __call__(self, prompts, completions, completion_ids, answer, **kwargs) -> list[float]:
        """Rewards of a generation batch."""
        values = []
        for text, ids, reference in zip(completions, completion_ids, answer, strict=True):
            reason = FinishReason.STOP if ids[-1] == self._eos else FinishReason.LENGTH
            given = Completion(token_ids=tuple(ids), logprobs=(), entropies=None, text=text, finish_reason=reason)
            problem = Problem(problem_id="", domain="", prompt="", answer=reference, source="chains", difficulty=0)
            values += [reward.value for reward in GRADER.grade([problem], [given])]
        self.means.append(statistics.fmean(values))
        self.tokens.append(sum(map(len, completion_ids)))
        return values


def trl_trainer(checkpoint: Path, folder: str, callback: Alternate):
    """TRL's GRPOTrainer on the same work; returns it with its reward counter and a list of generation seconds."""
    config = settings(True)
    rl = config.rl
    model, tokenizer = load_model(checkpoint)
    rewards = Rewards(tokenizer.eos_token_id)
    rows = rl.problems_per_step * rl.completions_per_problem
    arguments = GRPOConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=rows // rl.updates_per_rollout,
        gradient_accumulation_steps=1,
        steps_per_generation=rl.updates_per_rollout,
        num_iterations=1,
        num_generations=rl.completions_per_problem,
        max_completion_length=rl.max_response_tokens,
        temperature=rl.temperature,
        beta=0.0,
        epsilon=0.2,
        epsilon_high=0.28,
        loss_type="dapo",
        learning_rate=rl.learning_rate,
        lr_scheduler_type="constant",
        adam_beta1=rl.adam_beta1,
        adam_beta2=rl.adam_beta2,
        weight_decay=rl.weight_decay,
        max_grad_norm=rl.max_grad_norm,
        gradient_checkpointing=False,
        max_steps=(WARM_UP + _ARGUMENTS.steps) * rl.updates_per_rollout,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        seed=0,
        shuffle_dataset=False,
    )
    problems = load_problems(config, "train")
    order = islice(shuffled_forever(len(problems), name=f"problems/{config.seed}"), len(problems))
    data = Dataset.from_list([{"prompt": problems[k].prompt, "answer": problems[k].answer} for k in order])
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=[rewards],
        args=arguments,
        train_dataset=data,
        callbacks=[callback],
    )
    generation: list[float] = []
    original = trainer._generate_and_score_completions

    def timed(*args, **kwargs):
        started = time.perf_counter()
        result = original(*args, **kwargs)
        generation.append(time.perf_counter() - started)
        return result

    trainer._generate_and_score_completions = timed
    return trainer, rewards, generation


def gemm_rate(rows: int) -> float:
    """FLOP/s of the model's widest matrix product at the shape of one update, best of several."""
    model = settings(True).model
    left, right = torch.randn(rows, model.hidden_size), torch.randn(model.hidden_size, model.intermediate_size)
    best = 1e9
    for _ in range(50):
        started = time.perf_counter()
        for _ in range(20):
            left @ right
        best = min(best, (time.perf_counter() - started) / 20)
    return 2 * rows * model.hidden_size * model.intermediate_size / best


def floor_seconds(trainer: Ours, rate: float) -> dict[str, float]:
    """Seconds that the matrix products alone need: 2 FLOP a parameter and token forward, 6 with backward, for what is
    computed once: equal beginnings in a rollout, equal rows in training.
    """
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    last = trainer.results[WARM_UP:]
    sampled = trained = 0
    for rollout in (result.rollout for result in last):
        for group, advantages_G in zip(rollout.groups, rollout.credit.advantages_PG, strict=True):
            prompt, rows = len(group.prompt.token_ids), {completion.token_ids for completion in group.completions}
            sampled += prompt + len({row[:t] for row in rows for t in range(1, len(row) + 1)})
            trained += sum(prompt + len(row) for row in rows) * (advantages_G.any().item() or not trainer.skip)
    flops = {"rollout_s": 2 * sampled, "score_s": 2 * trained, "update_s": 6 * trained}
    return {name: value * parameters / rate / len(last) for name, value in flops.items()}


def summary(values: list[float]) -> str:
    """Median with the range."""
    return f"median {statistics.median(values):.3f} (min {min(values):.3f}, max {max(values):.3f})"


def print_report(ours: dict[str, Ours], theirs: Alternate, rewards: Rewards, generation: list[float]) -> None:
    """Everything the run has measured."""
    print(f"threads {_ARGUMENTS.threads}, {_ARGUMENTS.updates} updates a rollout, {_ARGUMENTS.steps} alternations")
    trl = theirs.seconds[WARM_UP:]
    made = statistics.median(generation[WARM_UP:])
    rest = statistics.median(trl) - made
    print(f"TRL   step {summary(trl)} s: generation, grading and scoring {made:.3f}, rest {rest:.3f}")
    rate, ratios = gemm_rate(256 // _ARGUMENTS.updates * 31), {}
    for name, trainer in ours.items():
        mine = trainer.seconds[WARM_UP:]
        kept = statistics.fmean(result.metrics["kept_rows"] for result in trainer.results[WARM_UP:])
        print(f"ours  step {summary(mine)} s, {name} ({kept:.0%} of rows trained on)")
        floor = floor_seconds(trainer, rate)
        phases = [f"{p[:-2]} {trainer.phase(p):.3f} (floor {floor.get(p, 0.0):.3f})" for p in PHASES]
        share = sum(floor.values()) / statistics.median(mine)
        print(f"      {', '.join(phases)}; floor {sum(floor.values()):.3f} s = {share:.0%} at {rate / 1e9:.0f} GFLOP/s")
        ratios[name] = [t / m for t, m in zip(trl, mine, strict=True)]
        print(f"      ratio TRL / ours: {summary(ratios[name])}")
    tell([ratio(f"TRL / ours, {name}", values) for name, values in ratios.items()], threads=_ARGUMENTS.threads)
    first = next(iter(ours.values())).results[0].metrics
    print("same work at step 1, from one checkpoint:")
    print(f"      TRL   256 completions, {rewards.tokens[0]} tokens, mean reward {rewards.means[0]:.3f}")
    print(f"      ours  256 completions, {first['tokens']} tokens, mean reward {first['reward_mean']:.3f}")


def main() -> None:
    """Train or load the checkpoint, alternate, report."""
    torch.set_num_threads(_ARGUMENTS.threads)
    set_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = _ARGUMENTS.checkpoint or train_checkpoint(Path(folder) / "start")
        ours = {name: Ours(checkpoint, skip=skip) for name, skip in (("rows left out", True), ("all rows", False))}
        theirs = Alternate(ours, _ARGUMENTS.updates)
        trainer, rewards, generation = trl_trainer(checkpoint, folder, theirs)
        trainer.train()
    print_report(ours, theirs, rewards, generation)


if __name__ == "__main__":
    main()
