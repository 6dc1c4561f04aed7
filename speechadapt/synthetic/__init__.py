"""The embedded corpus: a neural voice, accents as tables of phonological rules, sentences. Teaching and testing material, not people."""
