"""L2-ARCTIC by first language: Whisper tiny.en adapted to English of Hindi, Arabic, Korean, Mandarin, Spanish or Vietnamese speakers.

    speechadapt run l2_arctic --set FIRST_LANGUAGE=hindi --set SOURCE=PATH/TO/l2arctic_release_v5.0 --out runs/l2_hindi

People and size: four speakers of each first language read the same 1,132 sentences, 27 hours in all. License: CC BY-NC 4.0: no commercial use.
The release is handed out after a request form.

Splits: of the four speakers two are trained on, one chooses the checkpoint and one is tested, as work on mispronunciation has agreed on;
prepare the corpus yourself with --set test_speakers=... for others. Since all read the same sentences, each sentence is given to one of the parts
too. The result speaks for one unseen speaker, so run every first language before you say anything about accents. The guard is what
speakers of the other first languages read of the tested sentences; it is no native English, so give that with GUARDS.

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
FIRST_LANGUAGE: str = "hindi"
# the corpus as downloaded: a folder
SOURCE: Path | None = None
# where it is prepared to, and found the next time
DATA: Path = Path("data/l2_arctic")
# what the adapter must not cost: speakers of another accent (such as en_l2_arabic), of all others, or none; or manifests of your own
GUARD_ACCENT: str | None = "others"
GUARDS: tuple[Path, ...] = ()
# speech the base serves already, to be trained on too, so that it is not unlearned
REPLAY: tuple[Path, ...] = ()
SPEC = AdapterSpec(rank=32)
TRAIN = TrainSettings(epochs=5.0)


def main(run: Run) -> Verdict:
    """Prepare, load, choose the rows, score the base, train, score what ships, prove."""
    wanted = "the release l2arctic_release_v5.0.zip, unpacked; the speakers' own zips may stay packed"
    corpus = prepare_corpus(run, "l2_arctic", SOURCE, DATA, wanted=wanted, suitcase=False)
    model = load_model(BASE, language=LANGUAGE)
    data = choose_rows(run, corpus, l1=FIRST_LANGUAGE, language=LANGUAGE, divide="sentence")
    guards = GUARDS or choose_guard(run, corpus, accent=GUARD_ACCENT)
    sets = read_sets(run, data, guards=guards, replay=REPLAY, language=LANGUAGE)
    base = score_sets(run, model, sets, system="base")
    train_on(run, model, sets, spec=SPEC, settings=TRAIN)
    shipped = load_shipped(run, BASE, language=LANGUAGE)
    adapted = score_sets(run, shipped, sets, system="adapted")
    return prove(run, sets, base, adapted, score_short(run, shipped, sets))
