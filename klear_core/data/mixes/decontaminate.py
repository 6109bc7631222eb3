"""Prompts that share a run of words with a question of the evaluations."""

from collections.abc import Iterable, Iterator

from klear_core.data.mixes.operator import Details, MixContext, operator
from klear_core.data.mixes.text import folded, words
from klear_core.records import SFTExample

_SHOWN = 80  # characters of a question that details show


class NgramIndex:
    r"""Which questions a prompt overlaps with: exact, neither more nor less than what follows.

    A prompt hits a question when they share ``ngram`` consecutive words, where words are the runs of ``\w`` of the text
    after Unicode NFKC, in lower case.  A text of fewer words has no such run: it hits a question whose whole text is
    the same after NFKC, in lower case and with every run of whitespace as one space (punctuation counts, so that 3+4=
    and 3*4= differ).  ValueError when ``ngram`` is below 1.

    Looking up every run of n words would cost most of the time, and nearly all of them are in no question.  Of any n
    consecutive words exactly one position p is a multiple of s = n - k + 1 such that the words p .. p + k - 1 lie
    among them.  So the k words at every s-th position are looked up first, with k = (n + 1) // 2, and whole runs are
    compared only around those that some question has.
    """

    def __init__(self, questions: Iterable[str], ngram: int = 9) -> None:
        if ngram < 1:
            raise ValueError(f"ngram is {ngram}; allowed: 1 or more")
        self._ngram = ngram
        self._part = (ngram + 1) // 2
        self._stride = ngram - self._part + 1
        self._runs: dict[str, list[int]] = {}  # run of n words -> questions that have it
        self._parts: set[str] = set()
        self._short: dict[str, list[int]] = {}  # whole text of fewer words -> questions
        for index, question in enumerate(questions):
            self._add(index, question)

    def hits(self, prompt: str) -> bool:
        """Whether any question is hit."""
        return next(self._found(prompt), None) is not None

    def which(self, prompt: str) -> tuple[int, ...]:
        """The positions of the questions that are hit, ascending."""
        return tuple(sorted({index for found in self._found(prompt) for index in found}))

    def _add(self, index: int, question: str) -> None:
        spoken = words(question)
        if len(spoken) < self._ngram:
            self._short.setdefault(folded(question), []).append(index)
        for start in range(len(spoken) - self._ngram + 1):
            # Words hold no space, so a text joined by spaces stands for one run only.
            asked = self._runs.setdefault(" ".join(spoken[start : start + self._ngram]), [])
            if index not in asked:
                asked.append(index)
        if len(spoken) >= self._ngram:
            starts = range(len(spoken) - self._part + 1)
            self._parts.update(" ".join(spoken[start : start + self._part]) for start in starts)

    def _found(self, prompt: str) -> Iterator[list[int]]:
        """The questions of every run that the prompt shares with any."""
        spoken, n, k, parts = words(prompt), self._ngram, self._part, self._parts
        if len(spoken) < n:
            if (asked := self._short.get(folded(prompt))) is not None:
                yield asked
            return
        for part in range(0, len(spoken) - k + 1, self._stride):
            if " ".join(spoken[part : part + k]) in parts:
                for start in range(max(0, part - self._stride + 1), min(part, len(spoken) - n) + 1):
                    if (asked := self._runs.get(" ".join(spoken[start : start + n]))) is not None:
                        yield asked


@operator("decontaminate", ngram=(lambda v: v >= 1, "1 or more"))
def decontaminate(
    examples: Iterable[SFTExample], context: MixContext, details: Details, *, ngram: int
) -> Iterator[SFTExample]:
    """Drop the demonstrations whose prompt hits a question of ``context.questions``, as ``NgramIndex`` says.

    Streams.  Details: ``dropped``; ``questions``, how many were looked for; ``hit``, for each question that was hit its
    position, how it begins and by how many demonstrations, the most hit first.
    """
    index = NgramIndex(context.questions, ngram)
    counts: dict[int, int] = {}
    details.update(dropped=0, questions=len(context.questions), hit=[])
    for example in examples:
        hit = index.which(example.prompt)
        if not hit:
            yield example
            continue
        details["dropped"] += 1
        for question in hit:
            counts[question] = counts.get(question, 0) + 1
    details["hit"] = [
        {"question": question, "begins": context.questions[question][:_SHOWN], "demonstrations": count}
        for question, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
