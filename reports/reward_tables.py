"""Tables of what the reward gave: its spread, groups with a signal, the gradient's noise, what a filter dropped."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from reports.analysis import Contrast
from reports.load import RunData, SweepData
from reports.markdown import DASH, Table, interval, number
from reports.stats import Estimate, mean_interval
from reports.tables import file_name
from reports.training_tables import percent, step_means


def reward_table(data: SweepData, point: str) -> Table:
    """Rewards over all of training: mean, spread, and in how many groups there was something to learn."""
    rows, raw = [], []
    for treatment in data.plan.treatments:
        runs = data.at(point, treatment)
        means, last = step_means(runs), step_means(runs, last=5)
        if not means:
            continue
        invalid = sum(int(run.steps["invalid_completions"].sum()) for run in runs if len(run.steps))
        unjudged = sum(int((run.evaluations["verdict"] == "GRADER_ERROR").sum()) for run in runs)
        rows.append(
            [
                treatment,
                number(last["reward_mean"]),
                number(last["pass_rate_mean"]),
                number(last["correct_fraction"]),
                number(means["reward_variance_within"], ".4f"),
                number(means["reward_variance_between"], ".4f"),
                percent(means["learning_groups"]),
                percent(means["dropped_groups"]),
                f"{invalid} / {unjudged}",
            ]
        )
        raw.append({"point": point, "treatment": treatment, "invalid": invalid, "invalid_evaluated": unjudged} | means)
    header = [
        "arm",
        "reward",
        "tests passed",
        "all passed",
        "variance within groups",
        "variance between groups",
        "groups with a signal",
        "groups filtered out",
        "invalid (training / evaluation)",
    ]
    notes = [
        "Reward and shares passed: means of the last 5 steps, before the filter; the others: means over all steps. "
        "Variances are in units of each arm's own reward, so p and 2p - 1 differ by 4. Invalid: completions whose "
        "grading failed twice; they are in no mean and in no loss.",
    ]
    return Table(name=file_name("rewards", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def noise_table(data: SweepData, point: str) -> Table:
    """The gradient's noise: at step 1, where all arms of a seed grade the same completions, and over the rest."""
    baseline = data.plan.baseline
    rows, raw = [], []
    for treatment in data.plan.treatments:
        runs = [run for run in data.at(point, treatment) if len(_measured(run))]
        if not runs:
            continue
        first = {run.planned.seed: _measured(run).iloc[0] for run in runs}
        later = [_measured(run).iloc[1:] for run in runs if len(_measured(run)) > 1]
        against = {r.planned.seed: _measured(r).iloc[0] for r in data.at(point, baseline or "") if len(_measured(r))}
        problems = _problems_a_step(data)
        variance = mean_interval([float(row["gradient_variance"]) for row in first.values()])
        ratio = _ratio(first, against) if treatment != baseline else mean_interval([])
        trained = mean_interval([float(frame["gradient_variance"].mean()) for frame in later])
        shares = [_noise_share(frame, problems) for frame in later]
        later_share = sum(shares) / len(shares) if shares else math.nan
        first_share = _noise_share(pd.DataFrame([*first.values()]), problems)
        rows.append(
            [
                treatment,
                interval(variance, ".2f"),
                interval(ratio, ".2f") if treatment != baseline else "baseline",
                number(first_share, ".2f"),
                interval(trained, ".2f"),
                number(later_share, ".2f"),
            ]
        )
        raw.append(
            {"point": point, "treatment": treatment, "variance_step1": variance.value, "ratio": ratio.value}
            | {"noise_share_step1": first_share, "noise_share_later": later_share}
            | {"ratio_low": ratio.low, "ratio_high": ratio.high, "variance_later": trained.value}
        )
    header = [
        "arm",
        "variance at step 1",
        f"ratio to {baseline or DASH}",
        "noise share at step 1",
        "variance later",
        "noise share later",
    ]
    notes = [
        "Variance: sum over problems of |g_p - g|^2 / (P - 1), the trace of the covariance of one problem's policy "
        "gradient, on policy (r = 1) and before any update, so no objective has a part in it; problems without a "
        "signal count with g_p = 0. At step 1 every arm of a seed has the same weights and the same completions: only "
        "the grades differ. The ratio is a geometric mean over seeds with its 95 % t interval on the logarithm.",
        "Noise share: variance / P, over that plus the unbiased squared norm of the true gradient: 1 is all noise. It "
        "does not depend on the scale of the advantages.",
    ]
    return Table(name=file_name("gradient_noise", point), header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def noise_sentence(data: SweepData, point: str) -> str:
    """Whether the soft reward lowers the gradient's variance, as the paper holds; "" where that is not compared."""
    raw = noise_table(data, point).raw
    if data.plan.baseline != "hard" or raw.empty or "soft" not in set(raw["treatment"]):
        return ""
    by_arm = raw.set_index("treatment").to_dict("index")
    row, hard = by_arm["soft"], by_arm.get("hard", {})
    value, low, high = (float(row[name]) for name in ("ratio", "ratio_low", "ratio_high"))
    if math.isnan(value):  # nothing was learned from at step 1, as at scales that are too short to learn
        return ""
    ratio = Estimate(value=value, low=low, high=high, n=0)
    if math.isnan(ratio.low):
        verdict = "one seed does not tell"
    elif ratio.low <= 1 <= ratio.high:
        verdict = "not resolved"
    else:
        verdict = "lower" if ratio.high < 1 else "higher"
    return (
        f"The paper holds that a soft reward lowers the variance of the gradient (arXiv 2508.07629). On the same "
        f"completions, at step 1, soft's is {interval(ratio, '.2f')} times hard's: {verdict}. Its "
        f"share of noise there is {number(row['noise_share_step1'], '.2f')} against "
        f"{number(hard.get('noise_share_step1', math.nan), '.2f')}, estimates without an interval."
    )


def _measured(run: RunData) -> pd.DataFrame:
    if "gradient_variance" not in run.steps:
        return pd.DataFrame()
    return run.steps[run.steps["gradient_variance"].notna()]


def _problems_a_step(data: SweepData) -> float:
    text = data.plan.fixed.get("rl.problems_per_step", "")
    return float(text) if text.isdigit() else math.nan


def _noise_share(frame: pd.DataFrame, problems: float) -> float:
    noise, signal = float(frame["gradient_variance"].mean()) / problems, float(frame["gradient_signal"].mean())
    # An unbiased estimate may fall below 0, where noise is all that can be seen.
    return noise / (noise + max(signal, 0.0)) if noise > 0 else math.nan


def _ratio(ours: dict[int, pd.Series], theirs: dict[int, pd.Series]) -> Estimate:
    pairs = [(ours[seed]["gradient_variance"], theirs[seed]["gradient_variance"]) for seed in ours if seed in theirs]
    found = mean_interval([math.log(a / b) for a, b in pairs if a > 0 and b > 0])
    bounds = {name: float(np.exp(getattr(found, name))) for name in ("value", "low", "high")}
    return Estimate(**bounds, n=found.n)


def contrast_table(contrasts: Sequence[Contrast], point: str) -> Table:
    """Pairs of arms that answer a question of their own, beside the comparisons with the baseline."""
    here = [each for each in contrasts if each.point == point]
    rows = [
        [
            each.question,
            f"{each.treatment} - {each.against}",
            interval(each.comparison.difference, "+.3f"),
            number(each.comparison.p),
            number(each.adjusted_p),
            each.verdict,
            str(each.seeds),
        ]
        for each in here
    ]
    raw = pd.DataFrame(
        [
            {"point": e.point, "treatment": e.treatment, "against": e.against, "p": e.comparison.p}
            | {"difference": e.comparison.difference.value, "low": e.comparison.difference.low}
            | {"high": e.comparison.difference.high, "p_holm": e.adjusted_p, "verdict": e.verdict}
            for e in here
        ]
    )
    header = ["question", "difference of", "primary metric [95 % t interval]", "p", "p (Holm)", "verdict", "seeds"]
    notes = ["Declared with the sweep; Holm over these contrasts alone, paired by seed as above."]
    return Table(name=file_name("contrasts", point), header=header, rows=rows, raw=raw, notes=notes)


def filter_table(data: SweepData) -> Table:
    """What each filter dropped, by planted flaw and by difficulty; one row an arm and difficulty, and a total."""
    rows, raw = [], []
    for treatment in data.plan.treatments:
        found = [run.filter for run in data.runs if run.planned.treatment == treatment and run.filter]
        if not found:
            continue
        differ = any(rows_ != found[0] for rows_ in found)
        frame = pd.DataFrame(found[0])
        known = sorted(frame["difficulty"].dropna().unique())
        levels = [(str(level), frame[frame["difficulty"] == level]) for level in known]
        for level, part in [("all", frame), *levels]:
            counts = _filter_counts(part)
            rows.append(
                [
                    treatment + (" (runs differ)" if differ else "") if level == "all" else "",
                    level,
                    f"{counts['dropped_flawed']:,} of {counts['flawed']:,}",
                    f"{counts['dropped_sound']:,} of {counts['sound']:,}",
                    number(counts["precision"]),
                    number(counts["recall"]),
                ]
            )
            raw.append({"treatment": treatment, "difficulty": level, **counts})
    header = ["arm", "difficulty", "flawed dropped", "sound dropped", "precision", "recall"]
    notes = [
        "Flawed: some expected outputs are wrong, planted in a known share of training problems. Precision: share of "
        "what was dropped that is flawed; recall: share of the flawed that was dropped. Difficulty is the number of "
        "pieces of the function."
    ]
    return Table(name="filter", header=header, rows=rows, raw=pd.DataFrame(raw), notes=notes)


def _filter_counts(part: pd.DataFrame) -> dict[str, float]:
    flawed, sound = part[part["flawed"]], part[~part["flawed"]]
    hits, misses = int(flawed["dropped"].sum()), int(sound["dropped"].sum())
    all_flawed, all_sound = hits + int(flawed["kept"].sum()), misses + int(sound["kept"].sum())
    return {
        "dropped_flawed": hits,
        "flawed": all_flawed,
        "dropped_sound": misses,
        "sound": all_sound,
        "precision": hits / (hits + misses) if hits + misses else math.nan,
        "recall": hits / all_flawed if all_flawed else math.nan,
    }
