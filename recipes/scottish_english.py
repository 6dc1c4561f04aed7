"""Scottish English: Whisper tiny.en adapted to the Scottish volunteers of SLR83, with speakers from England as the guard.

    speechadapt run scottish_english --set SOURCE=PATH/TO/SLR83 --out runs/scottish_english

People and size: 17 Scottish speakers (6 women, 11 men) with 2,543 utterances, read at 48 kHz; all of SLR83 has 7.2 GB. License:
CC BY-SA 4.0, so what is derived from it may have to carry the same license: seek advice before you hand on an adapter.

Splits: the corpus has none, and nearly every sentence is read by several people. Speakers and sentences are therefore both kept apart, which
costs part of the rows; the run tells how many. A test set of four or five speakers proves large gains only.

Whole corpus: nobody has run this recipe on it yet; its tests run it on a miniature of tones. The settings of training are not tuned to it.
"""

from pathlib import Path

from speechadapt.recipe import (
    AdapterSpec,
    Run,
    TrainSettings,
    Verdict,
    choose_guard,
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
ACCENT: str = "en_scotland"
# the corpus as downloaded: a folder
SOURCE: Path | None = None
# where it is prepared to, and found the next time
DATA: Path = Path("data/openslr83")
# what the adapter must not cost: another accent of the corpus, or none; or manifests of your own
GUARD_ACCENT: str | None = "en_england"
GUARDS: tuple[Path, ...] = ()
# speech the base serves already, to be trained on too, so that it is not unlearned
REPLAY: tuple[Path, ...] = ()
SPEC = AdapterSpec(rank=32)
TRAIN = TrainSettings(epochs=5.0)


def main(run: Run) -> Verdict:
    """Prepare, load, choose the rows, score the base, train, score what ships, prove."""
    wanted = (
        "scottish_english_female.zip, scottish_english_male.zip and, for the guard, "
        "southern_english_female.zip, southern_english_male.zip from https://www.openslr.org/83/"
    )
    corpus = prepare_corpus(run, "openslr", SOURCE, DATA, wanted=wanted)
    model = load_model(BASE, language=LANGUAGE)
    data = choose_rows(run, corpus, accent=ACCENT, language=LANGUAGE, divide="speaker+sentence")
    guards = GUARDS or choose_guard(run, corpus, accent=GUARD_ACCENT)
    sets = read_sets(run, data, guards=guards, replay=REPLAY, language=LANGUAGE)
    base = score_sets(run, model, sets, system="base")
    train_on(run, model, sets, spec=SPEC, settings=TRAIN)
    shipped = load_shipped(run, BASE, language=LANGUAGE)
    adapted = score_sets(run, shipped, sets, system="adapted")
    return prove(run, sets, base, adapted, score_short(run, shipped, sets))
