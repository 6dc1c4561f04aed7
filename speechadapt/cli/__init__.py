"""The command line: one file per command, each with `HELP`, `EXAMPLE`, `add_arguments` and `execute`; heavy imports inside `execute`."""

import argparse
import importlib
import os
import sys
import warnings

from speechadapt import __version__
from speechadapt.errors import SpeechadaptError

COMMANDS = {
    "record": "a page that records people reading prompts, into a corpus that prepare understands",
    "prepare": "turn a corpus into manifests and 16 kHz audio, without leaks",
    "split": "divide a prepared corpus again, or into folds, without touching audio",
    "check": "say what is wrong with a manifest",
    "convert": "write a prepared corpus as AudioFolder, Parquet, Kaldi, lhotse or NeMo",
    "ls": "list recipes, corpora, models, normalizers or adapters",
    "cp": "copy a recipe to edit it",
    "run": "run a recipe: base score, training, adapted score, verdict",
    "adapt": "the same without a recipe file: a base and a prepared corpus",
    "transcribe": "speech to text with a base model, or with a base and an adapter",
    "serve": "an HTTP server that OpenAI's clients can talk to, with a page to try adapters",
    "mix": "a weighted mix of adapters as a new adapter",
    "score": "word error rate of hypotheses against references",
    "compare": "two systems on the same test set: the verdict",
    "bench": "any recognizers on any manifests: a leaderboard with speed, memory and intervals",
    "report": "a run, a score or a comparison as HTML, Markdown, CSV, JSON or JUnit XML",
    "runs": "list run folders with their verdicts, or compare two of them",
    "export": "merge an adapter for transformers, faster-whisper, onnxruntime or whisper.cpp, and prove it there",
    "push": "an adapter or an export to the Hugging Face Hub",
    "normalize": "show what counts as the same word",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: as typed after `speechadapt`; None takes them from the process.

    Returns:
        The exit code: 0 done, 1 a check failed or a test set got significantly worse, 2 misuse.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if not sys.warnoptions:  # what libraries tell each other about coming versions is for the tests, where warnings are errors
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft)(\.|$)")
    parser = argparse.ArgumentParser(
        prog="speechadapt",
        description="Adapt pretrained speech recognizers to accents, dialects and languages, and prove whether it helped.",
        epilog="Try `speechadapt run quickstart`, or `speechadapt COMMAND --help` for an example of each command.",
    )
    parser.add_argument("--version", action="version", version=f"speechadapt {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    wanted = next((word for word in given if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        child = commands.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + ".", formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == wanted:  # only the command that was asked for is imported
            module = importlib.import_module(f"speechadapt.cli.{name}")
            child.epilog = "examples:\n" + "".join(f"  {line}\n" for line in module.EXAMPLE.strip().splitlines())
            module.add_arguments(child)
    options = parser.parse_args(given)
    if options.command is None:
        parser.print_help()
        return 2
    try:
        return int(importlib.import_module(f"speechadapt.cli.{options.command}").execute(options))
    except SpeechadaptError as error:
        print(f"speechadapt {options.command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nspeechadapt: stopped. What was finished is kept.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `speechadapt ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
