"""Indian English: Whisper tiny.en adapted to Svarah or NISP, with synthetic standard English as the guard unless you give a better one.

    speechadapt run indian_english --set SOURCE=PATH/TO/Svarah --out runs/indian_english
    speechadapt run indian_english --set CORPUS=nisp --set SOURCE=PATH/TO/NISP --set FIRST_LANGUAGE=tamil --out runs/tamil

People and size: Svarah has 117 speakers of 19 first languages, 9.6 hours, read and spontaneous. It was made as a test set, and who trains on
part of it can no longer compare with published scores on the whole. Take the tar file: the Parquet edition names no speakers. NISP has 345
speakers of five first languages, four to five minutes each. License: Svarah CC BY 4.0 (attribution; commercial use allowed); NISP's README
says CC BY 4.0, other sources say research use only: ask the owner.

Splits: Svarah is divided here by speaker and sentence; NISP keeps the published lists of speakers where they are there. Either way rows
whose sentence is also tested leave train. The verdict is told by first language; neither corpus holds another accent to guard.

Whole corpus: nobody has run this recipe on it yet; its tests run it on a miniature of tones. The settings of training are not tuned to it.
"""

from pathlib import Path
from typing import Literal

from speechadapt.recipe import (
    AdapterSpec,
    Run,
    TrainSettings,
    Verdict,
    choose_rows,
    load_model,
    load_shipped,
    prepare_corpus,
    prove,
    read_sets,
    score_sets,
    score_short,
    train_on,
)

BASE: str = "openai/whisper-tiny.en"
LANGUAGE: str = "en"
CORPUS: Literal["svarah", "nisp"] = "svarah"
# such as hindi; none takes speakers of all of them
FIRST_LANGUAGE: str | None = None
# the corpus as downloaded: a folder
SOURCE: Path | None = None
# where it is prepared to, and found the next time; none is data/CORPUS
DATA: Path | None = None
# what the adapter must not cost: manifests of your own
GUARDS: tuple[Path, ...] = ()
# speech the base serves already, to be trained on too, so that it is not unlearned
REPLAY: tuple[Path, ...] = ()
SPEC = AdapterSpec(rank=32)
TRAIN = TrainSettings(epochs=5.0)


def main(run: Run) -> Verdict:
    """Prepare, load, choose the rows, score the base, train, score what ships, prove."""
    wanted = {"svarah": "svarah.tar, unpacked", "nisp": "the parts of the zip, joined and unpacked"}[CORPUS]
    corpus = prepare_corpus(run, CORPUS, SOURCE, DATA, wanted=wanted)
    model = load_model(BASE, language=LANGUAGE)
    data = choose_rows(run, corpus, l1=FIRST_LANGUAGE, language=LANGUAGE, divide="speaker+sentence")
    sets = read_sets(run, data, guards=GUARDS, replay=REPLAY, language=LANGUAGE)
    base = score_sets(run, model, sets, system="base")
    train_on(run, model, sets, spec=SPEC, settings=TRAIN)
    shipped = load_shipped(run, BASE, language=LANGUAGE)
    adapted = score_sets(run, shipped, sets, system="adapted")
    return prove(run, sets, base, adapted, score_short(run, shipped, sets))
