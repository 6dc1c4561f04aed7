"""Write the table of corpora in recipes/README.md from the recipes and the records of their corpora: python docs/make_recipes.py"""

import ast
import re
from pathlib import Path
from typing import Any

from speechadapt.bundled import bundled_folder, bundled_names, load_bundled

PAGE = bundled_folder("recipes") / "README.md"
BEGIN, END = "<!-- made by `make docs` from the recipes and the corpora's records; do not edit -->", "<!-- end of what is made -->"
TRIED = "Whole corpus: "


def page() -> str:
    """The page with its table made anew."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{PAGE}: the lines {BEGIN} and {END} are not there. Put them where the table belongs.")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def table() -> str:
    """One row for every recipe that prepares a corpus: whom it is for, what to download, the terms, and whether it was tried on all of it."""
    head = ["recipe", "what", "download", "license", "commercial use", "run on the whole corpus"]
    rows = [row for name in bundled_names("recipes") if (row := _row(bundled_folder("recipes") / f"{name}.py"))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def _row(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wanted = _wanted(tree)
    if wanted is None:
        return []
    doc = ast.get_docstring(tree) or ""
    what = " ".join(doc.partition("\n\n")[0].split()).removesuffix(".")
    tried = next((" ".join(part.split()) for part in doc.split("\n\n") if part.startswith(TRIED)), None)
    if tried is None:
        raise SystemExit(f'{path}: no paragraph of its docstring begins with "{TRIED}". Say there whether it was run on all of the corpus.')
    records = [load_bundled("data_prep", name).CORPUS for name in corpora_of(path)]
    several = len(records) > 1

    def told(field: str) -> str:
        values = {record.name: str(getattr(record, field)) for record in records}
        return "; ".join(f"{name}: {value}" for name, value in values.items()) if several else next(iter(values.values()))

    first = tried.removeprefix(TRIED).partition(";")[0]
    homes = "" if "://" in wanted else "; " + ", ".join(f"<{record.home}>" for record in records)
    return [f"`{path.stem}`", what, re.sub(r"(https://\S+)", r"<\1>", wanted) + homes, told("license"), told("commercial_use"), first]


def corpora_of(path: Path) -> list[str]:
    """The names of the corpus scripts a recipe names, in the order of its lines."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    texts = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    names = [str(node.value) for node in sorted(texts, key=lambda node: (node.lineno, node.col_offset))]
    return list(dict.fromkeys(name for name in names if name in bundled_names("data_prep")))


def _wanted(tree: ast.AST) -> str | None:
    """What a recipe says has to be downloaded; None for one that prepares no corpus."""
    given = [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "wanted"]
    return _text(given[0]) if given else None


def _text(value: Any) -> str:
    """A text as it is written; one of several by its name, and in a composed one the names of settings."""
    if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Dict):
        pairs = zip(value.value.keys, value.value.values, strict=True)
        return "; ".join(f"{ast.literal_eval(name)}: {ast.literal_eval(text)}" for name, text in pairs if name is not None)
    if isinstance(value, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else f"`{ast.unparse(part.value)}`" for part in value.values)  # type: ignore[attr-defined]
    return str(ast.literal_eval(value))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
