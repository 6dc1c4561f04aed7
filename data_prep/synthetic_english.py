"""Synthetic English: a neural voice that reads generated sentences in a simulated accent, with a dial. Teaching and testing material.

Source: none to download; the voice comes with `pip install 'speechadapt[synthetic]'` (hibari-tts, Apache-2.0). Instead of a folder, SRC
names the accent and, after a colon, its strength from 0 to 1:

    speechadapt prepare synthetic_english mandarin data/mandarin                       strength 1
    speechadapt prepare synthetic_english mandarin:0.5 data/half --jobs 2
    speechadapt prepare synthetic_english standard data/guard --set train_speakers=0 --set dev_speakers=0

The last line makes a guard: `standard` is the voice's own American English, its test sentences stand in no training set of any accent or
seed, and its speakers in no other corpus. Accents: standard, mandarin, hindi, german, spanish, west_african, french, japanese.
Every line carries `meta.synthetic: true`. The text is in sentence case with punctuation, as Whisper writes.
"""

import dataclasses
import functools
import sys
from pathlib import Path

from speechadapt.cli import main
from speechadapt.errors import MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus
from speechadapt.synthetic.accents import ACCENTS, find_accent, parse_accent
from speechadapt.synthetic.corpus import DEFAULT_SIZES, NAME, NOTICE, PlannedUtterance, SplitSettings, make_corpus, speak
from speechadapt.synthetic.voice import VOICE_PACKAGE, load_voice

CORPUS = Corpus(
    name=NAME,
    title="Synthetic English with simulated accents (not recordings of people)",
    license="Apache-2.0 (sentences and rules: speechadapt; voice: hibari-tts, distilled from Kokoro-82M, both Apache-2.0)",
    commercial_use="yes; say that the speech is synthetic",
    home="https://pypi.org/project/hibari-tts/",
    expects=f"the name of an accent, perhaps with a strength from 0 to 1, such as mandarin:0.6; accents: {', '.join(a.name for a in ACCENTS)}.",
    accent_label="simulated by phonological rules on one American voice",
    language="en",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SplitSettings):
    """Settings of this corpus: speakers of each split, and sentences by each of them; a split with 0 speakers is not made.

    Attributes:
        train_speakers, train_utterances, dev_speakers, dev_utterances, test_speakers, test_utterances: 0 or more. The defaults give
            about 40 minutes of training speech.
    """

    train_speakers: int = DEFAULT_SIZES["train"].speakers
    train_utterances: int = DEFAULT_SIZES["train"].utterances
    dev_speakers: int = DEFAULT_SIZES["dev"].speakers
    dev_utterances: int = DEFAULT_SIZES["dev"].utterances
    test_speakers: int = DEFAULT_SIZES["test"].speakers
    test_utterances: int = DEFAULT_SIZES["test"].utterances


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Make the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised.

    Args:
        source: `ACCENT[:STRENGTH]`.
        options: `seed` chooses sentences and speakers.

    Raises:
        MisuseError: an unknown accent, a strength outside 0 to 1, a size below 0, nothing to make, or `in_place`.
        MissingExtraError: hibari-tts is not installed.
    """
    accent, strength = parse_accent(str(source))
    if options.in_place:
        raise MisuseError("--in-place: this corpus is made, there is no audio to leave where it is. Leave the option out.")
    planned = make_corpus(accent.name, strength, sizes=settings.sizes, seed=options.seed)
    if not planned:
        raise MisuseError("0 speakers or 0 utterances in every split, nothing to make. Give at least one split both, such as --set test_speakers=10")
    load_voice()  # says at once, and not from a worker process, when the package is missing
    intake = Intake()
    intake.notes.append(NOTICE)
    intake.facts |= {"synthetic": True, "accent": accent.name, "strength": strength, "rules": [rule.name for rule in accent.rules]}
    corpus = dataclasses.replace(CORPUS, title=f"{accent.label}; not recordings of people")
    return finish_corpus([read_planned(one) for one in planned], corpus=corpus, source=str(source), out=out, options=options, intake=intake)


def read_planned(planned: PlannedUtterance) -> CorpusRow:
    """One planned utterance as a row of the corpus, its recording still to be made."""
    speaker = planned.speaker
    accent = find_accent(planned.accent)
    return CorpusRow(
        id=planned.id,
        audio=functools.partial(speak, planned),
        text=planned.text,
        place=planned.id,
        speaker=speaker.name,
        accent=f"{accent.name}_simulated" if accent.rules else "american_synthetic",
        accent_raw=accent.label,
        recording=planned.id,
        split=planned.split,
        meta={
            "synthetic": True,
            "simulated_l1": accent.l1,
            "strength": planned.strength,
            "voice": VOICE_PACKAGE,
            **speaker.traits,
        },
    )


if __name__ == "__main__":
    sys.exit(main(["prepare", CORPUS.name, *sys.argv[1:]]))
