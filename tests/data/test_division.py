"""Division: a prepared folder divided again; what is written works like a prepared folder, and nothing that is not ours is touched."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from speechadapt.data.division import DivideOptions, divide_again
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError, MisuseError, SpeechadaptError

ACCENTS = ("en_ireland", "en_scotland", "en_south_asia", "en_wales")


def make_rows(prompts: int = 5) -> list[Utterance]:
    return [
        Utterance(
            id=f"mini-s{s:02d}-{n}",
            audio_filepath=f"audio/s{s:02d}-{n}.flac",
            duration=2.0,
            text=f"prompt {n} of {s}",
            speaker=f"mini:s{s:02d}",
            accent=ACCENTS[s % 4],
            audio_sha1=f"{s:02d}{n:02d}",
        )
        for s in range(12)
        for n in range(prompts)
    ]


def write(folder: Path, rows: list[Utterance], name: str = "all") -> Path:
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for u in rows:
        (folder / u.audio_filepath).touch()
    Manifest(rows, folder=folder).write(folder / f"{name}.jsonl")
    (folder / "corpus.json").write_text(json.dumps({"name": "mini", "title": "Mini", "license": "CC0", "commercial_use": "yes"}))
    (folder / "prep_report.json").write_text("{}")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "mine", make_rows())


def divide(data: Path, out: Path, rule: str, *, lists: Path | None = None, strict: bool = False, **options: Any) -> dict[str, Any]:
    return divide_again(data, out, DivideOptions(rule=rule, **options), lists=lists, strict=strict)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "split_report.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_division_names_the_audio_where_it_lies_and_keeps_the_terms(data: Path, tmp_path: Path) -> None:
    before = contents(data)
    report = divide(data, tmp_path / "out", "speaker", seed=7)
    assert contents(data) == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "corpus.json", "dev.jsonl", "split_report.json", "splits", "test.jsonl", "train.jsonl",
    ]  # fmt: skip
    about = json.loads((tmp_path / "out/corpus.json").read_text())
    assert about == {
        "name": "mini", "title": "Mini", "license": "CC0", "commercial_use": "yes",
        "manifests": ["train.jsonl", "dev.jsonl", "test.jsonl"], "audio_roots": [str(data.resolve())],
    }  # fmt: skip
    parts = {name: Manifest.read(tmp_path / f"out/{name}.jsonl") for name in ("train", "dev", "test")}
    assert all(part.audio_path(u).is_file() for part in parts.values() for u in part)
    assert sorted(u.id for part in parts.values() for u in part) == sorted(u.id for u in make_rows())
    (described,) = report["divisions"]
    assert described["parts"]["test"] == {"utterances": 20, "hours": 0.011111, "speakers": 4}
    assert described["coverage"]["en_wales"]["train"]["speakers"] == 1
    assert {what: described["overlap"]["train-test"][what] for what in ("speakers", "recordings", "sentences", "audio", "ids")} == {
        "speakers": 0, "recordings": 0, "sentences": 0, "audio": 0, "ids": 0,
    }  # fmt: skip
    assert (report["rule"], report["seed"], report["rows"]) == ("speaker", 7, 60)
    assert json.loads((tmp_path / "out/split_report.json").read_text()) == report
    lists = json.loads((tmp_path / "out/splits/split.json").read_text())
    assert lists["corpus"] == {"name": "mini", "title": "Mini", "license": "CC0"}
    assert (lists["rule"], lists["seed"], lists["test_share"], lists["few_speakers"]) == ("speaker", 7, 0.1, "train")


def test_the_same_seed_gives_the_same_files_and_lists_repeat_them(data: Path, tmp_path: Path) -> None:
    for rule in ("speaker+sentence", "k-fold"):
        first = tmp_path / f"first-{rule}"
        divide(data, first, rule, seed=7)
        divide(data, tmp_path / f"same-{rule}", rule, seed=7)
        divide(data, tmp_path / f"other-{rule}", rule, seed=8)
        report = divide(data, tmp_path / f"lists-{rule}", str(first / "splits"))
        made = contents(first)
        assert contents(tmp_path / f"same-{rule}") == made
        assert contents(tmp_path / f"lists-{rule}") == made
        assert contents(tmp_path / f"other-{rule}") != made
        for one in report["divisions"]:
            assert one["notes"][-1] == "ids, times and texts of every part are those the lists were made of"


def test_one_fold_can_be_repeated_alone(data: Path, tmp_path: Path) -> None:
    divide(data, tmp_path / "folds", "leave-one-accent-out")
    divide(data, tmp_path / "one", str(tmp_path / "folds/splits/en_wales"))
    there = contents(tmp_path / "folds/folds/en_wales")
    assert {name: content for name, content in contents(tmp_path / "one").items() if "/" not in name} == there


def test_folds_are_folders_like_prepared_ones(data: Path, tmp_path: Path) -> None:
    report = divide(data, tmp_path / "out", "leave-one-speaker-out", dev_share=0.2)
    names = [f"s{s:02d}" for s in range(12)]
    assert [one["name"] for one in report["divisions"]] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["folds", "split_report.json", "splits"]
    assert sorted(path.name for path in (tmp_path / "out/folds").iterdir()) == names
    for one in report["divisions"]:
        folder = tmp_path / "out" / one["folder"]
        assert sorted(path.name for path in folder.iterdir()) == ["corpus.json", "dev.jsonl", "test.jsonl", "train.jsonl"]
        test = Manifest.read(folder / "test.jsonl")
        assert test.speakers == tuple(one["held_out"])
        assert all(test.audio_path(u).is_file() for u in test)
        lists = tmp_path / "out/splits" / one["name"]
        assert (lists / "test.txt").read_text().split() == [u.id for u in test]
        assert json.loads((lists / "split.json").read_text())["held_out"] == one["held_out"]


def test_parts_are_joined_before_they_are_divided_again(data: Path, tmp_path: Path) -> None:
    rows = make_rows()
    (data / "all.jsonl").unlink()
    for name, part in (("train", rows[:30]), ("dev", rows[30:40]), ("test", rows[40:])):
        write(data, [dataclasses.replace(u, split=name) for u in part], name)
    report = divide(data, tmp_path / "out", "speaker")
    assert report["rows"] == 60
    assert divide(data / "train.jsonl", tmp_path / "part", "speaker")["rows"] == 30  # one manifest alone


def test_a_division_can_be_divided_again(data: Path, tmp_path: Path) -> None:
    divide(data, tmp_path / "one", "speaker", seed=1)
    divide(tmp_path / "one", tmp_path / "two", "speaker", seed=7)
    divide(data, tmp_path / "direct", "speaker", seed=7)
    two, direct = (Manifest.read(tmp_path / name / "test.jsonl") for name in ("two", "direct"))
    assert {u.id for u in two} == {u.id for u in direct}
    assert [two.audio_path(u) for u in two] == [data.resolve() / f"audio/{u.id.removeprefix('mini-')}.flac" for u in two]


def test_another_rule_leaves_nothing_of_the_one_before(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    divide(data, tmp_path / "fresh-folds", "k-fold", folds=3)
    divide(data, tmp_path / "fresh", "speaker")
    for rule, options, fresh in (("speaker", {}, "fresh"), ("k-fold", {"folds": 3}, "fresh-folds"), ("speaker", {}, "fresh")):
        divide(data, out, rule, **options)
        assert contents(out) == contents(tmp_path / fresh)


def test_lists_may_go_elsewhere(data: Path, tmp_path: Path) -> None:
    report = divide(data, tmp_path / "out", "k-fold", lists=tmp_path / "shared")
    assert report["lists"] == str(tmp_path / "shared")
    assert not (tmp_path / "out/splits").exists()
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == [f"fold-{n}" for n in range(1, 6)]


def test_equal_samples_stand_in_one_part_only(data: Path, tmp_path: Path) -> None:
    divide(data, tmp_path / "out", "speaker")
    train, test = (Manifest.read(tmp_path / f"out/{name}.jsonl")[0].id for name in ("train", "test"))
    write(data, [dataclasses.replace(u, audio_sha1="ff") if u.id in (train, test) else u for u in make_rows()])
    (described,) = divide(data, tmp_path / "again", "speaker", strict=True)["divisions"]
    assert described["left_out"] == {"repeated-audio": 1}
    assert train not in (tmp_path / "again/splits/train.txt").read_text().split()
    assert test in (tmp_path / "again/splits/test.txt").read_text().split()


def test_rows_too_short_or_too_long_leave_train_and_dev_and_never_test(data: Path, tmp_path: Path) -> None:
    seconds = {"mini-s00-0": 0.2, "mini-s01-0": 31.0}
    write(data, [dataclasses.replace(u, duration=seconds.get(u.id, u.duration)) for u in make_rows()])
    for one in divide(data, tmp_path / "out", "leave-one-speaker-out")["divisions"]:
        tested = {"mini:s00": "too-short", "mini:s01": "too-long"}.get(one["held_out"][0])
        assert one["left_out"] == {reason: 1 for reason in ("too-short", "too-long") if reason != tested}
        assert one["parts"]["test"]["utterances"] == 5
    (one,) = divide(data, tmp_path / "wide", "speaker", min_duration=0.1, max_duration=40.0)["divisions"]
    assert one["left_out"] == {}


def test_strict_names_both_ids_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    write(data, [dataclasses.replace(u, text=f"prompt {u.id[-1]}") for u in make_rows()])
    for rule in ("speaker", "leave-one-speaker-out"):
        with pytest.raises(ManifestError) as caught:
            divide(data, tmp_path / "out", rule, strict=True)
        told = str(caught.value)
        assert 'train and test share 5 sentences: "mini-s' in told
        assert '(train) and "mini-s' in told
        assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert "fold s00: " in told
    divide(data, tmp_path / "out", "leave-one-speaker-out", disjoint_sentences=True, strict=True)


def test_lists_are_repeated_and_not_improved_but_strict_refuses_them(data: Path, tmp_path: Path) -> None:
    lists = tmp_path / "theirs"
    lists.mkdir()
    (lists / "train.txt").write_text("mini-s00-0\nmini-s01-0\nmini-s09-77\n")
    (lists / "test.txt").write_text("mini-s00-1\n")
    (described,) = divide(data, tmp_path / "out", str(lists))["divisions"]
    assert described["overlap"]["train-test"]["speakers"] == 1
    assert described["left_out"] == {"not-listed": 57}
    assert any('train.txt: 1 of 3 ids is not in the corpus: "mini-s09-77"' in note for note in described["notes"])
    told = r'train and test share 1 speakers: "mini-s00-0" \(train\) and "mini-s00-1" \(test\) share a speaker'
    with pytest.raises(ManifestError, match=told):
        divide(data, tmp_path / "strict", str(lists), strict=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"rule": "random"},
            r'--rule "random": must be one of speaker, speaker\+sentence, leave-one-speaker-out, leave-one-accent-out, k-fold, or a',
        ),
        ({"rule": "speaker", "folds": 3}, r'--folds 3: belongs to --rule k-fold, the rule is "speaker"'),
        ({"rule": "speaker", "disjoint_sentences": True}, r'--disjoint-sentences: belongs to folds, the rule is "speaker"'),
        ({"rule": "speaker", "test_share": 0.0}, "dev share 0.1 and test share 0 must both be above 0"),
        ({"rule": "speaker", "min_duration": 30.0}, "shortest duration 30 s is not below the longest, 30 s"),
        ({"rule": "speaker", "few_speakers": "dev"}, '--few-speakers "dev": must be one of train, test'),
    ],
)
def test_options_outside_their_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        DivideOptions(**options)


def test_nothing_that_is_not_ours_is_overwritten(data: Path, tmp_path: Path) -> None:
    def refused(out: Path, message: str, lists: Path | None = None) -> None:
        before = contents(tmp_path)
        with pytest.raises(MisuseError, match=message):
            divide(data, out, "speaker", lists=lists)
        assert contents(tmp_path) == before

    refused(data, "mine: holds the data that is to be divided")
    refused(write(tmp_path / "prepared", make_rows()), r"prepared: holds a prepared corpus \(prep_report\.json is there\)")
    refused(data / "all.jsonl", "all.jsonl: a file, expected a folder")
    for name in ("train.jsonl", "corpus.json", "folds"):
        (tmp_path / f"with-{name}").mkdir()
        (tmp_path / f"with-{name}" / name).write_text("mine")
        refused(tmp_path / f"with-{name}", rf"with-{name}/{name}: was not made by speechadapt split")
    refused(tmp_path / "out", "all.jsonl: a file, expected a folder for the split lists", data / "all.jsonl")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.txt").write_text("mine")
    refused(tmp_path / "out", r"lists: holds split lists that were not made by speechadapt \(split\.json is missing\)", tmp_path / "lists")
    divide(data, tmp_path / "out", "speaker")
    (data / "corpus.json").write_text('{"name": "other"}')
    refused(tmp_path / "out", 'out: holds a division of "mini", not of "other"')


def test_lists_of_another_division_are_not_overwritten(data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    divide(data, tmp_path / "first", "speaker", seed=3, lists=kept / "speaker")
    before = contents(kept)
    for lists in (kept / "speaker", kept):  # the second would have removed what lies below it
        with pytest.raises(MisuseError, match=r"kept/speaker: holds the split lists of another division \(speaker, seed 3\), which would be lost"):
            divide(data, tmp_path / "second", "speaker", seed=4, lists=lists)
    assert contents(kept) == before
    assert not (tmp_path / "second").exists()
    divide(data, tmp_path / "second", "speaker", seed=3, lists=kept / "speaker")  # the same division: the same lists
    assert contents(kept) == before
    divide(data, tmp_path / "first", "speaker", seed=4, lists=kept / "speaker")  # replaced with what they were written for
    assert contents(kept) != before


def test_json_that_is_no_object_is_told(data: Path, tmp_path: Path) -> None:
    divide(data, tmp_path / "out", "speaker")
    (tmp_path / "out/split_report.json").write_text("[]")
    with pytest.raises(SpeechadaptError, match=r"split_report\.json: list, expected one JSON object"):
        divide(data, tmp_path / "out", "speaker")
    (data / "corpus.json").write_text('["mini"]')
    with pytest.raises(SpeechadaptError, match=r"corpus\.json: list, expected one JSON object"):
        divide(data, tmp_path / "new", "speaker")


def test_data_that_cannot_be_divided(data: Path, tmp_path: Path) -> None:
    cases: list[tuple[Path, str]] = [
        (tmp_path / "none", "none: no such manifest"),
        (tmp_path, r"no all\.jsonl, train\.jsonl, dev\.jsonl or test\.jsonl in it"),
    ]
    for path, message in cases:
        with pytest.raises(SpeechadaptError, match=message):
            divide(path, tmp_path / "out", "speaker")
    rows = make_rows()
    write(data, [dataclasses.replace(rows[0], audio_filepath="../outside.flac"), *rows[1:]])
    with pytest.raises(ManifestError, match=r'audio_filepath "\.\./outside\.flac" leaves the folder of its manifest'):
        divide(data, tmp_path / "out", "speaker")
    write(data, [dataclasses.replace(u, speaker=None) for u in rows])
    with pytest.raises(ManifestError, match='manifest "mini": none of its 60 rows names a speaker'):
        divide(data, tmp_path / "out", "speaker")
    assert not (tmp_path / "out").exists()
