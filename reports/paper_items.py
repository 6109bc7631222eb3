"""What the document over all sweeps holds: the paper's tables and figures, the sweep that asks each, and its claims."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something that a paper says about one arm against the baseline of a sweep."""

    text: str
    treatment: str
    sign: int  # of the difference that is claimed: 1, -1, or 0 where none is
    against: str = ""  # an arm of a declared contrast; "" for the baseline
    points: tuple[str, ...] = ()  # operating points that the claim is about; () for all


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One table or figure of the paper, or a question beyond it."""

    name: str  # of the published table, such as table_4; "" beyond the paper
    sweep: str  # that asks it; "" where none does
    baseline: str = ""  # of that sweep
    evaluated: bool = False  # its cells are checkpoints on benchmarks, which `ablations evaluate` asks
    why_not: str = ""  # where neither can
    claims: tuple[Claim, ...] = ()
    more: tuple[str, ...] = ()  # sweeps whose answers belong to the same question


def _few_sources(point: str) -> tuple[Claim, ...]:
    """That the best source beats the best two, four and six, on the task of an operating point."""
    return tuple(
        Claim(
            text=f"few good sources beat many: the best {k} against the best one",
            treatment=f"top{k}",
            sign=-1,
            points=(point,),
        )
        for k in (2, 4, 6)
    )


ITEMS = (
    Item(name="table_1", sweep="", evaluated=True),
    Item(
        name="figure_2",
        sweep="clipping",
        baseline="clip_higher",
        more=("stability", "gppo_cures"),
        claims=(
            Claim(text="GPPO learns better than clip-higher", treatment="gppo", sign=1),
            Claim(text="CISPO learns better than clip-higher", treatment="cispo", sign=1),
            Claim(text="GPPO learns better than CISPO", treatment="gppo", sign=1, against="cispo"),
        ),
    ),
    Item(
        name="figure_3",
        sweep="reward",
        baseline="hard",
        claims=(Claim(text="a soft reward trains better than a hard one", treatment="soft", sign=1),),
    ),
    Item(
        name="figure_4",
        sweep="code_filter",
        baseline="off",
        claims=(Claim(text="dropping prompts with flawed tests helps", treatment="reference_90", sign=1),),
    ),
    Item(
        name="figure_5",
        sweep="zero_advantage",
        baseline="all",
        claims=(Claim(text="leaving out groups without advantage: steadier, rewards alike", treatment="kept", sign=0),),
    ),
    Item(
        name="table_2",
        sweep="sft_correctness",
        baseline="only_true",
        more=("sft_error_grid",),
        claims=(
            Claim(text="wrong demonstrations hurt on easy problems", treatment="mixed", sign=-1, points=("on_easy",)),
            Claim(text="wrong demonstrations help on hard problems", treatment="mixed", sign=1, points=("on_hard",)),
        ),
    ),
    Item(
        name="table_3",
        sweep="sft_teacher",
        baseline="weak",
        claims=(Claim(text="a stronger teacher gives a better student", treatment="strong", sign=1),),
    ),
    Item(
        name="table_4",
        sweep="sft_sources",
        baseline="top1",
        more=("sft_solo",),
        claims=_few_sources("on_chains"),
    ),
    Item(
        name="table_5",
        sweep="sft_sources",
        baseline="top1",
        claims=_few_sources("on_functions"),
    ),
    Item(
        name="table_6",
        sweep="",
        why_not="the supervised loss on positive rollouts (alpha) is not built",
    ),
    Item(name="", sweep="controls"),
)
