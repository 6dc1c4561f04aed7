"""Scoring from the command line: the arguments that `score` and `compare` share, and files of any format turned into reports."""

import argparse
import contextlib
import dataclasses
import gc
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from speechadapt.errors import MisuseError

if TYPE_CHECKING:
    from speechadapt.data.transcript_files import References
    from speechadapt.score.report import ScoreReport
    from speechadapt.text.normalize import Normalizer

ALTERNATIVES = re.compile(r"\{[^{}]* / [^{}]*\}|\([^()]*\)/\(")
SAMPLE = 1000
"""References that are looked at for their script."""
REFERENCES_HELP = "what was said: a manifest (JSON Lines), CSV, TSV, Kaldi text, STM, TRN, SRT, VTT, or a folder of .txt files"
HYPOTHESES_HELP = "what the system said: JSON Lines with id and text (or pred_text), or any of those, or CTM; joined to REFS by id"
FORMS = "jsonl, table, kaldi, trn, stm, ctm, subtitles, folder or lines"


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """How the files are read."""
    group = parser.add_argument_group("files")
    group.add_argument("--refs-form", metavar="FORM", help=f"format of REFS where the name does not say: {FORMS} (lines: no ids, joined by number)")
    group.add_argument("--hyps-form", metavar="FORM", help="the same of the hypotheses")
    group.add_argument("--id-field", metavar="NAME", help="field or column of the id (default: id, utt_id, audio_filepath, file or the like)")
    group.add_argument("--text-field", metavar="NAME", help="field or column of the reference (default: text, reference, sentence or the like)")
    group.add_argument("--hyp-field", metavar="NAME", help="field or column of the hypothesis (default: pred_text, hypothesis, text or the like)")
    group.add_argument(
        "--more-refs", metavar="FILE", type=Path, action="append", default=[], help="further accepted wordings by the same ids; may be repeated"
    )


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """How they are scored."""
    parser.add_argument(
        "--normalizer",
        metavar="NAME",
        help="what counts as the same word, see `speechadapt ls normalizers` (default: english for English, else basic:LANGUAGE)",
    )
    parser.add_argument("--lexicon", metavar="FILE", type=Path, help="dialect words: a variant, a tab and what it counts as in each line")
    parser.add_argument(
        "--by",
        default="accent,speaker,gender,age",
        help="fields to group by, keys of meta, or length, duration, speaking_rate, snr, bandwidth (default: accent,speaker,gender,age)",
    )
    parser.add_argument("--audio", action="store_true", help="measure snr and bandwidth from the recordings where the manifest does not say them")
    parser.add_argument(
        "--mistakes",
        nargs="?",
        type=int,
        const=10,
        metavar="N",
        help="also show what went wrong: confusions, worst utterances, invented text (default N: 10)",
    )
    parser.add_argument("--missing-as-empty", action="store_true", help="count utterances without a hypothesis as empty instead of refusing")
    parser.add_argument(
        "--alternatives", action="store_true", help="read { a / b / @ }, (a)/(b) and (uh) in references: alternatives, and words that may be left out"
    )
    parser.add_argument(
        "--alignment",
        choices=("levenshtein", "nist"),
        default="levenshtein",
        help="levenshtein: the fewest errors, as jiwer counts (default); nist: the weights of sclite",
    )
    parser.add_argument("--resamples", type=int, default=10_000, help="draws of the bootstrap over speakers (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    parser.add_argument(
        "--interval",
        default="expanded",
        choices=("expanded", "percentile", "bca"),
        help="ends of the intervals: expanded percentiles (default; they hold with few speakers), plain percentiles, or BCa",
    )
    parser.add_argument(
        "--unit",
        default="speaker",
        choices=("speaker", "utterance", "hierarchical"),
        help="what the bootstrap draws: speakers (default), utterances as if independent, or speakers and then their utterances",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON to a file")
    add_file_arguments(parser)


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """The records of a million utterances form no circles, and looking for some takes a tenth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@collector_paused()
def read_test(options: argparse.Namespace) -> "References":
    """The references that the command was given."""
    from speechadapt.data.transcript_files import read_reference_files
    from speechadapt.data.transcript_rows import Columns

    if options.mistakes is not None and options.mistakes < 1:
        raise MisuseError(f"--mistakes {options.mistakes}: must be 1 or more.")
    columns = Columns(id=options.id_field, text=options.text_field)
    test = read_reference_files([options.references, *options.more_refs], form=options.refs_form, columns=columns)
    return _with_audio(test, options) if options.audio else test


def _with_audio(test: "References", options: argparse.Namespace) -> "References":
    """The same test with the signal-to-noise ratio and bandwidth of every row."""
    from speechadapt.audio.conditions import with_conditions
    from speechadapt.data.manifest import Manifest
    from speechadapt.preparation.options import available_cores

    if not isinstance(test.found, Manifest):
        raise MisuseError(f"--audio: {options.references} names no recordings. Give a manifest with audio_filepath, or leave --audio out.")
    manifest, unheard = with_conditions(test.found, jobs=available_cores(), progress=True)
    if unheard:
        print(f"{len(unheard)} recordings could not be measured, the first is that of {unheard[0]}; they count as (unknown).", file=sys.stderr)
    return dataclasses.replace(test, found=manifest)


def choose(options: argparse.Namespace, references: "References") -> "Normalizer":
    """The normalizer that was asked for, or that of the references' language; told where it would break the words of their script."""
    from speechadapt.score.phrases import printable
    from speechadapt.text.normalize import choose_normalizer, get_normalizer, marks_broken

    found = references.found
    texts = [one.text for one in found[:SAMPLE]]
    languages = [one.language if hasattr(one, "language") else one.value("language") for one in found]
    if not options.alternatives and (marked := [text for text in texts if ALTERNATIVES.search(text)]):
        shown = printable(marked[0] if len(marked[0]) <= 100 else marked[0][:100] + "…")
        holds = "holds" if len(marked) == 1 else "hold"
        print(
            f'note: {len(marked)} of the first {len(texts)} references {holds} alternatives, such as "{shown}". Add --alternatives to read them.',
            file=sys.stderr,
        )
    chosen = get_normalizer(options.normalizer or choose_normalizer(texts, languages), lexicon=options.lexicon)
    if chosen.breaks_marks and (broken := sum(map(marks_broken, texts))):
        print(
            f"warning: {chosen.name} turns combining marks into blanks, {broken} of them in the first {len(texts)} references, and breaks "
            "their words. Use basic:LANGUAGE, or this one only beside published scores that were made so.",
            file=sys.stderr,
        )
    return chosen


@collector_paused()
def score_file(path: Path, references: "References", options: argparse.Namespace, *, system: str, normalizer: "Normalizer") -> "ScoreReport":
    """Score one file of hypotheses; what was noticed on the way of joining goes to stderr."""
    from speechadapt.data.transcript_files import read_hypothesis_file
    from speechadapt.data.transcript_rows import Columns
    from speechadapt.score.report import score

    said = read_hypothesis_file(path, references, form=options.hyps_form, columns=Columns(id=options.id_field, text=options.hyp_field))
    for note in said.notes:
        print(note, file=sys.stderr)
    return score(
        references.found,
        said.found,
        system=system,
        normalizer=normalizer,
        by=fields_of(options.by),
        manifest_path=options.references,
        missing_as_empty=options.missing_as_empty,
        alternatives=options.alternatives,
        alignment=options.alignment,
        resamples=options.resamples,
        seed=options.seed,
        interval_method=options.interval,
        interval_unit=options.unit,
    )


def fields_of(text: str) -> tuple[str, ...]:
    """The fields of `--by`, in the order given, each once."""
    return tuple(dict.fromkeys(field.strip() for field in text.split(",") if field.strip()))
