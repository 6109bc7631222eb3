"""What each sweep's report asks and says: one spec a sweep, one sweep a spec."""

import re

from reports.sft_comparisons import SFT_SPECS
from reports.spec import Beside, ComparisonSpec

_ONE_OBJECTIVE = (
    "All arms share one objective, so this shows only whether they drive the policy to different distances from the "
    "one that sampled."
)
_ON_CHAINS = "Mechanism check, not a reproduction: a small model on arithmetic chains."
_CORNERS = (
    "GPPO without a dual clip and CISPO with the same bounds differ in exactly two corners: A > 0 below the band, and "
    "A < 0 above it. PPO-clip and clip-higher drop what GPPO keeps in the other two."
)

SPECS = {
    "clipping": ComparisonSpec(
        question=(
            "Which clipping objective learns better from the same rollouts: PPO-clip, DAPO's clip-higher, GPPO or "
            "CISPO, and does the answer depend on how far the updates go off-policy?"
        ),
        scope=(
            "Mechanism check, not a reproduction: a small model on arithmetic chains. The "
            "published comparison (arXiv 2508.07629) is an 8B model at learning rate 1e-6 with gradient norms of 0.05 "
            "to 0.08.",
            "Neither operating point is tuned per arm: all arms share one learning rate, so a ranking here is one at "
            "that learning rate and that number of updates.",
        ),
        mechanism=_CORNERS,
        about_clipping=True,
        contrasts=(("gppo", "cispo", "GPPO or CISPO with the same bounds, which differ in two corners"),),
        beside=(Beside(table="figure_2", columns={}),),
    ),
    "reward": ComparisonSpec(
        question=(
            "Does a reward in proportion to the tests that a program passes train better than all or nothing, and what "
            "does the released code's group filter cost, which throws away groups without both right and wrong "
            "completions (Figure 3 of arXiv 2508.07629)?"
        ),
        scope=(
            "Mechanism check, not a reproduction: a small model writes functions of a few "
            "lines. The published comparison is an 8B model on competition problems.",
            "All arms share one learning rate. grpo advantages do not change when a reward is scaled or shifted, so p "
            "and 2p - 1 are one arm; klear_released differs from soft_acc in what a wrong form earns only.",
        ),
        mechanism=_ONE_OBJECTIVE,
        about_clipping=False,
        about_reward=True,
        contrasts=(
            ("soft", "hard", "soft or hard, every group used"),
            ("soft_acc", "hard_acc", "soft or hard, groups filtered by acc"),
            ("soft_acc", "soft", "what the acc filter costs under the soft reward"),
            ("hard_acc", "hard", "what the acc filter does under the hard reward (denominators only)"),
            ("klear_released", "soft_acc", "what the released scores of wrong forms change"),
        ),
        beside=(Beside(table="figure_3", columns={("", "soft"): "soft", ("", "hard"): "hard"}),),
    ),
    "code_filter": ComparisonSpec(
        question=(
            "Does it help to drop prompts whose tests are flawed, as a reference solver finds them, and how good must "
            "that solver be (Figure 4 of arXiv 2508.07629)?"
        ),
        scope=(
            "Mechanism check, not a reproduction: the flaws are planted, so what a filter finds is known exactly; the "
            "model is a small one.",
            "The reference solver knows the true function and no tests: it stands for the model that the paper samples "
            "its 16 completions from, not for the policy.",
        ),
        mechanism=_ONE_OBJECTIVE,
        about_clipping=False,
        about_reward=True,
        contrasts=(
            ("reference_90", "off", "does a filter by a good solver help"),
            ("reference_60", "reference_90", "does a worse solver make the filter worse"),
            ("reference_90", "oracle", "what a good solver's filter lacks to a perfect one"),
        ),
        same_problems=False,
        beside=(Beside(table="figure_4", columns={}),),
    ),
    "zero_advantage": ComparisonSpec(
        question=(
            "Groups whose completions all earn the same have no advantage and no gradient. Does it matter whether the "
            "mean of the loss still counts them (Figure 5 of arXiv 2508.07629)?"
        ),
        scope=(
            _ON_CHAINS,
            "The arms differ in the length of their steps and in nothing else: `kept` divides by the groups that have "
            "an advantage, `all` by every group. Gradients are cut at a norm of 1, which hides a part of that.",
        ),
        mechanism=_ONE_OBJECTIVE,
        about_clipping=False,
        beside=(Beside(table="figure_5", columns={}),),
    ),
    "controls": ComparisonSpec(
        question=(
            "Does the harness call equal things equal and different things different? Seven arms differ from `none` in "
            "the random numbers of their rollouts alone; a random reward leaves nothing to learn; ten times the "
            "learning rate must show."
        ),
        scope=(
            "A test of the harness, not of a method: the settings are those of `+sweep=clipping` with clip_higher at 4 "
            "updates a rollout.",
            "The arms called stream_1 to stream_7 are exchangeable with `none`: any verdict on them is a false alarm.",
        ),
        mechanism=_ONE_OBJECTIVE,
        about_clipping=False,
        about_controls=True,
    ),
    "stability": ComparisonSpec(
        question=(
            "Which learning rate and how many updates a rollout does each clipping objective bear, and which objective "
            "is best at its own best settings?"
        ),
        scope=(
            _ON_CHAINS,
            "The best settings of an arm are those with the highest mean accuracy on the validation questions at the "
            "last step; only then its test questions are read.",
        ),
        mechanism=_CORNERS,
        about_clipping=True,
        grid=(("learning rate", "rl.learning_rate"), ("updates a rollout", "rl.updates_per_rollout")),
        choose_point=True,
    ),
    "gppo_cures": ComparisonSpec(
        question=(
            "GPPO as published collapses far off-policy on this testbed. What cures that: a smaller gradient below the "
            "band (beta_low), or none far above it where A < 0 (dual clip)?"
        ),
        scope=(
            _ON_CHAINS,
            "One operating point, the one of `+sweep=stability` where GPPO as published collapses most often.",
        ),
        mechanism=(
            "beta_low scales the gradient of tokens with A < 0 below the band, which GPPO keeps pushing down; a dual "
            "clip stops those with A < 0 far above it, whose weight r is otherwise not bounded."
        ),
        about_clipping=True,
        factors=(("beta_low", "objective.params.beta_low"), ("dual clip", "objective.params.dual_clip")),
    ),
}

SPECS |= SFT_SPECS

GENERIC = ComparisonSpec(
    question="How do the runs of this sweep compare?",
    scope=(
        "Mechanism check, not a reproduction of arXiv 2508.07629: model, task and data are those held fixed below.",
        "No operating point is tuned per arm, and no question was written down for this sweep beyond its plan.",
    ),
    mechanism="Where tokens left the reference band, and what the loss did with them.",
    about_clipping=False,
)


def spec_for(sweep: str) -> ComparisonSpec:
    """The spec of a sweep, or of <name>-2 that reuse=new_folder made of it; a generic one outside the declared ones."""
    return SPECS.get(re.sub(r"-\d+$", "", sweep), GENERIC)
