"""Synthetic Georgian: a formant synthesizer that reads generated sentences, for a language whose letters a base does not have.

Source: none to download; the voice comes with `pip install 'speechadapt[synthetic]'` (eSpeak NG, a program of its own under
GPL-3.0-or-later, which does not reach what it says). Instead of a folder, SRC is the word `standard`: there is one way of speaking here.

    speechadapt prepare synthetic_georgian standard data/georgian --jobs 2

About 30 minutes of training speech. Sentences of three to eight words in the Mkhedruli script, with punctuation; Georgian has no capitals.
No sentence, speaker or voice of the test set is in the training set. Every line carries `meta.synthetic: true`.
"""

import dataclasses
import functools
import sys
from pathlib import Path

from speechadapt.cli import main
from speechadapt.errors import MisuseError
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, finish_corpus
from speechadapt.synthetic.corpus import SplitSettings
from speechadapt.synthetic.espeak import ESPEAK_PACKAGE, load_espeak
from speechadapt.synthetic.georgian_corpus import DEFAULT_SIZES, LANGUAGE, NAME, NOTICE, PlannedGeorgian, make_georgian_corpus, speak_georgian

SOURCE = "standard"

CORPUS = Corpus(
    name=NAME,
    title="Synthetic Georgian (a formant synthesizer; not recordings of people)",
    license="Apache-2.0 (sentences: speechadapt; the voice is eSpeak NG, whose GPL-3.0-or-later does not reach its output)",
    commercial_use="yes; say that the speech is synthetic",
    home="https://github.com/espeak-ng/espeak-ng",
    expects=f"the word {SOURCE}.",
    accent_label="none: one synthesizer with several voices",
    language=LANGUAGE,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SplitSettings):
    """Settings of this corpus: speakers of each split, and sentences by each of them; a split with 0 speakers is not made.

    Attributes:
        train_speakers, train_utterances, dev_speakers, dev_utterances, test_speakers, test_utterances: 0 or more. The defaults give
            about 30 minutes of training speech.
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
        source: `standard`.
        options: `seed` chooses sentences and speakers.

    Raises:
        MisuseError: another source, a size below 0, nothing to make, or `in_place`.
        MissingExtraError: espeakng-loader is not installed.
    """
    if str(source) != SOURCE:
        raise MisuseError(f'source "{source}": this corpus is made and has one way of speaking. Give the word {SOURCE}.')
    if options.in_place:
        raise MisuseError("--in-place: this corpus is made, there is no audio to leave where it is. Leave the option out.")
    planned = make_georgian_corpus(sizes=settings.sizes, seed=options.seed)
    if not planned:
        raise MisuseError("0 speakers or 0 utterances in every split, nothing to make. Give at least one split both, such as --set test_speakers=10")
    load_espeak()  # says at once, and not from a worker process, when the package is missing
    intake = Intake()
    intake.notes.append(NOTICE)
    intake.facts |= {"synthetic": True}
    return finish_corpus([read_planned(one) for one in planned], corpus=CORPUS, source=str(source), out=out, options=options, intake=intake)


def read_planned(planned: PlannedGeorgian) -> CorpusRow:
    """One planned utterance as a row of the corpus, its recording still to be made."""
    speaker = planned.speaker
    return CorpusRow(
        id=planned.id,
        audio=functools.partial(speak_georgian, planned),
        text=planned.text,
        place=planned.id,
        speaker=speaker.name,
        accent="georgian_synthetic",
        accent_raw="eSpeak NG, Georgian",
        recording=planned.id,
        split=planned.split,
        meta={
            "synthetic": True,
            "voice": ESPEAK_PACKAGE,
            "variant": planned.variant,
            **speaker.traits,
        },
    )


if __name__ == "__main__":
    sys.exit(main(["prepare", CORPUS.name, *sys.argv[1:]]))
