"""The benchmarks that a checkpoint is asked: what each holds, how it is sampled and scored, and who says so.

No text of a benchmark is shipped. Protocol and question counts are those of Table 1 of arXiv 2508.07629: temperature
0.6, top_p 0.95, 32K tokens, 64 samples a question of mathematics and 8 a problem of LiveCodeBench.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from klear_core.errors import ConfigError
from klear_core.records import SamplingParams
from klear_core.rewards.sandbox.limits import Limits

EXACT, MATH, CODE = "exact", "math", "code"  # scorers
LAPTOP = "laptop"

_BARE = (
    "the question alone, as the messages of the files published with the Klear repository hold it; the paper prints no "
    "prompt"
)
_CODE_PROMPT = (
    "the problem, its starter code or how input and output go, and that one fenced block is wanted "
    "(klear_core/eval/livecodebench.py); what it asks for follows LiveCodeBench, its words are ours, and the paper "
    "prints no prompt"
)
_TABLE_1 = "Table 1 of arXiv 2508.07629"
_GRID = "the printed percentages of arXiv 2508.07629, which only this count explains"
# Seconds are LiveCodeBench's; it sets no memory limit, and one that a guest of a laptop can have is set here.
LIVECODEBENCH_LIMITS = Limits(
    cpu_s=6.0,
    wall_s=60.0,
    memory_mb=2048,
    output_kb=16_384,
    stderr_kb=4,
    threads=32,
    open_files=32,
    max_timeouts=1,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One benchmark. ``files`` are known data files, SHA-256 -> what it is; others are read, and said to be others."""

    name: str  # also its column in the paper's Table 1
    title: str
    scorer: str  # EXACT, MATH or CODE; "" where the checkpoint's own run decides
    prompt: str  # what is asked, and where that is from
    questions: int | None  # None where the checkpoint's own run decides
    questions_source: str
    sampling: SamplingParams | None  # None where the checkpoint's own run decides
    sampling_source: str
    files: Mapping[str, str] = field(default_factory=dict)
    window: tuple[str, str] | None = None  # first and last contest day, both counted


def _paper(samples: int) -> SamplingParams:
    return SamplingParams(temperature=0.6, top_p=0.95, max_tokens=32_768, num_samples=samples)


def _maths(name: str, title: str, sha256: str, file: str) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        scorer=MATH,
        prompt=_BARE,
        questions=30,
        questions_source="the contest",
        sampling=_paper(64),
        sampling_source=_TABLE_1,
        files={sha256: f"{file}, published with the Klear repository"},
    )


def _livecodebench(name: str, title: str, questions: int, window: tuple[str, str]) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        scorer=CODE,
        prompt=_CODE_PROMPT,
        questions=questions,
        questions_source=_GRID,
        sampling=_paper(8),
        sampling_source=_TABLE_1,
        window=window,
    )


_ALL = (
    _maths(
        "aime24",
        "AIME 2024",
        "dc3c6f08943fd7ee178c673894c20144a8b28dcc4c28ae115bfd6cbd13859971",
        "aime24.qs.jsonl",
    ),
    _maths(
        "aime25",
        "AIME 2025",
        "cf7ec6f3e905fd6108b38dea066acac0bcd0dfd5d49174d18d404567ab8e930a",
        "aime25.qs.jsonl",
    ),
    _maths(
        "hmmt25",
        "HMMT February 2025",
        "9826500e5c02ad4049f1c9c51beb9541d3e520419a298314feccd0d378b3dfd9",
        "HMMT-202502.jsonl",
    ),
    _livecodebench("lcb_v5", "LiveCodeBench V5", 279, ("2024-08-01", "2025-02-01")),
    _livecodebench("lcb_v6", "LiveCodeBench V6", 131, ("2025-02-01", "2025-05-01")),
    Benchmark(
        name=LAPTOP,
        title="the test questions of a checkpoint's own run",
        scorer="",
        prompt="the prompt of the run's task",
        questions=None,
        questions_source="eval.test_questions of the run",
        sampling=None,
        sampling_source="eval.test_samples and rl.max_response_tokens of the run, at temperature 1",
    ),
)
BENCHMARKS: Mapping[str, Benchmark] = {each.name: each for each in _ALL}


def get_benchmark(name: str) -> Benchmark:
    """A benchmark by its name; ConfigError when there is none."""
    if name not in BENCHMARKS:
        raise ConfigError(f"task is {name!r}; allowed: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def known_file(sha256: str) -> tuple[str, str]:
    """Benchmark and description of a known data file, ("", "") of any other."""
    found = [(each.name, each.files[sha256]) for each in BENCHMARKS.values() if sha256 in each.files]
    return found[0] if found else ("", "")
