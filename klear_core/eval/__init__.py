"""Evaluation: questions, decodings, and one stored row per question and sample."""
