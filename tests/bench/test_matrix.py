"""Bench files and flags: what they mean, and one sentence with its place for each mistake."""

import dataclasses
import re
from pathlib import Path

import pytest

from speechadapt.bench.matrix import Matrix, matrix_from_flags, read_matrix
from speechadapt.bench.systems import (
    CommandSystem,
    FasterWhisperSystem,
    HTTPSystem,
    HypothesesSystem,
    OnnxSystem,
    TransformersSystem,
    system_from_json,
)
from speechadapt.errors import ManifestError, MisuseError

WHOLE = """
normalizer = "basic"
by = ["accent", "l1"]
threads = 2

[manifests]
easy = "easy.jsonl"
hard = { path = "more/hard.jsonl", normalizer = "raw" }

[systems.base]
kind = "transformers"
base = "openai/whisper-tiny.en"

[systems.adapted]
kind = "transformers"
adapter = "runs/x/adapter"
window = "short"
beam = 5
limit = 3600

[systems."large v3"]
kind = "faster-whisper"
model = "models/v3"
compute_type = "int8"

[systems.api]
kind = "http"
url = "https://api.example.org"
token_env = "API_TOKEN"

[systems.mine]
kind = "command"
command = "./recognize --file='{audio}' 'two words'"

[systems.old]
kind = "hypotheses"
file = "old/{manifest}.jsonl"

[systems.graph]
kind = "onnx"
folder = "graph"
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with manifests by name, whose content is of no account here."""
    for name in ("easy.jsonl", "more/hard.jsonl", "test.jsonl", "a/test.jsonl", "b/test.jsonl", "models/v3/model.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str, folder: Path) -> Matrix:
    (folder / "bench.toml").write_text(text, encoding="utf-8")
    return read_matrix(folder / "bench.toml")


def test_a_whole_bench_file(desk: Path) -> None:
    matrix = read(WHOLE, desk)
    assert (matrix.by, matrix.threads) == (("accent", "l1"), 2)
    assert [(m.name, m.path, m.normalizer) for m in matrix.manifests] == [
        ("easy", desk / "easy.jsonl", "basic"),
        ("hard", desk / "more/hard.jsonl", "raw"),
    ]
    assert {system.name: system.settings for system in matrix.systems} == {
        "base": TransformersSystem(base="openai/whisper-tiny.en"),
        "adapted": TransformersSystem(adapter=desk / "runs/x/adapter", window="short", beam=5),
        "large v3": FasterWhisperSystem(model=str(desk / "models/v3"), compute_type="int8"),
        "api": HTTPSystem(url="https://api.example.org", token_env="API_TOKEN"),
        "mine": CommandSystem(command=("./recognize", "--file={audio}", "two words")),
        "old": HypothesesSystem(file=desk / "old/{manifest}.jsonl"),
        "graph": OnnxSystem(folder=desk / "graph"),
    }
    assert [system.limit for system in matrix.systems[:2]] == [86_400, 3600]
    assert [system_from_json(system.to_json()) for system in matrix.systems] == list(matrix.systems)


def test_flags_say_the_same(desk: Path) -> None:
    matrix = matrix_from_flags(
        [
            "base=openai/whisper-tiny.en",
            "shipped=embedded:wav2vec2-small,language=en",
            "adapted=transformers:,adapter=runs/x/adapter,window=short,beam=5,limit=60",
            "v3=faster-whisper:models/v3,compute_type=int8,vad=true",
            "api=http://localhost:8000,token_env=API_TOKEN",
            "mine=command:./recognize --of=a,b {audio}",
            "old=hypotheses:old.jsonl",
        ],
        ["easy.jsonl", "name=more/hard.jsonl", "a/test.jsonl", "b/test.jsonl"],
    )
    assert [m.name for m in matrix.manifests] == ["easy", "name", "a-test", "b-test"]
    assert [system.settings for system in matrix.systems] == [
        TransformersSystem(base="openai/whisper-tiny.en"),
        TransformersSystem(base="embedded:wav2vec2-small", language="en"),
        TransformersSystem(adapter=desk / "runs/x/adapter", window="short", beam=5),
        FasterWhisperSystem(model=str(desk / "models/v3"), compute_type="int8", vad=True),
        HTTPSystem(url="http://localhost:8000", token_env="API_TOKEN"),
        CommandSystem(command=("./recognize", "--of=a,b", "{audio}")),
        HypothesesSystem(file=desk / "old.jsonl"),
    ]
    assert matrix.systems[2].limit == 60
    assert matrix.manifests[0].normalizer is None


HEAD = 'manifests = ["test.jsonl"]\n'
BASE = HEAD + '[systems.a]\nkind = "transformers"\nbase = "x"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BASE + "beams = 3\n", 'bench.toml, line 5, [systems.a]: unknown key "beams"; a system of kind transformers has: kind, base, adapter, '),
        (BASE + "beam = 0\n", "bench.toml, line 5, [systems.a]: beam is 0, must be 1 or more. Correct the value."),
        (BASE + "beam = '5'\n", "line 5, [systems.a]: beam is '5', must be a whole number. Correct the value."),
        (BASE + "beam = true\n", "line 5, [systems.a]: beam is True, must be a whole number. Correct the value."),
        (BASE + "limit = 0\n", "line 5, [systems.a]: limit is 0, must be above 0. Correct the value."),
        (BASE + "batch_seconds = inf\n", "line 5, [systems.a]: batch_seconds is inf, must be a number. Correct the value."),
        (BASE + "window = 'tiny'\n", "line 5, [systems.a]: window is 'tiny', must be one of full, short. Correct the value."),
        (BASE + "window = 'short'\n", "line 5, [systems.a]: window is 'short', in which a base without an adapter loops. Give an adapter"),
        (BASE + "base = 'y'\n", "bench.toml: not TOML (Cannot overwrite a value (at line 5, column 11)). Correct the file."),
        (BASE + "[systems.a]\n", "bench.toml: not TOML (Cannot declare ('systems', 'a') twice (at line 5, column 11)). Correct the file."),
        (BASE + "[systems.A]\nkind = 'transformers'\nbase = 'x'\n", '1 systems have the name of another, the first is "a"; names must differ, also'),
        (
            BASE + "[systems.'a/b']\nkind = 'transformers'\nbase = 'x'\n",
            "line 5, [systems.a/b]: the name 'a/b' of a system holds '/'; names have 1 to 80",
        ),
        (BASE + "[systems.'..']\nkind = 'transformers'\nbase = 'x'\n", "the name '..' of a system has 2 characters, or a dot or blank at an end"),
        (
            BASE + "[systms]\n",
            'bench.toml, line 5: unknown key "systms"; a bench file has: manifests, systems, normalizer, by, threads. Correct the name.',
        ),
        (
            HEAD + "[systems.a]\nbase = 'x'\n",
            "line 2, [systems.a]: there is no kind, must be one of transformers, faster-whisper, onnx, http, command, ",
        ),
        (
            HEAD + "[systems.a]\nkind = 'kaldi'\n",
            "line 3, [systems.a]: kind is 'kaldi', must be one of transformers, faster-whisper, onnx, http, comm",
        ),
        (
            HEAD + "[systems.a]\nkind = 'transformers'\n",
            "line 2, [systems.a]: neither base nor adapter. Give base, or an adapter, which names its own.",
        ),
        (HEAD + "[systems.a]\nkind = 'http'\n", 'line 2, [systems.a]: the key "url" is missing, which a system of kind http needs. Add it.'),
        (
            HEAD + "[systems.a]\nkind = 'http'\nurl = 'ftp://x'\n",
            "line 4, [systems.a]: url is 'ftp://x', must begin with http:// or https:// and name a host.",
        ),
        (
            HEAD + "[systems.a]\nkind = 'http'\nurl = 'https://'\n",
            "url is 'https://', must begin with http:// or https:// and name a host. Correct the add",
        ),
        (
            HEAD + "[systems.a]\nkind = 'http'\nurl = 'https://u:p@x'\n",
            "the url holds a blank, a letter beyond ASCII, or a user's name or password. Put a",
        ),
        (
            HEAD + "[systems.a]\nkind = 'http'\nurl = 'http://x'\non_error = 'skip'\n",
            "on_error is 'skip', must be one of stop, empty. Correct the value.",
        ),
        (
            HEAD + "[systems.a]\nkind = 'command'\ncommand = 'run'\n",
            "line 4, [systems.a]: the command holds neither of {audio} and {list}, must hold one ",
        ),
        (
            HEAD + "[systems.a]\nkind = 'command'\ncommand = ['x', '{audio}', '{list}']\n",
            "the command holds both of {audio} and {list}, must hold one of them.",
        ),
        (
            HEAD + "[systems.a]\nkind = 'command'\ncommand = \"run '{audio}\"\n",
            "whose quotes do not match (No closing quotation). Close them, or write a list.",
        ),
        (
            HEAD + "[systems.a]\nkind = 'command'\ncommand = []\n",
            "command is [], must be text in quotes or a list of texts and not empty. Correct the value.",
        ),
        (
            HEAD + "[systems.a]\nkind = 'command'\ncommand = ['x', 3]\n",
            "command is ['x', 3], must be text in quotes or a list of texts. Correct the value.",
        ),
        (HEAD + "systems = 3\n", "bench.toml, line 2: systems are written as tables. Write one [systems.NAME] for each."),
        (HEAD, "no system: name one in [systems.NAME] of the bench file, or with --system NAME=KIND:WHAT."),
        ("by = 'accent'\n" + BASE, 'bench.toml, line 1: by is \'accent\', must be a list of fields, such as ["accent", "gender"]. Correct it.'),
        ("threads = 0\n" + BASE, "bench.toml, line 1: threads is 0, must be a whole number of 1 or more. Correct it or leave it out."),
        ("normalizer = 'engish'\n" + BASE, 'bench.toml: no normalizer is called "engish"'),
        ("manifests = 3\n", 'bench.toml, line 1: manifests is 3, must be a list of paths or a table NAME = "path". Correct it.'),
        ("manifests = [3]\n", 'bench.toml, line 1: manifests is [3], must be a list of paths or a table NAME = "path". Correct it.'),
        (
            "[manifests]\n'a/b' = 'test.jsonl'\n",
            "line 2, [manifests]: the name 'a/b' of a manifest holds '/'; names have 1 to 80 printable characters",
        ),
        ("[manifests]\na = { path = 'test.jsonl', norm = 'raw' }\n", 'line 2, [manifests.a]: unknown key "norm"; a manifest has: path, normalizer.'),
        ("[manifests]\na = 3\n", 'line 2, [manifests]: manifest a is 3, must be a path, or a table with "path". Correct it.'),
        (BASE.replace(HEAD, ""), "no manifest: name them in manifests of the bench file, or with --manifest M."),
        ("{", "bench.toml: not TOML (Invalid statement (at line 1, column 1)). Correct the file."),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, told: str, desk: Path) -> None:
    with pytest.raises(MisuseError, match=re.escape(told)) as caught:
        read(text, desk)
    assert caught.value.exit_code == 2


