"""Relatives: corpora that share speakers, recordings or texts under other names, so that checks by speaker see nothing of it."""

import dataclasses
from collections.abc import Iterable, Sequence

from speechadapt.data.manifest import CORPUS_FILE, Manifest
from speechadapt.errors import SpeechadaptError
from speechadapt.files import read_json

UNMATCHED = "Speakers cannot be matched across the two; only equal sentences and equal samples are found."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """What two groups of corpora have in common: any of `one` with any of `other`, or any two of `one` where `other` is empty."""

    one: frozenset[str]
    other: frozenset[str]
    told: str

    def holds(self, first: str, second: str) -> bool:
        """Whether it holds between two corpora of different names."""
        if not self.other:
            return first != second and {first, second} <= self.one
        return (first in self.one and second in self.other) or (first in self.other and second in self.one)


def _corpora(names: str) -> frozenset[str]:
    return frozenset(names.split())


COMMON_VOICE = _corpora("common_voice commonvoice")
LIBRIVOX = _corpora(
    "librispeech libritts libritts_r libri_tts libri_light librilight libriheavy libri_heavy librispeech_pc librimix mls mls_english "
    "multilingual_librispeech"
)
RELATIONS = (
    Relation(
        one=_corpora("globe common_accent commonaccent"),
        other=COMMON_VOICE,
        told="GLOBE and CommonAccent consist of clips of Common Voice, under other names",
    ),
    Relation(
        one=_corpora("globe common_accent commonaccent"), other=frozenset(), told="both consist of clips of Common Voice, perhaps of the same ones"
    ),
    Relation(
        one=_corpora("l2_arctic l2arctic"),
        other=_corpora("cmu_arctic cmuarctic arctic"),
        told="other speakers read the same prompts of CMU ARCTIC",
    ),
    Relation(
        one=_corpora("vctk speech_accent_archive slr83"),
        other=frozenset(),
        told="VCTK, the Speech Accent Archive and SLR83 have passages in common that all their speakers read, such as `Please call Stella`",
    ),
    Relation(
        one=LIBRIVOX,
        other=frozenset(),
        told="both are made of LibriVox recordings, so the same readers and books may stand in both, under other ids and cut otherwise",
    ),
    Relation(one=_corpora("fleurs"), other=_corpora("flores flores_101 flores_200 flores101 flores200"), told="FLEURS reads the sentences of FLoRes"),
)
"""Known relations, by the names that corpora have in this program (`corpus.json`, the prefix of ids and speakers); those without a script of
ours are known by the names a user is likely to give them."""

_KNOWN = frozenset(name for relation in RELATIONS for name in relation.one | relation.other)


def corpora_of(manifest: Manifest) -> frozenset[str]:
    """The related corpora that the rows of a manifest come from: what its `corpus.json` says, and the prefixes of ids and speakers."""
    found = set()
    file = manifest.folder / CORPUS_FILE
    if file.is_file():
        try:
            about = read_json(file)
        except SpeechadaptError:  # a note is not worth an error; whoever needs the file will say it
            about = {}
        if isinstance(about, dict) and isinstance(about.get("name"), str):
            found.add(about["name"].casefold().replace("-", "_"))
    for u in manifest:
        found.add(u.id.partition("-")[0].casefold())
        if u.speaker is not None:
            found.add(u.speaker.partition(":")[0].casefold())
        if "slr" in u.meta:  # the sets of OpenSLR, of which only some are related, are told apart by their number
            found.add(f"slr{u.meta['slr']}")
    return frozenset(found & _KNOWN)


def relations_between(first: Manifest, second: Manifest) -> tuple[str, ...]:
    """A sentence for each known relation between a corpus of the first manifest and another one of the second."""
    return _told((one, other) for one in sorted(corpora_of(first)) for other in sorted(corpora_of(second)))


def relations_among(first: Sequence[Manifest], second: Sequence[Manifest]) -> tuple[str, ...]:
    """`relations_between` for any of the first with any of the second, each sentence once."""
    return tuple(dict.fromkeys(note for one in first for other in second for note in relations_between(one, other)))


def _told(pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    notes: dict[frozenset[str], str] = {}
    for one, other in pairs:
        for relation in RELATIONS:
            if one != other and relation.holds(one, other):
                first, second = sorted((one, other))
                notes.setdefault(frozenset((one, other)), f"{first} and {second} are related corpora: {relation.told}. {UNMATCHED}")
    return tuple(notes.values())
