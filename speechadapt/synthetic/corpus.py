"""The embedded corpus: a plan of who says what in which accent, and the function that makes one recording of it.

Teaching and testing material: a synthetic voice and rules, not people's speech; every line of its manifests says so (`meta.synthetic`).
"""

import dataclasses
import itertools

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
    for split, size in (DEFAULT_SIZES if sizes is None else sizes).items():
        check_size(split, size)
        texts = sentences(split, seed=seed)
        for number in range(size.speakers):
            speaker = draw_speaker(f"{chosen.name}-{percent}-s{seed}-{split}-{number:02d}")
            planned += [
                PlannedUtterance(id=f"{speaker.name}-{count:04d}", split=split, text=text, accent=chosen.name, strength=strength, speaker=speaker)
                for count, text in enumerate(itertools.islice(texts, size.utterances))
            ]
    return planned


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


def check_size(split: str, size: SplitSize) -> None:
    """Refuse what is no split, or a size below 0, as MisuseError."""
    if split not in ("train", "dev", "test"):
        raise MisuseError(f'split "{split}", must be train, dev or test. Correct the sizes.')
    if size.speakers < 0 or size.utterances < 0:
        raise MisuseError(f"{split}: {size.speakers} speakers with {size.utterances} utterances each; both must be 0 or more. Correct the sizes.")
