"""Benchmarks: a matrix of recognizers and manifests, each recognizer in a process of its own, and a leaderboard of what they said."""
