"""The checkpoints that runs start from, looked at before anything is written."""

import os
from collections.abc import Sequence
from multiprocessing import connection
from pathlib import Path

from ablations.decide import Action, Decision, Start
from ablations.exits import of_error
from ablations.pool import fork_server
from klear_core.errors import DataError
from klear_core.runs import schema
from klear_core.trainer.model_folder import check_model, load_model


def check_checkpoints(decisions: Sequence[Decision], starts: Sequence[Start]) -> None:
    """DataError unless every checkpoint that is there already, given or trained earlier, can be started from."""
    for start in starts:
        if start.action is Action.REUSE:
            try:
                check_model(start.folder / schema.CHECKPOINT_DIR)
            except DataError as error:
                raise DataError(f"{error}; move {start.folder} away to train it again") from None
    todo = [each.config for each in decisions if each.action in (Action.NEW, Action.CONTINUE)]
    for given in dict.fromkeys(config.sft.checkpoint for config in todo):
        if given is not None:
            _load_in_child(Path(given))


def _load_in_child(folder: Path) -> None:
    """Only transformers knows what it loads, and its import takes seconds: the fork server has done it."""
    context = fork_server()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_main, args=(folder, sender), daemon=True)
    process.start()
    sender.close()
    try:
        reason: str = receiver.recv()
    except EOFError:
        process.join()
        reason = f"checkpoint folder {folder} cannot be loaded: the process ended with exit code {process.exitcode}"
    process.join()
    if reason:
        raise DataError(reason)


def _main(folder: Path, pipe: connection.Connection) -> None:
    # Libraries print reports of their own about what does not fit.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    reason = ""
    try:
        load_model(folder)
    except BaseException as error:
        told = of_error(error)
        known = isinstance(error, DataError)
        reason = told.reason if known else f"checkpoint folder {folder} cannot be loaded: {told.told}"
    pipe.send(reason)
