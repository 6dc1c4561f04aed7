"""English of Africa: Whisper tiny.en adapted to AfriSpeech-200, with the accents that nobody in train has as a test set of their own.

    speechadapt run african_english --set SOURCE=PATH/TO/afrispeech-200 --out runs/african_english
    speechadapt run african_english --set ACCENTS=yoruba,igbo --set SOURCE=PATH/TO/afrispeech-200 --out runs/nigeria

People and size: 2,463 speakers of 120 accents from 13 countries, 200 hours, 120 GB; clinical and general texts. License: CC BY-NC-SA 4.0: no
commercial use, and what is derived carries the same license. Who has downloaded a few accents only names them with DOWNLOADED.

Splits: the official ones, whose speakers are apart. Many speakers read the same prompts, so rows of train whose sentence is tested are left
out; the run tells how many. Two tests: `test` holds accents that were trained on, `unheard` those that were not, which shows whether the
adapter learned accents or the clinic's words. The corpus has no other English to guard; synthetic standard English stands in unless you give some.

Whole corpus: nobody has run this recipe on it yet; its tests run it on a miniature of tones. The settings of training are not tuned to it.
"""

from pathlib import Path

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
# to be adapted to; nothing takes every accent that is in train
ACCENTS: tuple[str, ...] = ()
# accents that were downloaded; nothing stands for all of them
DOWNLOADED: tuple[str, ...] = ()
# the corpus as downloaded: a folder
SOURCE: Path | None = None
# where it is prepared to, and found the next time; none is a folder in data/ with what was downloaded in its name
DATA: Path | None = None
# what the adapter must not cost: manifests of your own
GUARDS: tuple[Path, ...] = ()
# speech the base serves already, to be trained on too, so that it is not unlearned
REPLAY: tuple[Path, ...] = ()
SPEC = AdapterSpec(rank=32)
TRAIN = TrainSettings(epochs=2.0)


def main(run: Run) -> Verdict:
    """Prepare, load, choose the rows, score the base, train, score what ships, prove."""
    wanted = "transcripts/ and audio/ of the data set's files; its archives may stay packed"
    corpus = prepare_corpus(run, "afrispeech", SOURCE, DATA, wanted=wanted, label=" ".join(DOWNLOADED), accents=DOWNLOADED)
    model = load_model(BASE, language=LANGUAGE)
    data = choose_rows(run, corpus, accent=ACCENTS, language=LANGUAGE, unheard=True)
    tests = [path for path in (data / "test.jsonl", data / "unheard.jsonl") if path.is_file()]
    sets = read_sets(run, data, tests=tests, guards=GUARDS, replay=REPLAY, language=LANGUAGE)
    base = score_sets(run, model, sets, system="base")
    train_on(run, model, sets, spec=SPEC, settings=TRAIN)
    shipped = load_shipped(run, BASE, language=LANGUAGE)
    adapted = score_sets(run, shipped, sets, system="adapted")
    return prove(run, sets, base, adapted, score_short(run, shipped, sets))
