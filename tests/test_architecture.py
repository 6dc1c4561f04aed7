"""Who may import whom, from the parsed imports; and what stays out of a process that only scores or asks for help."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from speechadapt.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "speechadapt"

GROUND = {"errors", "units", "files", "provenance", "bundled", "settings", "runs", "subtitles"}
"""What everyone may use; among themselves they keep the order of this table's next lines."""

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "units": set(),
    "provenance": set(),
    "files": {"errors"},
    "bundled": {"errors"},
    "subtitles": {"units"},
    "settings": {"errors"},
    "runs": {"errors", "files", "provenance", "units"},
    "text": GROUND,
    "data": GROUND | {"text"},
    "audio": GROUND | {"text", "data"},
    "synthetic": GROUND | {"text", "data", "audio"},
    "preparation": GROUND | {"text", "data", "audio"},
    "conversion": GROUND | {"text", "data", "audio", "preparation"},
    "models": GROUND | {"text", "data", "audio"},
    "adapt": GROUND | {"text", "data", "audio", "models"},
    "score": GROUND | {"text", "data"},
    "report": GROUND | {"text", "data", "audio", "score"},
    "transcriber": GROUND | {"text", "data", "audio", "models", "adapt"},
    "evaluation": GROUND | {"text", "data", "audio", "models", "adapt", "transcriber", "score"},
    "bench": GROUND | {"text", "data", "audio", "models", "adapt", "transcriber", "score"},
    "serve": GROUND | {"text", "data", "audio", "models", "adapt", "transcriber", "score"},
    "export": GROUND | {"text", "data", "audio", "synthetic", "models", "adapt", "score"},
    "transcript_check": GROUND | {"text", "data", "audio", "models", "adapt", "transcriber"},
    "segmentation": GROUND | {"text", "data", "audio", "models", "adapt", "transcriber"},
    "experiment": GROUND | {"text", "data", "audio", "preparation", "models", "adapt", "transcriber", "score", "evaluation", "report"},
    "corpora": GROUND | {"text", "data", "audio", "preparation"},
    "history": GROUND | {"text", "data", "score"},
    "recipe": GROUND | {"text", "models", "adapt", "corpora", "experiment"},
}
"""Adapt and score never meet; neither do models and score. `cli` sees everything, and nothing sees `cli`."""

HEAVY = {"torch", "torchaudio", "transformers", "peft", "accelerate", "librosa"}
LIGHT = ("text", "data", "score", "errors", "units", "files", "provenance", "bundled", "settings", "runs")
"""Parts that must not import any of the heavy packages."""


