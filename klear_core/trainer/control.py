"""What a control alters in an RL run, so that a report can show what the harness does where the answer is known."""

import dataclasses
from collections.abc import Sequence

from klear_core.control_config import ControlConfig
from klear_core.records import RandomKey, Reward
from klear_core.rollout.engine import uniforms


def sampling_stream(control: ControlConfig) -> str:
    """Name of the random numbers that rollouts are sampled with; 0 is the name that every other sweep uses."""
    return f"train/{control.sampling_stream}" if control.sampling_stream else "train"


def toss_coins(
    rewards: Sequence[Sequence[Reward]], problem_ids: Sequence[str], seed: int, step: int
) -> list[list[Reward]]:
    """The same rewards with a fair coin, 0 or 1, as their value; verdicts and pass rates stay those of the grader.

    A coin is a function of (seed, step, problem, sample), so a run that goes on tosses the same ones.
    """
    key = RandomKey(seed=seed, stream="random_reward", step=step)
    tossed = []
    for problem_id, group in zip(problem_ids, rewards, strict=True):
        coins_N = uniforms(key, [(problem_id, sample) for sample in range(len(group))], 1)[:, 0]
        tossed.append(
            [dataclasses.replace(reward, value=float(coin < 0.5)) for reward, coin in zip(group, coins_N, strict=True)]
        )
    return tossed
