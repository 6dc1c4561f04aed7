"""`speechadapt adapt`: a base and a prepared corpus into an adapter and a verdict, without a recipe file."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLE = """
speechadapt adapt openai/whisper-tiny.en data/mine
speechadapt adapt openai/whisper-base data/mine --language en --minutes 15 --out runs/mine
speechadapt adapt facebook/wav2vec2-base-960h data/mine --vocabulary keep
speechadapt adapt openai/whisper-tiny.en data/me --personal --minutes 5
speechadapt adapt openai/whisper-tiny.en data/mine --test data/other/test.jsonl --guard data/british/test.jsonl --steps 200
speechadapt adapt openai/whisper-tiny.en data/mine --guard data/british/test.jsonl --replay data/british/train.jsonl
"""

SPEC_FIELDS = ("method", "rank", "alpha", "dropout", "targets", "vocabulary", "rare")
TRAIN_FIELDS = ("steps", "epochs", "batch_seconds", "learning_rate", "full_window_share", "precision", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define what may follow `speechadapt adapt`; the defaults in the help are those of `AdapterSpec` and `TrainSettings`."""
    from speechadapt.adapt.spec import FAMILY_DEFAULTS, METHODS, PRECISIONS, TARGETS, AdapterSpec, TrainSettings
    from speechadapt.models.vocabulary_choice import VOCABULARIES

    def by_family(name: str) -> str:
        """`5`, or `0.0004 for whisper, 0.001 for ctc` where families differ."""
        values = {family: f"{defaults[name]:g}" for family, defaults in FAMILY_DEFAULTS.items()}
        return values["whisper"] if len(set(values.values())) == 1 else ", ".join(f"{value} for {family}" for family, value in values.items())

    spec, train = AdapterSpec(), TrainSettings()
    parser.add_argument("base", metavar="BASE", help="a Hub id such as openai/whisper-tiny.en, or a folder")
    parser.add_argument("data", metavar="DATA_DIR", type=Path, help="a prepared corpus: train.jsonl, dev.jsonl and perhaps test.jsonl")
    more = "may be repeated"
    parser.add_argument("--test", action="append", type=Path, default=[], metavar="M", help=f"test manifest (default: DATA_DIR/test.jsonl); {more}")
    parser.add_argument("--guard", action="append", type=Path, default=[], metavar="M", help=f"speech the base must go on serving; {more}")
    parser.add_argument(
        "--replay", action="append", type=Path, default=[], metavar="M", help=f"such speech to train on too, not to unlearn it; {more}"
    )
    parser.add_argument("--no-guard", action="store_true", help="do not make synthetic standard English where no guard is given")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: runs/ and the names of corpus and base)")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was interrupted")
    parser.add_argument("--strict", action="store_true", help="refuse training rows that share something with a test or guard set")
    parser.add_argument("--personal", action="store_true", help="for the voices of the test sets themselves: only their sentences are held out")
    parser.add_argument("--revision", metavar="SHA", help="of the base on the Hub")
    parser.add_argument("--language", metavar="TAG", help="of the speech, such as en (multilingual bases; default: what the manifests say)")
    parser.add_argument("--normalizer", metavar="NAME", help="what counts as the same word (default: english for English, else basic)")
    parser.add_argument("--by", default="accent,speaker,gender,age", metavar="FIELDS", help="groups to report (default: %(default)s)")
    parser.add_argument("--minutes", type=float, metavar="N", help="training time; turned into a number of steps once, by a probe, and recorded")
    parser.add_argument("--steps", type=int, metavar="N", help="optimizer steps")
    parser.add_argument("--epochs", type=float, metavar="N", help=f"passes over the training data (default: {by_family('epochs')})")
    parser.add_argument("--learning-rate", type=float, metavar="X", help=f"at its peak (default: {by_family('learning_rate')})")
    parser.add_argument("--batch-seconds", type=float, metavar="S", help=f"seconds of audio per step (default: {by_family('batch_seconds')})")
    parser.add_argument("--full-window-share", type=float, metavar="X", help=f"clips Whisper sees in 30 s (default: {train.full_window_share:g})")
    parser.add_argument("--method", choices=METHODS, help=f"(default: {spec.method})")
    parser.add_argument("--rank", type=int, metavar="N", help=f"of the adapter (default: {spec.rank})")
    parser.add_argument("--alpha", type=float, metavar="X", help=f"the update is scaled by alpha / rank (default: {spec.alpha:g})")
    parser.add_argument("--dropout", type=float, metavar="X", help=f"on the adapter's input (default: {spec.dropout:g})")
    parser.add_argument("--targets", choices=TARGETS, help=f"which matrices are adapted (default: {spec.targets})")
    parser.add_argument("--vocabulary", choices=VOCABULARIES, help=f"of a CTC base: keep, extend, or build anew (default: {spec.vocabulary})")
    parser.add_argument("--rare", type=int, metavar="N", help=f"leave characters out that occur less often than N (default: {spec.rare})")
    parser.add_argument("--precision", choices=PRECISIONS, help=f"(default: {train.precision})")
    parser.add_argument("--device", metavar="D", help="cpu, cuda or cuda:1 (default: the best there is)")
    parser.add_argument("--seed", type=int, metavar="N", help=f"(default: {train.seed})")
    parser.add_argument("--json", action="store_true", help="print comparison.json instead of the table")


def execute(options: argparse.Namespace) -> int:
    """Adapt, print the verdict, and leave with 1 if a test set got significantly worse."""
    from speechadapt.adapt.spec import AdapterSpec, TrainSettings
    from speechadapt.cli.verdict import print_verdict
    from speechadapt.errors import MisuseError
    from speechadapt.experiment import AdaptJob, adapt_and_prove
    from speechadapt.runs import discarded_if_bare, open_run

    if sum(value is not None for value in (options.minutes, options.steps, options.epochs)) > 1:
        raise MisuseError("--minutes, --steps and --epochs all say how long to train. Give one of them.")
    job = AdaptJob(
        base=options.base,
        revision=options.revision,
        data=options.data,
        tests=tuple(options.test),
        guards=tuple(options.guard),
        replay=tuple(options.replay),
        make_guard=not options.no_guard,
        strict=options.strict,
        personal=options.personal,
        language=options.language,
        normalizer=options.normalizer,
        by=tuple(field for field in options.by.split(",") if field),
        minutes=options.minutes,
        spec=AdapterSpec(**_given(options, SPEC_FIELDS)),
        train=TrainSettings(**_given(options, TRAIN_FIELDS)),
        device=options.device,
    )
    job.check()  # before a folder is made
    out = options.out or Path("runs") / f"{job.data.resolve().name}-{Path(job.base).name.replace(':', '-')}"  # embedded:NAME
    run = open_run(out, settings={"command": "adapt", "settings": job.to_json()}, resume=options.resume)
    with discarded_if_bare(run):
        verdict = adapt_and_prove(run, job)
    return print_verdict(run, verdict, as_json=options.json)


def _given(options: argparse.Namespace, fields: tuple[str, ...]) -> dict[str, Any]:
    return {field: getattr(options, field) for field in fields if getattr(options, field) is not None}
