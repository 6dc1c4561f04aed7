"""Scoring from the command line: the arguments that `score` and `compare` share, and files of any format turned into reports."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speechadapt.data.transcript_files import References
    from speechadapt.score.report import ScoreReport

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
    parser.add_argument("--normalizer", default="english", help="raw, basic, basic:LANGUAGE or english (default: english)")
    parser.add_argument("--by", default="accent,speaker,gender,age", help="fields to group by, or keys of meta (default: accent,speaker,gender,age)")
    parser.add_argument("--missing-as-empty", action="store_true", help="count utterances without a hypothesis as empty instead of refusing")
    parser.add_argument("--resamples", type=int, default=10_000, help="draws of the bootstrap over speakers (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON to a file")
    add_file_arguments(parser)


def read_test(options: argparse.Namespace) -> "References":
    """The references that the command was given."""
    from speechadapt.data.transcript_files import read_reference_files
    from speechadapt.data.transcript_rows import Columns

    columns = Columns(id=options.id_field, text=options.text_field)
    return read_reference_files([options.references, *options.more_refs], form=options.refs_form, columns=columns)


def score_file(path: Path, references: "References", options: argparse.Namespace, *, system: str) -> "ScoreReport":
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
        normalizer=options.normalizer,
        by=fields_of(options.by),
        manifest_path=options.references,
        missing_as_empty=options.missing_as_empty,
        resamples=options.resamples,
        seed=options.seed,
    )


def fields_of(text: str) -> tuple[str, ...]:
    """The fields of `--by`, in the order given, each once."""
    return tuple(dict.fromkeys(field.strip() for field in text.split(",") if field.strip()))
