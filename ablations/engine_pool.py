"""Who makes the calls of an evaluation: one engine in this process, or several, each in a process of its own."""

import atexit
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from types import TracebackType
from typing import Protocol, Self, TypeVar

from ablations.exits import of_error, of_exit_code, oom_kills
from ablations.processes import die_with_parent
from klear_core.errors import EngineError
from klear_core.eval.benchmark import Answers, Request, ask
from klear_core.rollout.engine import Engine

_T = TypeVar("_T")


class Engines(Protocol):
    """What makes calls: a context that opens engines when they are first needed, and ends what it opened."""

    count: int  # engines side by side

    def tokens_per_s(self, request: Request) -> float:
        """Tokens that all engines together draw in a second, found by one ``request`` for each; errors as below."""

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answers]]:
        """Place of a request and its answers, as they come; no more than ``count`` requests are begun at a time, and a
        new one only when the last answers have been dealt with. EngineError when an engine cannot answer, has no memory
        left or is lost.
        """

    def __enter__(self) -> Self:
        """The engines themselves."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the engines, at once after an exception."""


class OneEngine:
    """An engine in this process."""

    count = 1

    def __init__(self, begin: Callable[[], Engine]) -> None:
        self._begin = begin
        self._engine: Engine | None = None

    def answer(self, request: Request) -> Answers:
        """What the engine answers."""
        with _memory_told():
            return ask(self.engine, request)

    def timed(self, request: Request) -> tuple[int, float]:
        """Tokens of the answers, and the seconds that they take once the engine is there."""
        with _memory_told():
            _ = self.engine
        started = time.perf_counter()
        answers = self.answer(request)
        return sum(each.tokens for samples in answers for each in samples), time.perf_counter() - started

    def tokens_per_s(self, request: Request) -> float:
        """See ``Engines``."""
        tokens, seconds = self.timed(request)
        return tokens / seconds

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answers]]:
        """See ``Engines``; in order."""
        for place, request in enumerate(requests):
            yield place, self.answer(request)

    def close(self) -> None:
        """Free what the engine holds beside memory of this process, where it has a way to do so."""
        engine, self._engine = self._engine, None
        if (close := getattr(engine, "close", None)) is not None:
            close()

    @property
    def engine(self) -> Engine:
        """The engine itself, opened when it is first asked for."""
        if self._engine is None:
            self._engine = self._begin()
        return self._engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class EnginePool:
    """Engines in processes of their own, started afresh: a process that was forked could not use a GPU."""

    def __init__(self, begin: Callable[[], Engine], environments: Sequence[Mapping[str, str]]) -> None:
        """One process for each environment, which is set before anything that could use a GPU is imported."""
        self.count = len(environments)
        context = get_context("spawn")
        given: SimpleQueue[dict[str, str]] = context.SimpleQueue()
        for each in environments:
            given.put(dict(each))
        self._executor = ProcessPoolExecutor(
            self.count, mp_context=context, initializer=_begin_process, initargs=(begin, given)
        )
        self._others = active_children()
        self._processes: list[BaseProcess] = []
        self._oom_kills = oom_kills()

    def tokens_per_s(self, request: Request) -> float:
        """See ``Engines``."""
        begun = [self._submit(_timed, request) for _ in range(self.count)]
        measured = [self._result(future) for future in begun]
        return self.count * sum(tokens for tokens, _ in measured) / sum(seconds for _, seconds in measured)

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answers]]:
        """See ``Engines``."""
        begun: dict[Future[Answers], int] = {}
        waiting = iter(enumerate(requests))
        while True:
            while len(begun) < self.count and (following := next(waiting, None)) is not None:
                place, request = following
                begun[self._submit(_answer, request)] = place
            if not begun:
                return
            ended = next(iter(wait(begun, return_when=FIRST_COMPLETED).done))
            yield begun.pop(ended), self._result(ended)

    def _submit(self, work: Callable[[Request], _T], request: Request) -> "Future[_T]":
        try:
            return self._executor.submit(work, request)
        except BrokenProcessPool:
            raise self._lost() from None
        finally:  # the executor starts a process here when it has less than it may have
            known = [*self._others, *self._processes]
            self._processes += [each for each in active_children() if each not in known]

    def _result(self, future: "Future[_T]") -> _T:
        try:
            return future.result()
        except BrokenProcessPool:
            raise self._lost() from None

    def _lost(self) -> EngineError:
        """What became of the process that ended by itself; the executor ends the others by SIGTERM then."""
        self._executor.shutdown()
        ended = [each.exitcode for each in self._processes if each.exitcode is not None]
        code = next((code for code in ended if code != -signal.SIGTERM), -signal.SIGTERM)
        told = of_exit_code(code, oom_kills=oom_kills() - self._oom_kills).reason
        return EngineError(
            f"one of {self.count} engine processes was lost: {told}; answers that are stored stay, and the same "
            "command goes on"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for each in self._processes:
                each.kill()
        self._executor.shutdown(cancel_futures=True)


@contextmanager
def _memory_told() -> Iterator[None]:
    """EngineError for want of memory, which torch tells as a RuntimeError."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        outcome = of_error(error)
        if outcome.exit_class != "oom":
            raise
        raise EngineError(
            f"the engine has no memory left ({outcome.reason}); allowed: a smaller batch, dtype=bfloat16 or fewer "
            "processes"
        ) from None


# In a process of an EnginePool: its one engine.
_mine: list[OneEngine] = []


def _begin_process(begin: Callable[[], Engine], given: "SimpleQueue[dict[str, str]]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    die_with_parent()
    os.environ.update(given.get())
    _mine.append(OneEngine(begin))
    atexit.register(_mine[0].close)


def _answer(request: Request) -> Answers:
    return _mine[0].answer(request)


def _timed(request: Request) -> tuple[int, float]:
    return _mine[0].timed(request)
