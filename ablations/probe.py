"""A short measurement, in children like those of a sweep, of what its runs will take."""

import math
import random
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from multiprocessing import connection
from typing import Any

from ablations import child, devices
from ablations.exits import of_error
from ablations.job import Outcome
from ablations.pool import fork_server
from klear_core.config import RunConfig
from klear_core.data.tasks import Task, is_read
from klear_core.errors import HarnessError
from klear_core.records import Completion, FinishReason, Problem, Prompt, RandomKey, SamplingParams, SFTExample
from klear_core.rewards.format import CLOSE, OPEN

_SFT_UPDATES = 10
_TRAINING = ("reward_s", "noise_s", "score_s", "update_s")  # phases measured on replayed rollouts
_RL_STEPS = 2
_LOOKED_AT = 64  # demonstrations
_PROBED = 3  # timed repetitions of a rollout; the quickest counts, as the first ones pay for warming up


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Seconds and memory of one process, beside as many others as the sweep will have."""

    sft_update_s: float
    rollout_s: float  # one rollout, responses as long as the teacher's
    tokens_per_s: float  # of the same rollout
    response_tokens: float  # mean length of the teacher's responses
    train_s: Mapping[str, float]  # operating point -> grading, scoring and updates of one step, or a supervised update
    startup_s: float  # building or loading the model and the problems
    peak_mb: float
    gpu_mb: float = 0.0  # of a GPU's memory


def measure(configs: Mapping[str, RunConfig], *, processes: int) -> Measured:
    """Measure one config an operating point, in ``processes`` children at once; returns the slowest of each figure.

    HarnessError with the reason when a child fails.
    """
    context = fork_server()
    running = []
    for _ in range(processes):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_main, args=(dict(configs), sender), daemon=True)
        process.start()
        sender.close()
        running.append((process, receiver))
    found = []
    for process, receiver in running:
        try:
            answer: Measured | Outcome = receiver.recv()
        except EOFError:
            process.join()
            answer = Outcome(exit_class="killed", reason=f"the probe ended with exit code {process.exitcode}")
        process.join()
        if isinstance(answer, Outcome):
            raise HarnessError(f"the probe failed: {answer.told}")
        found.append(answer)
    return _slowest(found)


def _slowest(found: Sequence[Measured]) -> Measured:
    return Measured(
        sft_update_s=max(m.sft_update_s for m in found),
        rollout_s=max(m.rollout_s for m in found),
        tokens_per_s=min(m.tokens_per_s for m in found),
        response_tokens=found[0].response_tokens,
        train_s={point: max(m.train_s[point] for m in found) for point in found[0].train_s},
        startup_s=max(m.startup_s for m in found),
        peak_mb=max(m.peak_mb for m in found),
        gpu_mb=max(m.gpu_mb for m in found),
    )


def _main(configs: Mapping[str, RunConfig], pipe: connection.Connection) -> None:
    try:
        child.limit_memory(next(iter(configs.values())).launch.memory_limit_mb)
        pipe.send(_measure(configs))
    except BaseException as error:
        pipe.send(of_error(error))
        sys.exit(1)


def _measure(configs: Mapping[str, RunConfig]) -> Measured:
    from ablations.grading import open_grader
    from ablations.mixing import open_supervision
    from ablations.tasks import load_problems
    from klear_core.data.tasks import get_task
    from klear_core.rollout.engines import open_engine
    from klear_core.trainer.collate import tokenize_prompts
    from klear_core.trainer.rl import RLTrainer
    from klear_core.trainer.sft import SFTTrainer

    config = next(iter(configs.values()))
    devices.set_up(config)
    if config.stage == "sft":
        return _measure_supervised(configs)
    started = time.perf_counter()
    problems = load_problems(config, "train")
    model, tokenizer = _model_of(config)
    startup_s = time.perf_counter() - started

    cap, has_teacher = config.rl.max_response_tokens, not is_read(get_task(config.task))
    length, sft_update_s = float(cap), 0.0  # without a teacher nothing says how long answers will be: at most
    if has_teacher:
        supervision = open_supervision(config, tokenizer, context=model.config.max_position_embeddings)
        length = _answer_tokens(config, supervision, tokenizer)
    if config.sft.checkpoint is None:
        rows = SFTTrainer(model, tokenizer, supervision.examples, config.sft, precision=config.model.precision).steps()
        sft_update_s = _best(lambda: next(rows), min(_SFT_UPDATES, config.sft.steps))

    rl = config.rl
    sampling = SamplingParams(
        temperature=rl.temperature, top_p=1.0, max_tokens=math.ceil(length), num_samples=rl.completions_per_problem
    )
    prompts = tokenize_prompts(tokenizer, problems[: rl.problems_per_step])
    engine, key = open_engine(config.engine, model, tokenizer), RandomKey(seed=0, stream="probe", step=0)
    sampled = engine.generate(prompts, sampling, key)
    rollout_s = _best(lambda: engine.generate(prompts, sampling, key), _PROBED)
    tokens = sum(len(completion.token_ids) for group in sampled for completion in group)
    train_s = {}
    for point, each in configs.items():
        replay = _Replay(tokenizer, get_task(each.task), problems, seed=each.seed)
        if not has_teacher:
            # Nobody knows right programs, so all may score the same; trained on they cost what any others do.
            each = replace(each, loss=replace(each.loss, denominator="all", skip_zero_advantage_rows=False))
        with open_grader(each) as grader:
            trainer = RLTrainer(each, model=model, tokenizer=tokenizer, engine=replay, grader=grader, problems=problems)
            steps = islice(trainer.steps(), _RL_STEPS)
            train_s[point] = min(sum(result.seconds[name] for name in _TRAINING) for result in steps)
    return Measured(
        sft_update_s=sft_update_s,
        rollout_s=rollout_s,
        tokens_per_s=tokens / rollout_s,
        response_tokens=length,
        train_s=train_s,
        startup_s=startup_s,
        peak_mb=_peak_mb(),
        gpu_mb=devices.peak_mb(config),
    )


def _model_of(config: RunConfig) -> tuple[Any, Any]:
    """Model and tokenizer that a config's runs start from, or as their supervised start builds them."""
    from klear_core.data.tasks import get_task
    from klear_core.trainer.model_folder import checkpoint_folder, load_model
    from klear_core.trainer.placing import set_recomputing
    from klear_core.trainer.policy import build_model

    if config.sft.checkpoint is not None:
        model, tokenizer = load_model(checkpoint_folder(config.sft.checkpoint), config.model)
    else:
        tokenizer = get_task(config.task).tokenizer()
        model = build_model(config.model, tokenizer, seed=config.seed)
    set_recomputing(model, config.model)
    return model, tokenizer


