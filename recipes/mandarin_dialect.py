"""A Mandarin subdialect: multilingual Whisper base adapted to one of the eight of KeSpeech, with standard Mandarin as the guard.

    speechadapt run mandarin_dialect --set DIALECT=Southwestern --set SOURCE=PATH/TO/KeSpeech --out runs/southwestern

People and size: 27,237 speakers of 34 cities, 1,542 hours in all. License: KeSpeech's own agreement (signed application; no commercial use, not
to be handed on).

Chinese is written without blanks, so the normalizer basic:zh sets every character apart, and what is called WER here is the character error
rate. It does not know that a traditional and a simplified character, or 三 and 3, are the same: Whisper writes traditional characters at
times, and such errors are counted against the base although nobody misheard. Part of any gain is that the adapter learns how KeSpeech writes.

Splits: the official ones. A person may read the same text in Mandarin and in dialect, and stays in one part. Rows whose sentence is also
tested leave train; the run tells how many.

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
LANGUAGE: str = "zh"
# Zhongyuan, Southwestern, Ji-Lu, Jiang-Huai, Lan-Yin, Jiao-Liao, Northeastern or Beijing
DIALECT: str = "Jiang-Huai"
# the corpus as downloaded: a folder
SOURCE: Path | None = None
# where it is prepared to, and found the next time
DATA: Path = Path("data/kespeech")
# what the adapter must not cost: another variety of the corpus, or none; or manifests of your own
GUARD_DIALECT: str | None = "Mandarin"
GUARDS: tuple[Path, ...] = ()
# speech the base serves already, to be trained on too, so that it is not unlearned
REPLAY: tuple[Path, ...] = ()
SPEC = AdapterSpec(rank=32)
TRAIN = TrainSettings(epochs=2.0)


def main(run: Run) -> Verdict:
    """Prepare, load, choose the rows, score the base, train, score what ships, prove."""
    wanted = "Audio/, Metadata/ and Tasks/, after a signed application"
    corpus = prepare_corpus(run, "kespeech", SOURCE, DATA, wanted=wanted)
    model = load_model(BASE, language=LANGUAGE)
    data = choose_rows(run, corpus, accent=DIALECT, language=LANGUAGE)
    guards = GUARDS or choose_guard(run, corpus, accent=GUARD_DIALECT)
    sets = read_sets(run, data, guards=guards, replay=REPLAY, language=LANGUAGE)
    words = normalizer_for(LANGUAGE)
    base = score_sets(run, model, sets, system="base", normalizer=words)
    train_on(run, model, sets, spec=SPEC, settings=TRAIN, normalizer=words)
    shipped = load_shipped(run, BASE, language=LANGUAGE)
    adapted = score_sets(run, shipped, sets, system="adapted", normalizer=words)
    return prove(run, sets, base, adapted, score_short(run, shipped, sets, normalizer=words))
