"""Exports: an adapter merged into its base for other runtimes, each of which proves itself before it is called done; and the way to the Hub."""
