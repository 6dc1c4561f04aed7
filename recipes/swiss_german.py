"""Swiss German, written as Standard German: multilingual Whisper base adapted to STT4SG-350, all seven dialect regions or one of them.

    speechadapt run swiss_german --set SOURCE=PATH/TO/STT4SG-350 --out runs/swiss_german
    speechadapt run swiss_german --set REGION=Wallis --set SOURCE=PATH/TO/STT4SG-350 --out runs/wallis

People and size: 316 speakers, 343 hours, 34 of them for the test. License: sources disagree (CC BY or a non-commercial one): ask the owner. The
corpus is handed out after a form.

Speakers read a Standard German sentence and said it in their dialect, so this is speech translation, and there is more than one right
answer: a word error rate counts other good wordings as errors. Report BLEU or chrF beside it, from the texts in the run's hypotheses/. Those
ß that a model writes and Switzerland does not are no errors.

Splits: the official ones, whose speakers are apart; the test has the same sentences in all regions. The verdict is told by region.
With a REGION the guard is the other regions; for all of them the corpus has none. Standard German, of which adapters can forget much, is
guarded only if you give it: --set GUARDS=data/common_voice_de/test.jsonl.

Whole corpus: nobody has run this recipe on it yet; its tests run it on a miniature of tones. The settings of training are not tuned to it.
"""

from pathlib import Path
from typing import Literal

from speechadapt.recipe import (
    AdapterSpec,
    Run,
    TrainSettings,
    Verdict,
    choose_guard,
    choose_rows,
    load_model,
    load_shipped,
    normalizer_for,
    prepare_corpus,
    prove,
    read_sets,
    score_sets,
    score_short,
    train_on,
)

BASE: str = "openai/whisper-base"
LANGUAGE: str = "de"
# Basel, Bern, Graubünden, Innerschweiz, Ostschweiz, Wallis or Zürich; none takes all of them
REGION: str | None = None
# the balanced list is a part of all, with the same hours for every region
LIST: Literal["all", "balanced"] = "all"
# the corpus as downloaded: a folder
SOURCE: Path | None = None
# where it is prepared to, and found the next time; none is data/stt4sg_LIST
DATA: Path | None = None
# what the adapter must not cost: manifests of your own instead of the other regions
GUARDS: tuple[Path, ...] = ()
# speech the base serves already, to be trained on too, so that it is not unlearned
REPLAY: tuple[Path, ...] = ()
SPEC = AdapterSpec(rank=32)
TRAIN = TrainSettings(epochs=2.0)


def main(run: Run) -> Verdict:
    """Prepare, load, choose the rows, score the base, train, score what ships, prove."""
    wanted = "train_all.tsv or train_balanced.tsv, valid.tsv, test.tsv, and the clips beside them"
    corpus = prepare_corpus(run, "stt4sg", SOURCE, DATA, wanted=wanted, label=LIST, train=LIST)
    model = load_model(BASE, language=LANGUAGE)
    data = choose_rows(run, corpus, accent=REGION, language=LANGUAGE)
    guards = GUARDS or choose_guard(run, corpus, accent="others" if REGION else None)
    sets = read_sets(run, data, guards=guards, replay=REPLAY, language=LANGUAGE)
    words = normalizer_for(LANGUAGE)
    base = score_sets(run, model, sets, system="base", normalizer=words)
    train_on(run, model, sets, spec=SPEC, settings=TRAIN, normalizer=words)
    shipped = load_shipped(run, BASE, language=LANGUAGE)
    adapted = score_sets(run, shipped, sets, system="adapted", normalizer=words)
    return prove(run, sets, base, adapted, score_short(run, shipped, sets, normalizer=words))
