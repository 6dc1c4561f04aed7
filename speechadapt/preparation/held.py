"""Held: who speaks and what is read in dev and test of a corpus, so that a script which adds further rows trains on nothing of it."""

from speechadapt.text.cleaning import clean_text
from speechadapt.text.sentence import sentence_key


class Held:
    """Speakers and sentences of dev and test as a corpus lists them, by native speaker and by sentence key."""

    def __init__(self) -> None:
        self.clips: set[str] = set()
        self.split: dict[tuple[str, str], str] = {}

    def add(self, split: str, clip: str, client: str, sentence: str) -> None:
        """Remember one row of dev or test, also one that is dropped later; test goes before dev."""
        self.clips.add(clip)
        for key in _keys(client, sentence):
            if self.split.get(key) != "test":
                self.split[key] = split

    def leak(self, client: str, sentence: str) -> tuple[str, str] | None:
        """What a row shares with dev or test, and with which: (speaker or sentence, dev or test)."""
        return next(((key[0], self.split[key]) for key in _keys(client, sentence) if key in self.split), None)


def _keys(client: str, sentence: str) -> list[tuple[str, str]]:
    """What must not be shared; an unknown client and an empty sentence match nothing."""
    keys = (("speaker", client), ("sentence", sentence_key(clean_text(sentence, case="keep"))))
    return [key for key in keys if key[1]]
