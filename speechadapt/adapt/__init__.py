"""Changing a model: adapters, the training loop, checkpoints. Knows nothing of scores."""
