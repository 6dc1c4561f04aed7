"""Which vocabulary a CTC model should write, decided from the training texts and told in sentences."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from speechadapt.errors import LabelError, MisuseError, TrainingError
from speechadapt.models.vocabulary import Vocabulary, build_vocabulary
from speechadapt.text.spelling import spell_for_ctc

VOCABULARIES = ("auto", "keep", "extend", "new")
SHOWN = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyChoice:
    """A decision.

    Attributes:
        vocabulary: what the output layer shall write.
        head: `kept`, `extended` or `new`.
        sentences: for the user: what was kept, added, left out as rare, and what that costs.
    """

    vocabulary: Vocabulary
    head: str
    sentences: tuple[str, ...]


def choose_vocabulary(current: Vocabulary | None, texts: Sequence[str], *, wanted: str, rare: int, language: str | None) -> VocabularyChoice:
    """Decide on a vocabulary.

    Args:
        current: the model's; None where it has no output layer yet.
        texts: transcripts of the training manifest alone, as they are.
        wanted: `auto` keeps what covers the texts, extends it where it does not, and builds one where there is none; `keep`, `extend`, `new`.
        rare: characters that occur less often than this are left out.
        language: for the spelling.

    Raises:
        TrainingError: nothing is left to be written, or `keep` was asked where there is nothing to keep.
        MisuseError: another word than the four, or `rare` below 1.
    """
    if wanted not in VOCABULARIES:
        raise MisuseError(f'vocabulary is "{wanted}", must be one of: {", ".join(VOCABULARIES)}. Correct the setting.')
    if rare < 1:
        raise MisuseError(f"rare is {rare}, must be 1 or more. Correct the setting.")
    if wanted == "keep" and current is None:
        raise TrainingError("vocabulary is keep, but the base has no output layer and so none to keep. Set vocabulary=auto or new.")
    afresh = current is None or wanted == "new"
    spelled, unspelled = _spell(texts, language, "lower" if current is None or afresh else current.case)
    if unspelled and not any(spelled):
        raise TrainingError(
            f"the {len(texts)} training texts leave an empty vocabulary: {len(unspelled)} of them cannot be spelled out"
            f"{'' if len(unspelled) == len(texts) else ', and the others have no letters'}. The first: {unspelled[0]}"
        )
    if afresh:
        counts = Counter("".join(spelled))
        vocabulary = build_vocabulary(character for character, count in counts.items() if count >= rare)
        if not vocabulary.letters:
            raise TrainingError(
                f"the {len(texts)} training texts leave an empty vocabulary: no letter occurs {rare} times or more once punctuation is gone. "
                f"Give more text, or lower rare.{_told(unspelled)}"
            )
        size = _many(len(vocabulary.letters), "character")
        told = f"vocabulary built from {_many(len(spelled), 'training text')}: {size}, {_shown(vocabulary.letters)}"
        return VocabularyChoice(vocabulary=vocabulary, head="new", sentences=(told, *_left_out(vocabulary, spelled, rare)))
    assert current is not None  # noqa: S101 - for the type checker
    missing = current.missing(spelled)
    added = sorted(character for character, count in missing.items() if count >= rare) if wanted != "keep" else []
    if not any(character in current.letters for text in spelled for character in text) and not added:
        raise TrainingError(
            f"the {len(texts)} training texts leave an empty vocabulary: none of their characters is among the base's {len(current.letters)}"
            f"{'' if wanted == 'keep' else f' or occurs {rare} times'}. Set vocabulary=extend or new, or give more text.{_told(unspelled)}"
        )
    if not added:
        written = f"{_covered(current, spelled)} of {_many(len(spelled), 'training text')}"
        told = f"vocabulary kept: the base's {_many(len(current.letters), 'character')} write {written}"
        return VocabularyChoice(vocabulary=current, head="kept", sentences=(told, *_left_out(current, spelled, rare)))
    extended = current.extend(added)
    told = f"vocabulary extended by {_many(len(added), 'character')} beside the base's {len(current.letters)}: {_counted(missing, added)}"
    return VocabularyChoice(vocabulary=extended, head="extended", sentences=(told, *_left_out(extended, spelled, rare)))


def _spell(texts: Iterable[str], language: str | None, case: str | None) -> tuple[list[str], list[LabelError]]:
    """The texts as they are spelled, and why others cannot be: those are dropped and counted by the training itself, when it makes their labels."""
    spelled, unspelled = [], []
    for text in texts:
        try:
            spelled.append(spell_for_ctc(text, language, case))
        except LabelError as error:
            unspelled.append(error)
    return spelled, unspelled


def _told(unspelled: Sequence[LabelError]) -> str:
    return f" {len(unspelled)} of them cannot be spelled out, the first: {unspelled[0]}" if unspelled else ""


def _left_out(vocabulary: Vocabulary, spelled: Sequence[str], rare: int) -> list[str]:
    missing = vocabulary.missing(spelled)
    if not missing:
        return []
    lost = _many(len(spelled) - _covered(vocabulary, spelled), "text")
    why = f"fewer than {rare} times in the training texts" if all(count < rare for count in missing.values()) else "not in the vocabulary"
    return [f"left out, being {why}: {_counted(missing, sorted(missing))}; {lost} cannot be learned because of it"]


def _covered(vocabulary: Vocabulary, spelled: Sequence[str]) -> int:
    return sum(not vocabulary.missing([text]) for text in spelled)


def _counted(counts: Counter[str], characters: Sequence[str]) -> str:
    return _cut([f"{_named(character)} ({_many(counts[character], 'time')})" for character in characters])


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _shown(letters: Iterable[str]) -> str:
    return _cut([_named(letter) for letter in letters])


def _cut(words: list[str]) -> str:
    return ", ".join(words[:SHOWN]) + (", …" if len(words) > SHOWN else "")


def _named(character: str) -> str:
    return "the blank between words" if character == " " else character
