"""Base models, one family per file, and where their weights come from."""
