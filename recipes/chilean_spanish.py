"""Chilean Spanish: multilingual Whisper base adapted to the volunteers of SLR71, with Colombian Spanish (SLR72) as the guard.

    speechadapt run chilean_spanish --set SOURCE=PATH/TO/BOTH --out runs/chilean_spanish

Put the zips of both sets into one folder. Size: 4,374 and 4,903 utterances, read at 48 kHz, 3 GB together. License: CC BY-SA 4.0, so what is
derived from it may have to carry the same license: seek advice before you hand on an adapter.

Splits: the sets have none, and many people read the same sentences. Speakers and sentences are therefore both kept apart, which costs part of
the rows; the run tells how many. Other guards: es_argentina (SLR61), es_peru (73), es_puerto_rico (74), es_venezuela (75), or
--set GUARD_ACCENT=none, and then nothing tells what the adapter costs speakers of other varieties.

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
    normalizer_for,
    prepare_corpus,
    prove,
    read_sets,
    score_sets,
    score_short,
    train_on,
)

BASE: str = "openai/whisper-base"
LANGUAGE: str = "es"
ACCENT: str = "es_chile"
# the corpus as downloaded: a folder
SOURCE: Path | None = None
# where it is prepared to, and found the next time
DATA: Path = Path("data/openslr71")
# what the adapter must not cost: another variety that lies in SOURCE, or none; or manifests of your own
GUARD_ACCENT: str | None = "es_colombia"
GUARDS: tuple[Path, ...] = ()
# speech the base serves already, to be trained on too, so that it is not unlearned
REPLAY: tuple[Path, ...] = ()
SPEC = AdapterSpec(rank=32)
TRAIN = TrainSettings(epochs=5.0)


def main(run: Run) -> Verdict:
    """Prepare, load, choose the rows, score the base, train, score what ships, prove."""
    wanted = (
        "es_cl_female.zip and es_cl_male.zip from https://www.openslr.org/71/ and, for the guard, "
        "es_co_female.zip and es_co_male.zip from https://www.openslr.org/72/"
    )
    corpus = prepare_corpus(run, "openslr", SOURCE, DATA, wanted=wanted)
    model = load_model(BASE, language=LANGUAGE)
    data = choose_rows(run, corpus, accent=ACCENT, language=LANGUAGE, divide="speaker+sentence")
    guards = GUARDS or choose_guard(run, corpus, accent=GUARD_ACCENT)
    sets = read_sets(run, data, guards=guards, replay=REPLAY, language=LANGUAGE)
    words = normalizer_for(LANGUAGE)
    base = score_sets(run, model, sets, system="base", normalizer=words)
    train_on(run, model, sets, spec=SPEC, settings=TRAIN, normalizer=words)
    shipped = load_shipped(run, BASE, language=LANGUAGE)
    adapted = score_sets(run, shipped, sets, system="adapted", normalizer=words)
    return prove(run, sets, base, adapted, score_short(run, shipped, sets, normalizer=words))
