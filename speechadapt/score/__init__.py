"""Counting errors, intervals, verdicts. No torch, and no way to reach the trainer: so it can judge anyone."""