def _measure_supervised(configs: Mapping[str, RunConfig]) -> Measured:
    """Updates and answers of supervised runs; the answers of a model that has learned nothing run to the teacher's
    length, as those of the end do.
    """
    from ablations.mixing import open_supervision
    from ablations.tasks import load_problems
    from klear_core.rollout.engines import open_engine
    from klear_core.trainer.collate import tokenize_prompts
    from klear_core.trainer.sft import SFTTrainer

    update_s, startup_s, rates, lengths = {}, [], [], []
    for point, config in configs.items():
        started = time.perf_counter()
        model, tokenizer = _model_of(config)
        supervision = open_supervision(config, tokenizer, context=model.config.max_position_embeddings)
        startup_s.append(time.perf_counter() - started)
        rows = SFTTrainer(model, tokenizer, supervision.examples, config.sft, precision=config.model.precision).steps()
        update_s[point] = _best(partial(next, rows), min(_SFT_UPDATES, config.sft.steps))
        length = _answer_tokens(config, supervision, tokenizer)
        questions = load_problems(config, "validation")
        sampling = SamplingParams(
            temperature=1.0, top_p=1.0, max_tokens=math.ceil(length), num_samples=config.eval.validation_samples
        )
        engine, prompts = open_engine(config.engine, model, tokenizer), tokenize_prompts(tokenizer, questions)
        key = RandomKey(seed=0, stream="probe", step=0)
        sampled = engine.generate(prompts, sampling, key)
        seconds = _best(partial(engine.generate, prompts, sampling, key), _PROBED)
        rates.append(sum(len(c.token_ids) for group in sampled for c in group) / seconds)
        lengths.append(length)
    return Measured(
        sft_update_s=0.0,
        rollout_s=0.0,
        tokens_per_s=min(rates),
        response_tokens=max(lengths),
        train_s=update_s,
        startup_s=max(startup_s),
        peak_mb=_peak_mb(),
        gpu_mb=devices.peak_mb(config),
    )


def _answer_tokens(config: RunConfig, supervision: Any, tokenizer: Any) -> float:
    """Mean tokens of what is imitated, within the cap of an answer."""
    from klear_core.trainer.collate import response_ids

    responses = response_ids(tokenizer, list(islice(supervision.examples(0), _LOOKED_AT)))
    return min(sum(map(len, responses)) / len(responses), config.rl.max_response_tokens)


def _peak_mb() -> float:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _best(call: Any, repetitions: int) -> float:
    """Seconds of the quickest of some calls."""
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


class _Replay:
    """The teacher's responses in place of sampled ones: a model that has learned nothing would ramble to the cap.

    Without a teacher they have the form of an answer, and as many tokens as were asked for.
    """

    def __init__(self, tokenizer: Any, task: Task, problems: Sequence[Problem], *, seed: int) -> None:
        self._tokenizer = tokenizer
        self._is_filled = is_read(task)
        self._respond = _stand_in if self._is_filled else _responses_of(task.half_right(problems))
        self._problems = {problem.problem_id: problem for problem in problems}
        self._rng = random.Random(seed)

    def generate(
        self, prompts: Sequence[Prompt], sampling: SamplingParams, key: RandomKey
    ) -> list[tuple[Completion, ...]]:
        """See ``Engine``; half of the responses are wrong, so that no group is without variance."""
        return [tuple(self._completion(prompt, sampling) for _ in range(sampling.num_samples)) for prompt in prompts]

    def _completion(self, prompt: Prompt, sampling: SamplingParams) -> Completion:
        text = self._respond(self._problems[prompt.problem_id], self._rng)
        ids = [*self._tokenizer(text)["input_ids"], self._tokenizer.eos_token_id]
        if self._is_filled:
            ids *= -(-sampling.max_tokens // len(ids))
        ids = ids[: sampling.max_tokens]
        return Completion(
            token_ids=tuple(ids),
            logprobs=(0.0,) * len(ids),
            entropies=(0.0,) * len(ids),
            text=text,
            finish_reason=FinishReason.STOP,
        )


def _responses_of(
    demonstrate: Callable[[Problem, random.Random], SFTExample],
) -> Callable[[Problem, random.Random], str]:
    return lambda problem, rng: demonstrate(problem, rng).response


def _stand_in(problem: Problem, rng: random.Random) -> str:
    """Something to grade: the right answer or none in turn, or a program that does nothing."""
    if problem.tests is not None:
        return f"{OPEN}{CLOSE}```python\npass\n```"
    return f"{OPEN}{CLOSE}\\boxed{{{problem.answer if rng.random() < 0.5 else ''}}}"
