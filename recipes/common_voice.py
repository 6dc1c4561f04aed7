"""Common Voice, any language or accent of it: multilingual Whisper base adapted to what volunteers of Mozilla's collection read.

    speechadapt run common_voice --set LANGUAGE=cy --set SOURCE=PATH/TO/cv-corpus-VERSION/cy --out runs/welsh
    speechadapt run common_voice --set ACCENT=en_scotland --set GUARD_ACCENT=en_england \\
        --set SOURCE=PATH/TO/cv-corpus-VERSION/en --out runs/scottish

License: CC0-1.0; the terms ask not to identify speakers. Size: a language has from an hour to thousands of hours (English: more than
2,600 validated hours, about 90 GB, of which only the accents that are asked for are prepared).

Splits: of a language the official dev and test sets, and for training every validated row whose client and sentence stand in neither; there
is no guard but one you give. The official test has few speakers of any accent, so the validated rows of an ACCENT are divided by client, and
rows of GUARD_ACCENT are the guard. Accents are what people say of themselves; with ACCENT_FROM=variant they are the varieties that
speakers of Welsh, Catalan and some other languages choose from a list. A client is an account, not always one person.

Whisper has no token for some languages: name the nearest relative, or take a CTC base such as --set BASE=facebook/mms-300m.

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
LANGUAGE: str = "en"
# a slug such as en_scotland or a label as speakers wrote it; none takes the whole language
ACCENT: str | None = None
ACCENT_FROM: Literal["accents", "variant"] = "accents"
# the corpus as downloaded: the folder of one language
SOURCE: Path | None = None
# where it is prepared to, and found the next time; none is a folder in data/ with the language and accents in its name
DATA: Path | None = None
# what the adapter must not cost: another accent, or none; or manifests of your own
GUARD_ACCENT: str | None = None
GUARDS: tuple[Path, ...] = ()
# speech the base serves already, to be trained on too, so that it is not unlearned
REPLAY: tuple[Path, ...] = ()
SPEC = AdapterSpec(rank=32)
TRAIN = TrainSettings(epochs=3.0)


def main(run: Run) -> Verdict:
    """Prepare, load, choose the rows, score the base, train, score what ships, prove."""
    accents = () if ACCENT is None else tuple(accent for accent in (ACCENT, GUARD_ACCENT) if accent is not None)
    wanted = f"the archive of {LANGUAGE}, unpacked"
    corpus = prepare_corpus(
        run,
        "common_voice",
        SOURCE,
        DATA,
        wanted=wanted,
        label=" ".join([LANGUAGE, *accents]),
        splits="speaker" if ACCENT else None,
        validated=True,
        accents=accents,
        accent_from=ACCENT_FROM,
    )
    model = load_model(BASE, language=LANGUAGE)
    data = choose_rows(run, corpus, accent=ACCENT, language=LANGUAGE)
    guards = GUARDS or choose_guard(run, corpus, accent=GUARD_ACCENT)
    sets = read_sets(run, data, guards=guards, replay=REPLAY, language=LANGUAGE)
    words = normalizer_for(LANGUAGE)
    base = score_sets(run, model, sets, system="base", normalizer=words)
    train_on(run, model, sets, spec=SPEC, settings=TRAIN, normalizer=words)
    shipped = load_shipped(run, BASE, language=LANGUAGE)
    adapted = score_sets(run, shipped, sets, system="adapted", normalizer=words)
    return prove(run, sets, base, adapted, score_short(run, shipped, sets, normalizer=words))
