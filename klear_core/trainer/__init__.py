"""Training: the policy, its supervised start, off-policy RL and checkpoints."""
