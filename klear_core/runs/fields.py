"""The fields of every record with their meaning and unit. Standard library only."""

# The band in which a ratio counts as unclipped for every arm, also for those that have no band of their own.
REFERENCE_BAND = (0.8, 1.28)

# Corner name -> what it holds: sign of the advantage x side of the reference band.
CORNERS = {
    "pos_above": "A > 0 and r above the band: likely tokens of good answers; PPO-clip stops them",
    "pos_below": "A > 0 and r below the band: no clipped loss stops them",
    "neg_above": "A < 0 and r above the band: no clipped loss stops them without a dual clip",
    "neg_below": "A < 0 and r below the band: unlikely tokens of bad answers; PPO-clip stops them",
}


def _corner_fields() -> dict[str, str]:
    fields: dict[str, str] = {}
    for corner, meaning in CORNERS.items():
        fields[f"corner_{corner}_fraction"] = f"{meaning}; share of response tokens with A != 0"
        fields[f"corner_{corner}_mass"] = "sum |F A| in the corner / sum |F A|, what the loss used"
        fields[f"corner_{corner}_mass_unclipped"] = "sum |r A| in the corner / sum |r A|, what no clipping would use"
    return fields


# steps.jsonl of an RL run. "Later updates" are all updates of the step after its first (at the first, r = 1).
STEP_FIELDS: dict[str, str] = {
    "step": "rollout steps done, from 1",
    "updates": "optimizer updates done so far",
    "samples": "completions sampled so far",
    "tokens": "response tokens sampled so far",
    "learning_rate": "learning rate of the step's last update",
    "problems_hash": "hash of the problem ids of the step in order; equal over the arms of a seed",
    "reward_mean": "mean reward of the step's completions",
    "reward_variance_within": "variance of the rewards of a problem, mean over problems",
    "reward_variance_between": "variance over problems of their mean reward",
    "pass_rate_mean": "mean share of its tests that a program passed; 0 for a response without a program",
    "correct_fraction": "share of completions with verdict CORRECT",
    "no_answer_fraction": "share of completions without an answer or a program, or in a wrong form",
    "truncated_fraction": "share of completions cut at the token cap",
    "invalid_completions": "completions whose grading failed; they enter no other reward column and no loss",
    "verifier_disagreement": "share of answers on which two verifiers differ, of those that both decide; NaN for none",
    "zero_variance_groups": "share of problems whose completions all have one reward",
    "dropped_groups": "share of problems that reward.group_filter left out",
    "learning_groups": "share of problems with a completion whose advantage is not 0",
    "gradient_variance": "sum_p |g_p - g|^2 / (P - 1) over the gradients g_p of P problems, on policy; now and then",
    "gradient_signal": "|g|^2 - gradient_variance / P, an unbiased squared norm of the true gradient",
    "response_tokens_mean": "mean response length in tokens",
    "entropy": "mean entropy of the sampling policy per response token, nats",
    "loss": "mean loss over the step's updates",
    "grad_norm_mean": "mean gradient norm before clipping",
    "grad_norm_max": "largest gradient norm before clipping",
    "clipped_updates": "share of updates whose gradient norm was cut",
    "nonfinite_updates": "updates of the step whose loss, ratio, gradient norm or advantage was not finite",
    "skipped_updates": "updates left out for that reason so far (rl.max_skipped_updates)",
    "kept_rows": "share of completions that went through forward and backward",
    "sampler_gap_max": "largest |engine - trainer| log-probability of a sampled token, nats",
    "sampler_gap_mean": "its mean over the response tokens trained on, nats",
    "sampler_gap_p99": "its 99 % quantile, nats",
    "sampler_kl": "KL(engine || trainer), mean of exp(d) - 1 - d, d = trainer - engine log-probability, nats",
    "band_fraction": "share of response tokens with A != 0 outside the reference band, later updates",
    **_corner_fields(),
    "entropy_inside": "mean sampling entropy of tokens with A != 0 inside the band, later updates, nats",
    "entropy_outside": "the same outside the band",
    "ess": "effective sample size of the ratios / number of tokens, later updates",
    "ratio_p01": "1 % quantile of the ratio, later updates",
    "ratio_p50": "median",
    "ratio_p99": "99 % quantile",
    "ratio_max": "largest ratio",
}

