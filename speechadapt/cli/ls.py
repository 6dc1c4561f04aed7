"""`speechadapt ls`: what there is to use, as a table or as JSON."""

import argparse
import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLE = """
speechadapt ls
speechadapt ls corpora
speechadapt ls recipes --json
speechadapt ls adapters --runs runs
"""

LANGUAGE_EXAMPLES = {
    "basic:tr": "dotted and dotless i are two letters (also az, crh, tt)",
    "basic:ar": "vowel signs left out, as everyday spelling does (also its dialects; basic:he for Hebrew)",
    "basic:zh": "every character is a word, so WER is the character error rate; Latin words stay words (also ja, th, lo, km, my, bo)",
    "basic:ar+fold": "alef, yaa and taa marbuta folded: for dialects, which have no spelling of their own",
    "basic:hi+fold": "nasals as anusvara, nukta left out (also mr, ne, bn, as, pa, gu, or, te, kn)",
    "basic:de+numbers": "digits as words; in any language that num2words knows",
}
Rows = list[dict[str, Any]]
CORPUS_FIELDS = ("license", "commercial_use", "home", "expects", "accent_label")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define what may follow `speechadapt ls`."""
    parser.add_argument("kind", nargs="?", choices=tuple(KINDS), help="what to list; nothing lists everything")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where to look for adapters (default: runs)")
    parser.add_argument("--json", action="store_true", help="a list of objects, each with a name")


def execute(options: argparse.Namespace) -> int:
    """Print the rows of one kind, or of all kinds."""
    kinds = [options.kind] if options.kind else list(KINDS)
    rows = {kind: KINDS[kind](options) for kind in kinds}
    if options.json:
        print(json.dumps([row if options.kind else {"kind": kind, **row} for kind in kinds for row in rows[kind]], ensure_ascii=False, indent=2))
        return 0
    for number, kind in enumerate(kinds):
        if not options.kind:
            print(f"{'' if number == 0 else chr(10)}{kind}")
        _print_table(rows[kind], indent="" if options.kind else "  ")
    return 0


def _print_table(rows: Rows, indent: str) -> None:
    if not rows:
        print(f"{indent}(none)")
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        print(f"{indent}{row['name']:<{width}}  {row['summary']}".rstrip())
        if "details" in row and not indent:  # on the page of its kind alone
            print(f"{'':<{width}}  {row['details']}")


def _scripts(folder_name: str) -> Rows:
    from speechadapt.bundled import bundled_folder, bundled_names

    paths = [bundled_folder(folder_name) / f"{name}.py" for name in bundled_names(folder_name)]
    return [{"name": path.stem, "summary": _summary(path), "path": str(path)} for path in paths]


def _summary(path: Path) -> str:
    """The first sentence of a script's docstring, read without running it."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n\n")[0].replace("\n", " ")


def _recipes(options: argparse.Namespace) -> Rows:
    return _scripts("recipes")


def _corpora(options: argparse.Namespace) -> Rows:
    rows = [{**row, **_facts(Path(row["path"]))} for row in _scripts("data_prep")]
    return [{**row, "details": f"license: {row['license']}; commercial use: {row['commercial_use']}; from {row['home']}"} for row in rows]


def _facts(path: Path) -> dict[str, str]:
    """What a script's `CORPUS` says in plain texts, read without running it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and ast.unparse(node.targets[0]) == "CORPUS":
            given = {keyword.arg: keyword.value.value for keyword in node.value.keywords if isinstance(keyword.value, ast.Constant)}
            return {field: str(given.get(field) or "see the script") for field in CORPUS_FIELDS}
    return dict.fromkeys(CORPUS_FIELDS, "see the script")


def _models(options: argparse.Namespace) -> Rows:
    from speechadapt.models.sources import installed_models

    return [{"name": row["name"], "summary": f"{row['family']}, from the {row['source']}", **row} for row in installed_models()]


def _normalizers(options: argparse.Namespace) -> Rows:
    from speechadapt.text.normalize import OPTIONS, get_normalizer, normalizers

    rows = [{"name": one.name, "summary": one.summary, "version": one.version} for one in normalizers()]
    for name, summary in LANGUAGE_EXAMPLES.items():
        rows.append({"name": name, "summary": summary, "version": get_normalizer(name).version})
    return [*rows, *({"name": f"+{option}", "summary": summary} for option, summary in OPTIONS.items())]


def _adapters(options: argparse.Namespace) -> Rows:
    from speechadapt.files import read_json
    from speechadapt.runs import ADAPTER_FILE

    rows = []
    for file in sorted(options.runs.rglob(ADAPTER_FILE)):
        about = read_json(file)
        rows.append({"name": str(file.parent), "summary": f"for {about.get('base_id')}", **about})
    return rows


KINDS: dict[str, Callable[[argparse.Namespace], Rows]] = {
    "recipes": _recipes,
    "corpora": _corpora,
    "models": _models,
    "normalizers": _normalizers,
    "adapters": _adapters,
}
