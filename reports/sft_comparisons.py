"""What the reports of the supervised sweeps ask and say."""

from reports.spec import Beside, ComparisonSpec

_MODEL = (
    "Mechanism check, not a reproduction: a small model, generated traces of arithmetic and "
    "short programs. The published comparison trains an 8B model on public data sets."
)
_FIXED = (
    "The number of demonstrations, of updates and of demonstrations an update is the same in all arms; response tokens "
    "are not, and stand in the table on training. Arms of a seed share their first weights, the questions, and each "
    "demonstration that their mixes have in common."
)
_NOTHING_CLIPPED = "No RL follows, so nothing is clipped."
_TOP_K = (1, 2, 4, 6)

SFT_SPECS = {
    "sft_sources": ComparisonSpec(
        question=(
            "At a fixed number of demonstrations, does it help to draw them from more sources, each worth no more "
            "alone "
            "than the one before (Tables 4 and 5 of arXiv 2508.07629)? Chains stand for maths, functions for code."
        ),
        scope=(
            _MODEL,
            _FIXED,
            "The sources are generated, and ranked by what each is worth alone (sweep=sft_solo, on validation "
            "questions). "
            "They differ in form (traces cut, steps left out) or in errors; all have problems of one distribution, and "
            "the demonstrations are drawn at random, where the paper draws by K-Center: that would take harder "
            "problems "
            "the more sources there are.",
        ),
        mechanism=_NOTHING_CLIPPED,
        about_clipping=False,
        same_problems=False,
        beside=(
            Beside(table="table_4", columns={("on_chains", f"top{k}"): f"top{k}" for k in _TOP_K}),
            Beside(table="table_5", columns={("on_functions", f"top{k}"): f"top{k}" for k in _TOP_K}),
        ),
    ),
    "sft_solo": ComparisonSpec(
        question="What is each generated source worth when it is trained on alone?",
        scope=(
            _MODEL,
            _FIXED,
            "All sources write down the same problems, solved without a mistake of their own teacher.",
        ),
        mechanism=_NOTHING_CLIPPED,
        about_clipping=False,
        same_problems=False,
    ),
    "sft_correctness": ComparisonSpec(
        question=(
            "Do wrong demonstrations hurt, and does that depend on the difficulty of their problems (Table 2 of arXiv "
            "2508.07629)?"
        ),
        scope=(
            _MODEL,
            _FIXED,
            "Easy problems have at most 4 operators, multiplications counted twice; hard ones have more. A wrong "
            "demonstration has one wrong step or more and goes on consistently from it, so most of what it shows is "
            "right.",
            "Each arm draws its prompts from what its rules leave: mixed ones cover problems that the teacher does not "
            "solve in two tries, right ones do not, and the prompts of the two arms are not the same.",
        ),
        mechanism=_NOTHING_CLIPPED,
        about_clipping=False,
        same_problems=False,
        beside=(
            Beside(
                table="table_2",
                columns={
                    (f"on_{level}", arm): f"{'overall' if level == 'all' else level}_{arm}"
                    for level in ("easy", "hard", "all")
                    for arm in ("only_true", "mixed")
                },
            ),
        ),
    ),
    "sft_teacher": ComparisonSpec(
        question="How much does the strength of the teacher matter, on the same prompts (Table 3 of arXiv 2508.07629)?",
        scope=(_MODEL, _FIXED, "The teachers write in one style and differ in how often they are right, nothing else."),
        mechanism=_NOTHING_CLIPPED,
        about_clipping=False,
        contrasts=(("strong", "medium", "what the step from the medium to the strong teacher gives"),),
        same_problems=False,
        beside=(
            Beside(
                table="table_3",
                columns={
                    ("", "weak"): "QwQ-32B",
                    ("", "medium"): "DeepSeek-R1-0120",
                    ("", "strong"): "DeepSeek-R1-0528",
                },
            ),
        ),
    ),
    "sft_error_grid": ComparisonSpec(
        question=(
            "Where do mixed demonstrations begin to help against right ones only: at which error rate of the teacher, "
            "at which difficulty of the problems? A question that arXiv 2508.07629 leaves open."
        ),
        scope=(
            _MODEL,
            _FIXED,
            "The accuracy of the teacher is set over the problems of each difficulty, so 0.4 means that six in ten "
            "demonstrations are wrong, easy problems or hard. Each prompt comes once. Right ones only leave out "
            "problems "
            "that the teacher does not solve in four tries, the harder ones; mixed ones cover all, so coverage is part "
            "of what is compared.",
        ),
        mechanism=_NOTHING_CLIPPED,
        about_clipping=False,
        same_problems=False,
        grid=(("accuracy of the teacher", "sft_mix.params.accuracy"), ("difficulty", "sft_mix.params.difficulty")),
    ),
}
