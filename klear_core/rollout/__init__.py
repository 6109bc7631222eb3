"""Engines that sample completions, and the collection of rollouts."""