def test_a_manifest_that_is_not_there(desk: Path) -> None:
    with pytest.raises(
        ManifestError, match=re.escape(f"{desk / 'gone.jsonl'}: no such manifest. Check the path, or make it with: speechadapt prepare")
    ):
        read(BASE.replace("test.jsonl", "gone.jsonl"), desk)


def test_a_bench_file_that_is_not_there_or_no_text(desk: Path) -> None:
    with pytest.raises(MisuseError, match=r"nowhere.toml: no such bench file"):
        read_matrix(desk / "nowhere.toml")
    (desk / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MisuseError, match=r"binary.toml: not TOML"):
        read_matrix(desk / "binary.toml")
    (desk / "huge.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(MisuseError, match=r"huge.toml: has 1048577 bytes, a bench file has at most 1048576"):
        read_matrix(desk / "huge.toml")


@pytest.mark.parametrize(
    ("systems", "told"),
    [
        (["tiny"], "--system tiny: has no =. Write NAME=KIND:WHAT; kinds are transformers, faster-whisper, onnx, http, command, hypotheses."),
        (["tiny="], "--system tiny=: has no text behind =. Write NAME=KIND:WHAT"),
        (["a=x", "a=y"], '1 systems have the name of another, the first is "a"; names must differ'),
        (["a/b=x"], "--system a/b: the name 'a/b' of a system holds '/'"),
        (["a=x,beam=many"], "--system a: beam is 'many', must be a whole number. Correct the value."),
        (["a=faster-whisper:x,vad=1"], "--system a: vad is '1', must be true or false. Correct the value."),
        (["a=x,beams=3"], '--system a: unknown key "beams"; a system of kind transformers has: kind, base'),
        (["a=x,5"], '--system a: "5" behind a comma is no key=value. Correct it, or use a bench file.'),
        ([], "no system: name one in"),
    ],
)
def test_mistakes_in_flags(systems: list[str], told: str, desk: Path) -> None:
    with pytest.raises(MisuseError, match=re.escape(told)):
        matrix_from_flags(systems, ["test.jsonl"])


def test_a_token_stands_in_no_setting() -> None:
    """Only the name of the variable that holds it."""
    names = {field.name for field in dataclasses.fields(HTTPSystem)}
    assert not names & {"token", "api_key", "key", "password"}
