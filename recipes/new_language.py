"""A language the base has no letters for, in minutes: Georgian, from an English wav2vec2-style (CTC) base.

Needs no recordings and no download: a formant synthesizer speaks the corpus, and the base ships with the package. The output layer is
built anew from the letters of the training text. The same code serves a real base and a real corpus that was prepared before:

    speechadapt run new_language --out runs/new_language
    speechadapt run new_language --set BASE=facebook/wav2vec2-xls-r-300m --set DATA=data/mine --set LANGUAGE=sw --out runs/swahili

There is no guard: the adapter carries an output layer of its own, so what the base could write before it cannot write with the adapter.
Without the adapter the base is what it was. The result on synthetic speech is about the synthesizer, not about people who speak Georgian.
"""

from pathlib import Path

from speechadapt.recipe import (
    AdapterSpec,
    Run,
    TrainSettings,
    Verdict,
    load_model,
    load_shipped,
    make_synthetic,
    prove,
    random_base,
    read_sets,
    score_sets,
    show_side_by_side,
    train_on,
)

BASE: str = "embedded:wav2vec2-small"
LANGUAGE: str = "ka"
# a prepared corpus instead of the synthetic Georgian
DATA: Path | None = None
# of the synthetic Georgian: speakers, and sentences by each of them
TRAIN_SIZE: tuple[int, ...] = (24, 30)
DEV_SIZE: tuple[int, ...] = (6, 8)
TEST_SIZE: tuple[int, ...] = (10, 10)
# start from random weights in the base's architecture instead, to see what pretraining is worth (with SPEC.method=full)
SCRATCH: bool = False
SPEC = AdapterSpec(rank=32, vocabulary="new")
TRAIN = TrainSettings(epochs=12.0, learning_rate=2e-3, time_masks=0)


def main(run: Run) -> Verdict:
    """Load, read the sets, score the base, train with a new vocabulary, score what ships, prove, and show two clips."""
    start = random_base(run, BASE) if SCRATCH else BASE
    model = load_model(start, language=LANGUAGE)
    data = DATA
    if data is None:
        data = make_synthetic(run, "standard", corpus="synthetic_georgian", train=TRAIN_SIZE, dev=DEV_SIZE, test=TEST_SIZE)
    sets = read_sets(run, data, make_guard=False, language=LANGUAGE)
    run.say(f"no guard: the adapter's output layer writes {LANGUAGE} alone; without the adapter the base is what it was")
    words = f"basic:{LANGUAGE}"
    base = score_sets(run, model, sets, system="base", normalizer=words)
    train_on(run, model, sets, spec=SPEC, settings=TRAIN, normalizer=words)
    shipped = load_shipped(run, start, language=LANGUAGE)
    adapted = score_sets(run, shipped, sets, system="adapted", normalizer=words)
    verdict = prove(run, sets, base, adapted)
    show_side_by_side(run, sets, start, language=LANGUAGE)
    return verdict
