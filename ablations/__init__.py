"""Orchestration: from a Hydra config to a plan, child processes and the stages they run."""
