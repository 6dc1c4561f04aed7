"""The embedded corpus: a plan of who says what in which accent, and the function that makes one recording of it.

Teaching and testing material: a synthetic voice and rules, not people's speech; every line of its manifests says so (`meta.synthetic`).
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator

from speechadapt.audio.waveform import Waveform
from speechadapt.errors import MisuseError
from speechadapt.synthetic.accents import check_strength, find_accent
from speechadapt.synthetic.sentences import sentences
from speechadapt.synthetic.speakers import Speaker, draw_speaker, seed_of
from speechadapt.synthetic.voice import load_voice

NAME = "synthetic_english"

NOTICE = (
    "Synthetic speech: one neural American voice (hibari-tts) and an accent simulated by phonological rules. "
    "Teaching and testing material; a result on it is no claim about people."
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SplitSize:
    """How much of one split: `speakers` people with `utterances` sentences each, both 0 or more."""

    speakers: int
    utterances: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SplitSettings:
    """What a synthetic corpus' script lets a user set: speakers of each split, and sentences by each; the script gives the defaults."""

    train_speakers: int
    train_utterances: int
    dev_speakers: int
    dev_utterances: int
    test_speakers: int
    test_utterances: int

    @property
    def sizes(self) -> dict[str, SplitSize]:
        """The same by split."""
        return {
            "train": SplitSize(speakers=self.train_speakers, utterances=self.train_utterances),
            "dev": SplitSize(speakers=self.dev_speakers, utterances=self.dev_utterances),
            "test": SplitSize(speakers=self.test_speakers, utterances=self.test_utterances),
        }


DEFAULT_SIZES = {
    "train": SplitSize(speakers=16, utterances=36),
    "dev": SplitSize(speakers=6, utterances=10),
    "test": SplitSize(speakers=10, utterances=12),
}
"""About 36 minutes of training speech: what the quickstart adapts on."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUtterance:
    """One recording to be made: everything `speak` needs, small and picklable."""

    id: str
    split: str
    text: str
    accent: str
    strength: float
    speaker: Speaker


def make_corpus(accent: str, strength: float = 1.0, *, sizes: dict[str, SplitSize] | None = None, seed: int = 0) -> list[PlannedUtterance]:
    """Plan a corpus; nothing is spoken yet.

    Speakers are never shared between splits, accents, strengths or seeds, because their names hold all four. Sentences are never shared
    between splits, whatever the accent or seed, because a hash of the words decides a sentence's split: the test set of `standard` is a
    fair guard for a training set of any accent. Two accents of one seed have the same sentences, so that they can be compared.

    Args:
        accent: a name of `speechadapt.synthetic.accents.ACCENTS`.
        strength: the dial, 0 to 1.
        sizes: by split; None takes `DEFAULT_SIZES`.
        seed: of sentences and speakers.

    Raises:
        MisuseError: an unknown accent, a strength outside 0 to 1, an unknown split or a negative size.
    """
    chosen = find_accent(accent)
    check_strength(strength)
    percent = f"{strength * 100:g}".zfill(3)
    planned = []
    for split, number, texts in share_sentences(DEFAULT_SIZES if sizes is None else sizes, functools.partial(sentences, seed=seed)):
        speaker = draw_speaker(f"{chosen.name}-{percent}-s{seed}-{split}-{number:02d}")
        planned += [
            PlannedUtterance(id=f"{speaker.name}-{count:04d}", split=split, text=text, accent=chosen.name, strength=strength, speaker=speaker)
            for count, text in enumerate(texts)
        ]
    return planned


def share_sentences(sizes: dict[str, SplitSize], sentences_of: Callable[[str], Iterator[str]]) -> Iterator[tuple[str, int, list[str]]]:
    """Give every speaker sentences of their own.

    Args:
        sizes: by split.
        sentences_of: an endless stream of distinct sentences of a split.

    Yields:
        The split, the speaker's number in it, and what that speaker says.

    Raises:
        MisuseError: an unknown split or a negative size.
    """
    for split, size in sizes.items():
        _check_size(split, size)
        texts = sentences_of(split)
        for number in range(size.speakers):
            yield split, number, list(itertools.islice(texts, size.utterances))


def accented_phonemes(planned: PlannedUtterance) -> str:
    """What the speaker will say, in phonemes.

    Raises:
        MissingExtraError: hibari-tts is not installed.
    """
    return find_accent(planned.accent).apply(load_voice().phonemes(planned.text), strength=planned.strength, speaker=planned.speaker.name)


def speak(planned: PlannedUtterance) -> Waveform:
    """Make one recording; a pure function, so that any number of processes make the same corpus, byte by byte.

    Returns:
        float32, shape (samples,), 16 kHz, in [-1, 1].

    Raises:
        MissingExtraError: hibari-tts is not installed.
    """
    speaker = planned.speaker
    seed = seed_of(planned.id) % 2**32
    dry = load_voice().speak(accented_phonemes(planned), speed=speaker.speed, pitch=speaker.pitch, size=speaker.size, seed=seed)
    return speaker.record(dry, planned.id)


def _check_size(split: str, size: SplitSize) -> None:
    if split not in ("train", "dev", "test"):
        raise MisuseError(f'split "{split}", must be train, dev or test. Correct the sizes.')
    if size.speakers < 0 or size.utterances < 0:
        raise MisuseError(f"{split}: {size.speakers} speakers with {size.utterances} utterances each; both must be 0 or more. Correct the sizes.")
