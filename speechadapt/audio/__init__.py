"""From samples to batches: reading, quality, augmentation, features, batching."""
