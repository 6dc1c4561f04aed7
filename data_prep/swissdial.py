"""SwissDial: German sentences translated into eight Swiss German dialects and read, each dialect by one speaker; about 26 hours.

Source: https://projects.mtc.ethz.ch/projects/swiss-voice/swissdial (form). License: CC BY-NC 4.0. Layout: a folder for each dialect
(ag be bs gr lu sg vs zh) with ch_zh_0000.wav and so on, and beside them sentences_ch_de_transcribed.json, where numbers are written as words,
or sentences_ch_de_numerics.json, where they are digits; the first is used if it is there. Real-shaped objects of the list:

    {"id": 7, "thema": "Sport", "de": "Der Ball ist rund.", "ch_zh": "De Ball isch rund.", "ch_be": "Dr Bau isch rund."}
    {"id": 8, "thema": "Wetter", "code_switching": "...", "de": "Es regnet.", "ch_vs": "Äs rägnot."}     (a dialect without a key was not recorded)

Speaker and dialect are the same thing here, so that nothing can be said about speakers who were not heard in training, and `--splits speaker`
is refused. All eight read the same sentences: the sentences are divided instead, by a seeded hash, each with all its dialects to one side.
There is no standard spelling of dialect; score `--set target=dialect` by characters. `--set target=standard` makes it speech translation.
"""

import dataclasses
import hashlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from speechadapt.cli import main
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.files import read_json
from speechadapt.preparation import Corpus, CorpusRow, Intake, PrepareOptions, PrepReport, find_file, finish_corpus, is_junk, locate_audio
from speechadapt.text.sentence import sentence_key

