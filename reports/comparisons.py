"""What each sweep's report asks and says: one spec a sweep, one sweep a spec."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSpec:
    """The words of a report that no number can give."""

    question: str
    scope: tuple[str, ...]  # what the result is and is not, one sentence each
    mechanism: str  # what the mechanism section is about
    about_clipping: bool  # the arms differ in what clipping does, so too few clipped tokens mean no ranking


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
        about_clipping=True,
    ),
}

GENERIC = ComparisonSpec(
    question="How do the runs of this sweep compare?",
    scope=(
        "Mechanism check, not a reproduction: a toy model stands for the published 8B one (arXiv 2508.07629).",
        "No operating point is tuned per arm, and no question was written down for this sweep beyond its plan.",
    ),
    mechanism="Where tokens left the reference band, and what the loss did with them.",
    about_clipping=False,
)


def spec_for(sweep: str) -> ComparisonSpec:
    """The spec of a sweep, or of <name>-2 that reuse=new_folder made of it; a generic one outside the declared ones."""
    return SPECS.get(re.sub(r"-\d+$", "", sweep), GENERIC)