# Of them, those that came later: stored rows of earlier code lack them, and are whole all the same.
LATER_STEP_FIELDS = ("sampler_gap_mean", "sampler_gap_p99", "sampler_kl")

SFT_STEP_FIELDS: dict[str, str] = {
    "step": "optimizer updates done, from 1",
    "loss": "mean cross-entropy per response token, nats",
    "learning_rate": "learning rate of the update",
    "grad_norm": "gradient norm before clipping",
    "response_tokens": "response tokens of the update, those that are learned",
    "positions": "positions that went through the model, prompts and padding included",
}

SFT_TIMING_FIELDS: dict[str, str] = {
    "step": "joins steps.jsonl; a row is about all updates since the last one",
    "attempt": "the start of the run that took these seconds, from 1",
    "pid": "its process",
    "update_s": "tokenizing, forward, backward and optimizer, seconds",
    "eval_s": "evaluation after this step, seconds",
    "total_s": "both, seconds",
    "trained_tokens_per_s": "response tokens / update_s",
    "peak_rss_mb": "largest resident memory of the process so far, MiB",
}

TIMING_FIELDS: dict[str, str] = {
    "step": "joins steps.jsonl",
    "attempt": "the start of the run that took these seconds, from 1",
    "pid": "its process",
    "rollout_s": "sampling, seconds",
    "checkpoint_s": "saving the training state between rollout and updates, seconds",
    "reward_s": "grading, seconds",
    "noise_s": "measuring the gradient's noise, seconds",
    "score_s": "old log-probabilities under the trainer, seconds",
    "update_s": "forward, backward and optimizer, seconds",
    "eval_s": "evaluation after this step, seconds",
    "total_s": "the whole step, seconds",
    "sampled_tokens_per_s": "response tokens / rollout_s",
    "peak_rss_mb": "largest resident memory of the process so far, MiB",
}

# eval.parquet: one row per question and sample.
EVAL_COLUMNS: dict[str, str] = {
    "step": "step of the policy: of RL, where 0 is the supervised start, or of supervised training",
    "split": "test or validation",
    "decoding": "t1.0, t0.6_p0.95 or greedy",
    "question": "index of the question in its split, the same for every arm and seed",
    "problem_id": "stable id of the problem",
    "difficulty": "of the question, the higher the harder on its task's scale; NaN where nobody says",
    "sample": "index of the sample",
    "answer": "reference answer",
    "extracted": "answer found in the response, empty when there is none",
    "verdict": "one of klear_core.records.Verdict",
    "correct": "verdict is CORRECT",
    "pass_rate": "share of its tests that a program passed, NaN for an answer without tests",
    "tests": "one letter a test: Pass, Wrong, Runtime error, Timeout, Memory, Output limit, Infrastructure",
    "response_tokens": "length of the response, end-of-text included",
    "response": "decoded text",
}

# Their types, as Arrow calls them; how a column of texts or of numbers is laid out in a file is free.
EVAL_TYPES: dict[str, str] = {
    **dict.fromkeys(EVAL_COLUMNS, "string"),
    **dict.fromkeys(("step", "question", "sample", "response_tokens"), "int64"),
    **dict.fromkeys(("difficulty", "pass_rate"), "double"),
    "correct": "bool",
}

ROLLOUT_COLUMNS: dict[str, str] = {
    "step": "RL step that sampled the completion",
    "problem_id": "stable id of the problem",
    "sample": "index within the group",
    "prompt": "text",
    "response": "decoded text",
    "reward": "number that entered the advantage",
    "verdict": "as in eval.parquet",
    "pass_rate": "as in eval.parquet",
    "tests": "as in eval.parquet",
    "advantage": "advantage of the completion",
    "response_tokens": "length of the response, end-of-text included",
}