def part_of(path: Path) -> str:
    """`score/compare.py` belongs to `score`, `runs.py` to `runs`, the package's own `__init__.py` to the root."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if not {"_recipes", "_data_prep"} & set(path.parts))


def imports(path: Path) -> list[tuple[int, str, str]]:
    """(line, full module name, where) of every import of one file; where is `top`, `function`, or `typing` for those only type checkers see."""
    found: list[tuple[int, str, str]] = []

    def visit(node: ast.AST, where: str) -> None:
        for child in ast.iter_child_nodes(node):
            inside = where
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                inside = "function"
            elif isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
                inside = "typing"
            if isinstance(child, ast.Import):
                found.extend((child.lineno, name.name, where) for name in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path.relative_to(ROOT)}, line {child.lineno}: a relative import; write it in full"
                if child.module == "speechadapt":  # `from speechadapt import provenance` imports a module
                    found.extend((child.lineno, f"speechadapt.{name.name}", where) for name in child.names)
                else:
                    found.append((child.lineno, child.module or "", where))
            visit(child, inside)

    visit(ast.parse(path.read_text(encoding="utf-8")), "top")
    return found


def ours(module: str) -> str | None:
    """The part of speechadapt that a module name stands for; None for other packages and for `speechadapt.__version__`."""
    names = module.split(".")
    return names[1] if names[0] == "speechadapt" and len(names) > 1 and names[1] != "__version__" else None


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}, line {line}"


def test_imports_point_one_way() -> None:
    wrong = []
    for path in sources():
        part = part_of(path)
        if part in ("__init__", "__main__", "cli"):
            continue
        assert part in MAY_IMPORT, f"{path.relative_to(ROOT)}: not in the table of this test; say there what it may import"
        for line, module, _ in imports(path):
            other = ours(module)
            if other is not None and other != part and other not in MAY_IMPORT[part]:
                wrong.append(f"{place(path, line)}: {part} must not import {other}")
    assert not wrong, "\n".join(wrong)


def test_the_table_has_no_circle() -> None:
    done: set[str] = set()
    while ready := {part for part, others in MAY_IMPORT.items() if part not in done and others & set(MAY_IMPORT) <= done | GROUND - {part}}:
        done |= ready
    assert done == set(MAY_IMPORT)


def test_light_parts_import_no_heavy_package() -> None:
    wrong = [
        f"{place(path, line)}: {part_of(path)} must not import {module}"
        for path in sources()
        if part_of(path) in LIGHT
        for line, module, _ in imports(path)
        if module.split(".")[0] in HEAVY
    ]
    assert not wrong, "\n".join(wrong)


def test_our_own_modules_are_imported_at_the_top_outside_the_command_line() -> None:
    """A hidden import of our own would be a circle in disguise. Heavy or optional packages of others may wait."""
    wrong = [
        f"{place(path, line)}: {module} is imported inside a function"
        for path in sources()
        if part_of(path) != "cli"
        for line, module, where in imports(path)
        if where == "function" and ours(module) is not None
    ]
    assert not wrong, "\n".join(wrong)


def test_the_command_line_imports_heavy_parts_only_inside_functions() -> None:
    heavy_parts = {
        "models",
        "adapt",
        "evaluation",
        "transcriber",
        "recipe",
        "experiment",
        "audio",
        "synthetic",
        "preparation",
        "conversion",
        "segmentation",
        "bench",
        "export",
        "serve",
    }
    wrong = [
        f"{place(path, line)}: {module} belongs inside the function that needs it"
        for path in sources()
        if part_of(path) == "cli"
        for line, module, where in imports(path)
        if where == "top" and (module.split(".")[0] in HEAVY or ours(module) in heavy_parts)
    ]
    assert not wrong, "\n".join(wrong)


def test_recipes_import_only_the_recipe_module() -> None:
    wrong = [
        f"{place(path, line)}: a recipe gets everything from speechadapt.recipe, found {module}"
        for path in sorted((ROOT / "recipes").glob("*.py"))
        for line, module, _ in imports(path)
        if module.startswith("speechadapt") and module != "speechadapt.recipe"
    ]
    assert not wrong, "\n".join(wrong)


def test_corpus_scripts_see_neither_models_nor_scores() -> None:
    allowed = GROUND | {"text", "data", "audio", "synthetic", "preparation", "cli"}  # cli: each is also a script of its own
    hears = {"recordings": {"segmentation"}}  # the one script that needs a model, to find a transcript in its recording
    wrong = [
        f"{place(path, line)}: data_prep must not import {module}"
        for path in sorted((ROOT / "data_prep").glob("*.py"))
        for line, module, _ in imports(path)
        if (other := ours(module)) is not None and other not in allowed | hears.get(path.stem, set())
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_each_module_opens_with_its_concept(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{path.relative_to(ROOT)}: no docstring at the top"


def loaded_after(code: str) -> set[str]:
    """Top-level packages that a fresh process holds after `code`."""
    show = "import sys; print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))"
    ran = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True)
    return set(ran.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize("module", ["speechadapt.score.report", "speechadapt.score.compare", "speechadapt.data.manifest", "speechadapt"])
def test_scoring_and_data_load_no_torch(module: str) -> None:
    assert not loaded_after(f"import {module}") & HEAVY


@pytest.mark.parametrize("command", [*COMMANDS, None])
def test_help_loads_nothing_heavy(command: str | None) -> None:
    """Help under half a second: what is loaded decides, and unlike a clock it is the same on every machine."""
    arguments = [command, "--help"] if command else ["--help"]
    loaded = loaded_after(f"from speechadapt.cli import main\ntry:\n    main({arguments})\nexcept SystemExit:\n    pass")
    assert not loaded & (HEAVY | {"numpy", "scipy", "matplotlib", "soundfile", "jiwer"})


@pytest.mark.parametrize("package", ["speechadapt", "speechadapt.serve"])
def test_the_public_names_are_what_they_say(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.PUBLIC) == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name).__name__ == name
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = module.nothing
