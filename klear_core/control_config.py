"""What a control alters; beside ``config`` as the rewards are, for its length."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ControlConfig:
    """What ``sweep=controls`` alters in an RL run to test the harness itself; ``none`` alters nothing."""

    name: str
    note: str
    sampling_stream: int  # names the random numbers of rollouts; 0 is the stream that every sweep uses
    random_reward: bool  # a fair coin is trained on in place of the reward; verdicts stay
    learning_rate_factor: float  # of rl.learning_rate
