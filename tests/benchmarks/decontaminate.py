r"""Seconds and memory of taking contaminated prompts out of a million, against a thousand questions.

    python tests/benchmarks/decontaminate.py
    python tests/benchmarks/decontaminate.py --prompts 50000

Prompts and questions are about 60 words drawn by Zipf's law from 20,000, so that short runs of common words are shared
by chance as they are in language; one prompt in a thousand holds nine words of a question.  Prompts are made a block at
a time, outside the clock.  Which ones go is compared with the planted ones, and on a sample with sets of all runs.
"""

import argparse
import itertools
import os
import random
import resource
import time
from collections.abc import Iterator

from klear_core.data.mixes.decontaminate import NgramIndex
from klear_core.data.mixes.text import words

NGRAM, BLOCK, PLANTED_EVERY, QUESTIONS = 9, 20_000, 1000, 1000


def texts(draw: random.Random, count: int) -> Iterator[str]:
    """Sentences without meaning."""
    vocabulary = [f"{draw.choice('bcdfglmnprst')}{draw.choice('aeiou')}{k:x}" for k in range(20_000)]
    weights = list(itertools.accumulate(1 / (k + 1) for k in range(len(vocabulary))))
    for _ in range(count):
        size = draw.randint(40, 80)
        yield " ".join(draw.choices(vocabulary, cum_weights=weights, k=size)).capitalize() + "?"


def planted(prompt: str, question: str, draw: random.Random) -> str:
    """A prompt that holds nine words of a question."""
    around, asked = prompt.split(), question.split()
    place, start = draw.randrange(len(around)), draw.randrange(len(asked) - NGRAM + 1)
    return " ".join([*around[:place], *asked[start : start + NGRAM], *around[place:]])


def runs(text: str) -> set[tuple[str, ...]]:
    """All runs of nine words."""
    spoken = words(text)
    return {tuple(spoken[k : k + NGRAM]) for k in range(len(spoken) - NGRAM + 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1_000_000)
    options = parser.parse_args()
    draw = random.Random(0)
    questions = list(texts(draw, QUESTIONS))
    asked = set().union(*map(runs, questions))
    started = time.perf_counter()
    index = NgramIndex(questions, NGRAM)
    building = time.perf_counter() - started
    seconds, total_words, found, wrong = 0.0, 0, 0, 0
    prompts = texts(draw, options.prompts)
    for first in range(0, options.prompts, BLOCK):
        block = list(itertools.islice(prompts, BLOCK))
        for place in range(-first % PLANTED_EVERY, len(block), PLANTED_EVERY):
            block[place] = planted(block[place], draw.choice(questions), draw)
        total_words += sum(prompt.count(" ") + 1 for prompt in block)
        started = time.perf_counter()
        hits = [index.hits(prompt) for prompt in block]
        seconds += time.perf_counter() - started
        found += sum(hits)
        if first % (10 * BLOCK) == 0:
            wrong += sum(hit != bool(runs(prompt) & asked) for prompt, hit in zip(block, hits, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{options.prompts:,} prompts of {total_words / options.prompts:.0f} words, {QUESTIONS:,} questions, one thread"
    )
    print(f"  index {building:.2f} s; prompts {seconds:.1f} s, {seconds / options.prompts * 1e6:.1f} us a prompt")
    print(f"  found {found} of {-(-options.prompts // PLANTED_EVERY)} planted; unlike the sets of all runs: {wrong}")
    print(f"  peak memory of the process {peak:.2f} GiB; load of the machine {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
