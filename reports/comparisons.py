"""What each sweep's report asks and says: one spec a sweep, one sweep a spec."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSpec:
    """The words of a report that no number can give."""

    question: str
    scope: tuple[str, ...]  # what the result is and is not, one sentence each
    mechanism: str  # what the mechanism section is about


SPECS = {
    "clipping": ComparisonSpec(
        question=(
            "Which clipping objective learns better from the same rollouts: PPO-clip, DAPO's clip-higher, GPPO or "
            "CISPO, and does the answer depend on how far the updates go off-policy?"
        ),
        scope=(
            "Mechanism check, not a reproduction: a model of about 100 thousand parameters on arithmetic chains. The "
            "published comparison (arXiv 2508.07629) is an 8B model at learning rate 1e-6 with gradient norms of 0.05 "
            "to 0.08.",
            "Neither operating point is tuned per arm: all arms share one learning rate, so a ranking here is one at "
            "that learning rate and that number of updates.",
        ),
        mechanism=(
            "GPPO without a dual clip and CISPO with the same bounds differ in exactly two corners: A > 0 below the "
            "band, and A < 0 above it. PPO-clip and clip-higher drop what GPPO keeps in the other two."
        ),
    ),
}

GENERIC = ComparisonSpec(
    question="How do the runs of this sweep compare?",
    scope=("Runs outside a declared sweep: no comparison was registered before they started.",),
    mechanism="Where tokens left the reference band, and what the loss did with them.",
)


def spec_for(sweep: str) -> ComparisonSpec:
    """The spec of a sweep, a generic one for runs outside the declared sweeps."""
    return SPECS.get(sweep, GENERIC)
