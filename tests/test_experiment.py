"""The steps of an experiment before any model: sets read, named and freed of leaks."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError, MisuseError, TrainingError
from speechadapt.experiment import AdaptJob, language_of, make_synthetic, read_sets, score_short
from speechadapt.models.load import load_model
from speechadapt.runs import Run


def row(key: str, text: str, speaker: str) -> Utterance:
    return Utterance(id=key, audio_filepath=f"{key}.flac", duration=2.0, text=text, speaker=speaker, language="en")


TRAIN = (row("t1", "one cold morning", "ann"), row("t2", "the boat came in", "ann"), row("t3", "he sold the red chair", "bob"))
DEV = (row("d1", "many birds sang", "cat"), row("d2", "close the window please", "cat"))
TEST = (row("e1", "nothing was left", "dan"), row("e2", "it rained all day", "eve"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    for split, rows in (("train", TRAIN), ("dev", DEV), ("test", TEST)):
        write(folder / f"{split}.jsonl", *rows)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "run").mkdir()
    return Run(folder=tmp_path / "run")


def write(path: Path, *rows: Utterance) -> Path:
    Manifest(rows, folder=path.parent).write(path)
    return path


def test_nothing_is_dropped_where_nothing_is_shared(data: Path, run: Run) -> None:
    sets = read_sets(run, data, make_guard=False)
    assert ([u.id for u in sets.train], [u.id for u in sets.dev]) == (["t1", "t2", "t3"], ["d1", "d2"])
    assert [(one.name, one.role, len(one.manifest)) for one in sets.scored] == [("test", "test", 2)]


def test_rows_that_share_a_speaker_or_sentence_go_and_are_named(data: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    guard = write(data / "guard.jsonl", row("g1", "Close the window, please!", "fay"), row("g2", "something else", "bob"))
    sets = read_sets(run, data, guards=[guard])
    assert [u.id for u in sets.train] == ["t1", "t2"]
    assert [u.id for u in sets.dev] == ["d1"]
    assert [len(one.manifest) for one in sets.scored] == [2, 2]  # test and guard rows are never touched
    leaks = json.loads(run.leaks.read_text())
    assert leaks["train"]["ids_by_cause"] == {"speaker": ["t3"], "recording": [], "sentence": [], "audio": []}
    assert leaks["dev"]["ids_by_cause"] == {"speaker": [], "recording": [], "sentence": ["d2"], "audio": []}
    err = capsys.readouterr().err
    assert "train: 1 of 3 rows dropped because they share something with test, guard: 1 by speaker" in err
    assert "dev: 1 of 2 rows dropped because they share something with test, guard: 1 by sentence" in err


def test_replay_is_trained_on_without_what_it_shares_with_test_and_guard(data: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    guard = write(data / "guard.jsonl", row("g1", "the kettle boils", "fay"))
    replay = write(
        data.parent / "standard" / "train.jsonl", row("r1", "a dog barked", "gus"), row("r2", "the kettle boils", "gus"), row("r3", "go", "eve")
    )
    sets = read_sets(run, data, guards=[guard], replay=[replay])
    assert [u.id for u in sets.train] == ["t1", "t2", "t3", "r1"]
    assert [sets.train.audio_path(u) for u in sets.train][2:] == [data / "t3.flac", data.parent / "standard" / "r1.flac"]
    assert [u.id for u in sets.dev] == ["d1", "d2"]
    assert json.loads(run.leaks.read_text())["train"]["ids_by_cause"] == {"speaker": ["r3"], "recording": [], "sentence": ["r2"], "audio": []}
    assert "train: 3 utterances of the corpus and 3 of replay" in capsys.readouterr().err
    assert len(sets.replayed) == 3
    read_sets(run, data, guards=[guard], replay=[data / "dev.jsonl"])  # dev chooses the checkpoint
    assert "dev.jsonl: 2 of 2 rows dropped because they share something with dev" in capsys.readouterr().err
    with pytest.raises(ManifestError, match=r"none\.jsonl: no such manifest"):
        read_sets(run, data, guards=[guard], replay=[data / "none.jsonl"])


def test_the_corpora_of_train_and_replay_are_known_and_what_was_dropped_whole_is_not(
    data: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    replay = write(data.parent / "standard/train.jsonl", row("r1", "a dog barked", "gus"))
    again = write(data.parent / "again/dev.jsonl", row("r2", "so they say", "hal"))
    leaking = write(data.parent / "leaking/train.jsonl", row("r3", "go", "eve"))
    for folder, name in ((data, "mine"), (replay.parent, "librispeech"), (leaking.parent, "timit")):
        (folder / "corpus.json").write_text(json.dumps({"name": name, "license": "CC BY 4.0", "commercial_use": "yes"}))
    sets = read_sets(run, data, replay=[replay, again, leaking], make_guard=False)
    assert [record.name for record in sets.corpora] == ["mine", "librispeech", ""]
    err = capsys.readouterr().err
    assert "training data: mine: license CC BY 4.0; commercial use: yes\n" in err
    assert "training data: Attribution: the license asks to name librispeech and its owners wherever this is passed on.\n" in err
    assert "training data: a folder without corpus.json: the license of its data is unknown\n" in err
    (data / "corpus.json").write_text("[]")
    with pytest.raises(ManifestError, match=r"mine/corpus\.json: list, expected one JSON object"):
        read_sets(run, data, make_guard=False)


def test_strict_refuses_instead(data: Path, run: Run) -> None:
    guard = write(data / "guard.jsonl", row("g2", "something else", "bob"))
    with pytest.raises(ManifestError, match=r"train: 1 of 3 rows share a speaker, recording or sentence with test, guard; .*leaks\.json names them"):
        read_sets(run, data, guards=[guard], strict=True)


def test_nothing_left_to_train_on(data: Path, run: Run) -> None:
    guard = write(data / "guard.jsonl", row("g1", "a", "ann"), row("g2", "b", "bob"))
    with pytest.raises(TrainingError, match=r"train: none of its 3 rows is left"):
        read_sets(run, data, guards=[guard])


def test_sets_are_named_by_stem_and_by_folder_where_stems_repeat(data: Path, run: Run, tmp_path: Path) -> None:
    other = write(tmp_path / "british" / "test.jsonl", row("b1", "quite another line", "gus"))
    third = write(tmp_path / "calls" / "all.jsonl", row("c1", "hello is anyone there", "hal"))
    sets = read_sets(run, data, tests=[data / "test.jsonl"], guards=[other, third])
    assert [(one.name, one.role) for one in sets.scored] == [("mine/test", "test"), ("british/test", "guard"), ("all", "guard")]
    deep = write(tmp_path / "old" / "british" / "test.jsonl", row("o1", "yet another line", "ian"))
    sets = read_sets(run, data, guards=[other, deep])
    assert [one.name for one in sets.scored] == ["mine/test", f"{tmp_path.name}/british/test", "old/british/test"]


def test_a_set_given_twice_is_refused(data: Path, run: Run) -> None:
    with pytest.raises(MisuseError, match=r"mine/test\.jsonl: given twice as a test or guard set\."):
        read_sets(run, data, guards=[data / ".." / "mine" / "test.jsonl"])


def test_no_guard_is_made_for_other_languages(data: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write(data / "train.jsonl", *(dataclasses.replace(u, language="de") for u in TRAIN))
    assert len(read_sets(run, data).scored) == 1
    assert "no guard set: none was given, and none can be made for de." in capsys.readouterr().err


def test_the_language_of_a_manifest_is_what_all_rows_say() -> None:
    assert language_of(Manifest(TRAIN, folder=Path())) == "en"
    assert language_of(Manifest([*TRAIN, dataclasses.replace(DEV[0], language="de")], folder=Path())) is None


def test_standard_english_stands_in_for_a_guard_and_shares_nothing(data: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("hibari", reason="the synthetic voice is not installed")
    guard = make_synthetic(run, "standard", test=(2, 1))
    assert len(Manifest.read(guard / "test.jsonl").speakers) == 2
    before = (guard / "prep_report.json").stat().st_mtime_ns
    assert make_synthetic(run, "standard", test=(2, 1)) == guard
    assert (guard / "prep_report.json").stat().st_mtime_ns == before
    assert "synthetic standard: kept from the earlier start" in capsys.readouterr().err
    with pytest.raises(MisuseError, match=r"the size of test is \(3,\), must be two numbers"):
        make_synthetic(run, "german", test=(3,))


def test_another_synthetic_corpus_lies_beside_the_english_one(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("espeakng_loader", reason="the synthetic voice is not installed")
    data = make_synthetic(run, "standard", corpus="synthetic_georgian", test=(2, 1))
    assert data == run.folder / "data" / "georgian"
    assert language_of(Manifest.read(data / "test.jsonl")) == "ka"
    assert make_synthetic(run, "standard", corpus="synthetic_georgian", test=(2, 1)) == data
    assert "synthetic georgian: kept from the earlier start" in capsys.readouterr().err
    with pytest.raises(MisuseError, match='no data_prep script is called "synthetic_klingon"'):
        make_synthetic(run, "standard", corpus="synthetic_klingon", test=(2, 1))


def test_the_short_window_is_scored_where_there_is_one(data: Path, run: Run, ctc_folder: Callable[[str], Path]) -> None:
    sets = read_sets(run, data, make_guard=False)
    assert score_short(run, load_model(str(ctc_folder("wav2vec2-group")), device="cpu"), sets) is None
    assert not (run.folder / "reports").exists()


def test_a_personal_adapter_is_tested_on_the_voice_it_is_trained_on(data: Path, run: Run) -> None:
    rows = {
        "train": ("one cold morning", "he sold the red chair"),
        "dev": ("many birds sang",),
        "test": ("it rained all day", "He sold the red chair!"),
    }
    for split, texts in rows.items():
        write(data / f"{split}.jsonl", *(row(f"{split}{number}", text, "ann") for number, text in enumerate(texts)))
    with pytest.raises(
        TrainingError, match=r"train: none of its 2 rows is left, .*If the adapter is for these voices only, say so with --personal\."
    ):
        read_sets(run, data, make_guard=False)
    sets = read_sets(run, data, make_guard=False, personal=True)
    assert [u.id for u in sets.train] == ["train0"]  # a sentence of the test set is no less a leak
    assert [u.id for u in sets.dev] == ["dev0"]
    leaks = json.loads(run.leaks.read_text())
    assert leaks["train"]["ids_by_cause"] == {"speaker": [], "recording": [], "sentence": ["train1"], "audio": []}


def test_a_personal_adapter_still_keeps_away_from_the_speakers_of_guards(data: Path, run: Run) -> None:
    guard = write(data / "guard.jsonl", row("g1", "something else", "ann"))
    sets = read_sets(run, data, guards=[guard], personal=True)
    assert [u.id for u in sets.train] == ["t3"]
    everyone = write(data / "guard.jsonl", row("g1", "something else", "ann"), row("g2", "and more", "bob"))
    with pytest.raises(TrainingError, match=r"other speakers and other sentences\.$"):
        read_sets(run, data, guards=[everyone], personal=True)


def test_settings_of_a_run_without_personal_are_what_they_were() -> None:
    assert "personal" not in AdaptJob(base="b", data=Path("d")).to_json()
    assert AdaptJob(base="b", data=Path("d"), personal=True).to_json()["personal"] is True
