"""Graders: from a response to a reward and the verdict that explains it."""
