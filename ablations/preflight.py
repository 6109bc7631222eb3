"""Before anything is written: the GPU and the checkpoints of runs, and the prompts as their tokenizers read them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import connection
from pathlib import Path
from typing import Any

from ablations.decide import Action, Decision, Start
from ablations.devices import without_gpu
from ablations.exits import of_error
from ablations.pool import fork_server
from ablations.tasks import load_problems
from klear_core.config import RunConfig
from klear_core.data.splits import SPLITS
from klear_core.errors import ConfigError, DataError
from klear_core.rollout.vllm_version import check_vllm
from klear_core.runs import schema
from klear_core.trainer.model_folder import check_model, checkpoint_folder, load_model


def check_engines(configs: Sequence[RunConfig]) -> None:
    """EngineError when runs ask for an engine that cannot be opened here."""
    if any(config.engine.name == "vllm" for config in configs):
        check_vllm()


def check_devices(configs: Sequence[RunConfig]) -> None:
    """ConfigError when runs ask for a GPU that torch does not see.

    Asked in a child: the parent has no torch, and no process that forks may have used a GPU.
    """
    if all(config.model.device == "cpu" for config in configs):
        return
    reason, _ = _ask_child(_look)
    if reason is None:
        reason = "the process that looked for a GPU ended without a word"
    if reason:
        raise ConfigError(f"model.device is 'cuda', but {reason}; allowed here: cpu")


def _ask_child(target: Callable[..., None], *arguments: Any) -> tuple[str | None, int | None]:
    """What ``target(*arguments, pipe)`` sends from a fork of the server, None where it ends without; its exit code."""
    context = fork_server()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(*arguments, sender), daemon=True)
    process.start()
    sender.close()
    answer: str | None
    try:
        answer = receiver.recv()
    except EOFError:
        answer = None
    process.join()
    return answer, process.exitcode


def _look(pipe: connection.Connection) -> None:
    # Libraries print what they think of a driver.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        reason = _missing()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
    pipe.send(reason)


def _missing() -> str:
    """Why there is no GPU, "" when a first number has been computed on it."""
    import torch

    if reason := without_gpu():
        return reason
    return "" if float(torch.ones(1, device="cuda")) == 1 else "it computes wrongly"


def check_checkpoints(decisions: Sequence[Decision], starts: Sequence[Start]) -> None:
    """DataError unless every checkpoint that is there already, given or trained earlier, can be started from.

    Of a given one, also unless every prompt that it is to read leaves room for an answer.
    """
    for start in starts:
        if start.action is Action.REUSE:
            try:
                check_model(start.folder / schema.CHECKPOINT_DIR)
            except DataError as error:
                raise DataError(f"{error}; move {start.folder} away to train it again") from None
    todo = [each.config for each in decisions if each.action in (Action.NEW, Action.CONTINUE)]
    for given in dict.fromkeys(config.sft.checkpoint for config in todo):
        if given is not None:
            # Runs that ask the same prompts differ in what is no matter here.
            asked = {_asked(config): config for config in todo if config.sft.checkpoint == given}
            _load_in_child(checkpoint_folder(given), list(asked.values()))


def _asked(config: RunConfig) -> str:
    return repr((config.stage, config.task, config.eval, config.rl.max_response_tokens))


def check_prompts(config: RunConfig, tokenizer: Any, context: int) -> None:
    """DataError when a prompt that a run asks has no token, or more than the context leaves beside an answer."""
    # Imported late: the parent imports this module, and need not wait for torch.
    from klear_core.trainer.collate import prompt_ids

    cap = config.rl.max_response_tokens
    most = context - cap
    for split in SPLITS:
        if split == "train" and config.stage == "sft":
            continue  # nobody asks them
        lengths = [len(ids) for ids in prompt_ids(tokenizer, load_problems(config, split))]
        wrong = sum(not 0 < length <= most for length in lengths)
        if wrong:
            raise DataError(
                f"{wrong} of {len(lengths)} {split} prompts have {min(lengths)} to {max(lengths)} tokens; allowed: 1 "
                f"to {most}, as the model's context is {context} and rl.max_response_tokens is {cap}"
            )


def _load_in_child(folder: Path, configs: list[RunConfig]) -> None:
    """Only transformers knows what it loads and reads, and its import takes seconds: the fork server has done it."""
    reason, exit_code = _ask_child(_main, folder, configs)
    if reason is None:
        reason = f"checkpoint folder {folder} cannot be loaded: the process ended with exit code {exit_code}"
    if reason:
        raise DataError(reason)


def _main(folder: Path, configs: list[RunConfig], pipe: connection.Connection) -> None:
    # Libraries print reports of their own about what does not fit.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    reason, doing = "", f"checkpoint folder {folder} cannot be loaded"
    try:
        # On the CPU, where a second copy of the weights is in nobody's way.
        model, tokenizer = load_model(folder, replace(configs[0].model, device="cpu"))
        doing = f"the tokenizer of checkpoint folder {folder} cannot write the prompts"
        for config in configs:
            check_prompts(config, tokenizer, model.config.max_position_embeddings)
    except BaseException as error:
        told = of_error(error)
        reason = told.reason if isinstance(error, DataError) else f"{doing}: {told.told}"
    pipe.send(reason)
