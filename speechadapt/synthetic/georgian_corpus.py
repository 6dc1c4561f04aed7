"""The embedded Georgian corpus: a plan of who says what, and the function that makes one recording of it.

Teaching and testing material: a formant synthesizer, not people's speech; every line of its manifests says so (`meta.synthetic`).
"""

import dataclasses
import functools
import random

from speechadapt.audio.waveform import Waveform, resample
from speechadapt.synthetic.corpus import SplitSize, share_sentences
from speechadapt.synthetic.espeak import load_espeak
from speechadapt.synthetic.georgian import georgian_sentences
from speechadapt.synthetic.speakers import Speaker, draw_speaker
from speechadapt.units import SAMPLING_RATE

NAME = "synthetic_georgian"
LANGUAGE = "ka"

NOTICE = "Synthetic speech: eSpeak NG, a formant synthesizer, is no person. Teaching and testing material; a result on it is no claim about Georgian."

VARIANTS = {
    "train": (("m1", "m2", "m4", "m5"), ("f1", "f2")),
    "dev": (("m6",), ("f4",)),
    "test": (("m3", "m7"), ("f3", "f5")),
}
"""Lower and higher voices of eSpeak NG by split: the voices of dev and test are never trained on."""

DEFAULT_SIZES = {
    "train": SplitSize(speakers=24, utterances=30),
    "dev": SplitSize(speakers=6, utterances=8),
    "test": SplitSize(speakers=10, utterances=10),
}
"""About 30 minutes of training speech."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedGeorgian:
    """One recording to be made: everything `speak_georgian` needs, small and picklable. `variant` is a voice of eSpeak NG."""

    id: str
    split: str
    text: str
    variant: str
    speaker: Speaker


def make_georgian_corpus(*, sizes: dict[str, SplitSize] | None = None, seed: int = 0) -> list[PlannedGeorgian]:
    """Plan a corpus; nothing is spoken yet.

    Speakers are never shared between splits or seeds, because their names hold both. Sentences are never shared between splits, whatever
    the seed, because a hash of the words decides a sentence's split.

    Args:
        sizes: by split; None takes `DEFAULT_SIZES`.
        seed: of sentences and speakers.

    Raises:
        MisuseError: an unknown split or a negative size.
    """
    planned = []
    for split, number, texts in share_sentences(DEFAULT_SIZES if sizes is None else sizes, functools.partial(georgian_sentences, seed=seed)):
        speaker, variant = draw_georgian_speaker(f"georgian-s{seed}-{split}-{number:02d}", split)
        planned += [
            PlannedGeorgian(id=f"{speaker.name}-{count:04d}", split=split, text=text, variant=variant, speaker=speaker)
            for count, text in enumerate(texts)
        ]
    return planned


def draw_georgian_speaker(name: str, split: str) -> tuple[Speaker, str]:
    """The speaker of that name, always the same one, and the voice: tempo, room and noise as everywhere, pitch and vocal tract around it."""
    rng = random.Random(f"georgian speaker|{name}")
    variant = rng.choice(rng.choice(VARIANTS[split]))
    speaker = draw_speaker(name)  # its pitch and size are meant for one neural voice; eSpeak's voices have their own
    return dataclasses.replace(speaker, pitch=round(rng.uniform(0.85, 1.15), 3), size=round(rng.uniform(0.94, 1.06), 3)), variant


def speak_georgian(planned: PlannedGeorgian) -> Waveform:
    """Make one recording; a pure function, so that any number of processes make the same corpus, byte by byte.

    Returns:
        float32, shape (samples,), 16 kHz, in [-1, 1].

    Raises:
        MissingExtraError: espeakng-loader is not installed.
    """
    speaker = planned.speaker
    dry, _ = load_espeak().speak(
        planned.text, voice=LANGUAGE, variant=planned.variant, speed=speaker.speed / speaker.size, pitch=speaker.pitch / speaker.size
    )
    # Read at another rate, every resonance moves by the same factor; speed and pitch were divided by it above.
    return speaker.record(resample(dry, round(SAMPLING_RATE * speaker.size), SAMPLING_RATE), planned.id)