CORPUS = Corpus(
    name="swissdial",
    title="SwissDial",
    license="CC BY-NC 4.0",
    commercial_use="no",
    home="https://projects.mtc.ethz.ch/projects/swiss-voice/swissdial",
    expects="a folder with sentences_ch_de_transcribed.json and the folders ag, be, bs, gr, lu, sg, vs and zh (or some of them).",
    accent_label="the folder: the dialect, which is also the speaker",
)
LISTS = ("sentences_ch_de_transcribed.json", "sentences_ch_de_numerics.json")
DIALECTS = {
    **{"ag": "Aargau", "be": "Bern", "bs": "Basel", "gr": "Graubünden"},
    **{"lu": "Luzern", "sg": "St. Gallen", "vs": "Wallis", "zh": "Zürich"},
}
ACCENTS = {
    **{"ag": "gsw_aargau", "be": "gsw_bern", "bs": "gsw_basel", "gr": "gsw_graubunden"},
    **{"lu": "gsw_luzern", "sg": "gsw_st_gallen", "vs": "gsw_wallis", "zh": "gsw_zurich"},
}
TARGETS = {"dialect": "gsw", "standard": "de"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of this corpus.

    Attributes:
        target: dialect (what was read, in its writer's spelling) or standard (the German sentence it translates).
    """

    target: str = "dialect"


def prepare(source: Path | str, out: Path, options: PrepareOptions, settings: Settings = Settings()) -> PrepReport:
    """Prepare the corpus; see `speechadapt.preparation.finish_corpus` for what is written and raised."""
    if settings.target not in TARGETS:
        raise MisuseError(f'--set target="{settings.target}": must be one of {", ".join(TARGETS)}. Choose one of them.')
    if options.splits in ("speaker", "speaker+sentence"):
        raise MisuseError(f"--splits {options.splits}: every dialect has one speaker, so they cannot be divided. Leave --splits out.")
    root = find_root(Path(source))
    intake = Intake()
    sentences = read_sentences(root, intake)
    rows = make_rows(root, sentences, options, settings, intake)
    intake.facts["orphan_recordings"] = count_orphans(root, sentences)
    intake.notes.append("the corpus names no splits: its sentences were divided by a seeded hash, every speaker stands in all parts")
    corpus = dataclasses.replace(CORPUS, language=TARGETS[settings.target])
    return finish_corpus(rows, corpus=corpus, source=root, out=out, options=options, intake=intake, audio_roots=[root])


def find_root(source: Path) -> Path:
    """The corpus folder: `source` itself or a folder in it.

    Raises:
        CorpusError: none holds a list of sentences and a folder of a dialect.
    """
    children = sorted(path for path in source.iterdir() if not is_junk(path)) if source.is_dir() else []
    for root in (source, *(path for path in children if path.is_dir())):
        if find_file(root, LISTS) and any((root / dialect).is_dir() for dialect in DIALECTS):
            return root
    found = ", ".join(path.name for path in children[:8]) if source.is_dir() else "no such folder"
    raise CorpusError(
        f"{source}: does not look like SwissDial; looked for {LISTS[0]} and a folder such as zh, found: {found}. It should be {CORPUS.expects}"
    )


def read_sentences(root: Path, intake: Intake) -> list[dict[str, Any]]:
    """The objects of the list of sentences that have an id; others are dropped and counted.

    Raises:
        CorpusError: the file is no list.
    """
    path = find_file(root, LISTS) or root / LISTS[0]
    listed = read_json(path)
    if not isinstance(listed, list):
        raise CorpusError(f"{path}: {type(listed).__name__}, expected a list of sentences. Download the file again.")
    sentences = []
    for place, sentence in enumerate(listed):
        if isinstance(sentence, dict) and sentence_id(sentence) is not None:
            sentences.append(sentence)
        else:
            intake.drop(f"entry{place}", "broken-entry", f"{path.name}, entry {place}: no object with a number as its id. Correct the entry.")
    return sentences


def sentence_id(sentence: dict[str, Any]) -> str | None:
    """The id as it stands in file names, four digits at least; None where it is no number."""
    given = sentence.get("id")
    text = str(given).strip() if isinstance(given, int | str) and not isinstance(given, bool) else ""
    return f"{int(text):04d}" if text.isascii() and text.isdecimal() and len(text) < 10 else None


def make_rows(root: Path, sentences: list[dict[str, Any]], options: PrepareOptions, settings: Settings, intake: Intake) -> list[CorpusRow]:
    """A row for every dialect a sentence was recorded in; dialects whose folder was not downloaded are noted."""
    there = [dialect for dialect in DIALECTS if (root / dialect).is_dir()]
    absent = [dialect for dialect in DIALECTS if dialect not in there]
    if absent:
        intake.notes.append(f"no folder of {', '.join(absent)}: these dialects were not read")
    parts = divide_sentences(sentences, options)
    unrecorded: Counter[str] = Counter()
    rows = []
    for sentence in sentences:
        for dialect in there:
            if sentence.get(f"ch_{dialect}") is None:
                unrecorded[dialect] += 1
                continue
            row = _make_row(root, sentence, dialect, parts[_key(sentence)], options, settings, intake)
            if row is not None:
                rows.append(row)
    intake.facts["sentences_not_recorded"] = dict(sorted(unrecorded.items()))
    return rows


def _make_row(
    root: Path, sentence: dict[str, Any], dialect: str, split: str, options: PrepareOptions, settings: Settings, intake: Intake
) -> CorpusRow | None:
    number = sentence_id(sentence)
    key, place = f"{dialect}-{number}", f"sentence {number}, {dialect}"
    spoken, standard = sentence[f"ch_{dialect}"], sentence.get("de")
    text = spoken if settings.target == "dialect" else standard
    if not isinstance(text, str) or not _is_unicode(text):
        intake.drop(key, "broken-text", f'row "{key}" ({place}): its text is {ascii(text)[:80]}, expected text in quotes. Correct the entry.', split)
        return None
    try:
        audio = locate_audio(f"{dialect}/ch_{dialect}_{number}.wav", [root])
    except AudioError as error:
        intake.drop(key, error.reason, f'row "{key}" ({place}): {error}', split)
        return None
    other = {"standard_german": standard} if settings.target == "dialect" else {"dialect_text": spoken}
    about = {"sentence_id": number, "topic": sentence.get("thema"), **other}
    return CorpusRow(
        id=key,
        audio=audio,
        text=text,
        place=place,
        speaker=dialect,
        accent=options.accent_map.get(dialect) or ACCENTS[dialect],
        accent_raw=dialect,
        region=DIALECTS[dialect],
        split=split,
        meta={name: value for name, value in about.items() if isinstance(value, str) and value.strip() and _is_unicode(value)},
    )


def divide_sentences(sentences: list[dict[str, Any]], options: PrepareOptions) -> dict[str, str]:
    """Which part each sentence belongs to, by its key: the shares of `options`, at least one sentence each for test, dev and train in turn."""

    def rank(key: str) -> str:
        return hashlib.sha256(f"{options.seed}:{key}".encode()).hexdigest()

    keys = sorted({_key(sentence) for sentence in sentences}, key=rank)
    test = max(1, round(options.test_share * len(keys)))
    dev = max(1, round(options.dev_share * len(keys)))
    return {key: "test" if place < test else "dev" if place < test + dev else "train" for place, key in enumerate(keys)}


def _key(sentence: dict[str, Any]) -> str:
    """By the German text, so that one that stands twice in the list is not divided; by id where there is none."""
    standard = sentence.get("de")
    key = sentence_key(standard) if isinstance(standard, str) and _is_unicode(standard) else ""
    return key or f"id {sentence_id(sentence)}"


def _is_unicode(text: str) -> bool:
    """Whether the text can be written; JSON can hold halves of characters."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def count_orphans(root: Path, sentences: list[dict[str, Any]]) -> int:
    """Recordings that no sentence names."""
    named = {f"ch_{dialect}_{sentence_id(s)}" for s in sentences for dialect in DIALECTS if s.get(f"ch_{dialect}") is not None}
    files = [path for dialect in DIALECTS for path in (root / dialect).glob("*") if path.suffix.lower() == ".wav" and not is_junk(path)]
    return sum(path.stem.lower() not in named for path in files)


if __name__ == "__main__":
    raise SystemExit(main(["prepare", __file__, *sys.argv[1:]]))
