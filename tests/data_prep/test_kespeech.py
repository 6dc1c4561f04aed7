"""KeSpeech: a miniature of the recognition task's lists, with planted defects."""

import re
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzz, places, spoil
from hypothesis import given
from hypothesis import strategies as st
from reruns import contents

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "kespeech")

FOLDERS = {"train_phase1": ("1001", "1002"), "train_phase2": ("1001",), "dev_phase1": ("1003",), "dev_phase2": ("1003",), "test": ("1004", "1005")}
DIALECTS = {"1001": "Ji-Lu", "1002": "Jiang-Huai", "1003": "Beijing", "1004": "Mandarin", "1005": "Zhongyuan"}
TEXTS = ("他的声音很小", "今天天气好")
LISTS = ("wav.scp", "text", "utt2spk", "utt2subdialect")


def build(root: Path, write_tone: Any) -> Path:
    """Five speakers with two utterances in each phase they read in; 1001 and 1003 read the same texts twice."""
    for folder, speakers in FOLDERS.items():
        lists: dict[str, list[str]] = {name: [] for name in LISTS}
        phase = "phase2" if folder.endswith("2") or folder == "test" else "phase1"
        for speaker in speakers:
            for number, text in enumerate(TEXTS):
                key = f"{speaker}_{phase[-1]}{number}"
                path = f"Audio/{speaker}/{phase}/{key}.wav"
                write_tone(root / path, 0.5, seed=int(speaker) * 100 + int(phase[-1]) * 10 + number)
                lists["wav.scp"].append(f"{key} {path}")
                lists["text"].append(f"{key}\t{text}{speaker if folder == 'test' else ''}")
                lists["utt2spk"].append(f"{key} {speaker}")
                lists["utt2subdialect"].append(f"{key} {DIALECTS[speaker]}")
        (root / "Tasks/ASR" / folder).mkdir(parents=True)
        for name, lines in lists.items():
            (root / "Tasks/ASR" / folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "Metadata").mkdir()
    (root / "Metadata/spk2gender").write_text("1001 Female\n1004 Male\n")
    (root / "Metadata/spk2age").write_text("1001 31\n")
    (root / "Metadata/spk2city").write_text("1001 Jinan\n")
    (root / "Metadata/phase1.utt2style").write_text("1001_10 dialect\n")
    return root


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    return build(tmp_path / "download/KeSpeech", write_tone)


def prepare(source: Path, out: Path, train: str = "both", **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(train=train))
    return report


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())


def test_rows_carry_everything_the_corpus_says_but_the_city(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped, report.repairs) == (14, 14, {}, {})
    u = next(u for u in Manifest.read(tmp_path / "out/train.jsonl") if u.id == "kespeech-1001_10")
    assert u.to_json() == {
        "audio_sha1": u.audio_sha1,
        "audio_filepath": "audio/kespeech-1001_10.flac",
        "duration": 0.5,
        "text": "他的声音很小",
        "id": "kespeech-1001_10",
        "text_raw": "他的声音很小",
        "speaker": "kespeech:1001",
        "gender": "female",
        "age": "31",
        "accent": "zh_ji_lu",
        "accent_raw": "Ji-Lu",
        "language": "zh",
        "split": "train",
        "meta": {"phase": "phase1", "style": "dialect"},
    }
    assert "Jinan" not in (tmp_path / "out/train.jsonl").read_text()
    assert sorted(report.accents) == ["zh_beijing", "zh_ji_lu", "zh_jiang_huai", "zh_mandarin", "zh_zhongyuan"]


def test_the_splits_are_the_official_ones(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert {name: (part["utterances"], part["speakers"]) for name, part in report.splits.items()} == {"train": (6, 2), "dev": (4, 1), "test": (4, 2)}
    assert all(pair["speakers"] == 0 for pair in report.overlap.values())
    assert report.overlap["train-dev"]["sentences"] == 2
    assert {u.meta["phase"] for u in Manifest.read(tmp_path / "out/test.jsonl")} == {"phase2"}  # from the recording's folder


def test_one_phase_can_be_chosen_for_training(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", "phase2", dry_run=True)
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 2, "dev": 2, "test": 4}
    assert "train_phase1 is not read: --set train=phase2" in report.notes
    with pytest.raises(MisuseError, match='train="1": must be one of both, phase1, phase2'):
        prepare(corpus, tmp_path / "out", "1")


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("<SPOKEN_NOISE>", ""),
        ("他的<SPOKEN_NOISE>声音", "他的声音"),
        (" <spoken_noise> 他 <SPOKEN_NOISE>", "他"),
        ("<UNK>他", "<UNK>他"),
        ("他的", "他的"),
    ],
)
def test_noise_is_taken_out(text: str, spoken: str) -> None:
    assert script.remove_noise(text) == spoken


def test_planted_defects_are_counted_and_test_losses_listed(corpus: Path, tmp_path: Path) -> None:
    tasks = corpus / "Tasks/ASR"
    edit(tasks / "test/text", "1004_20\t他的声音很小1004", "1004_20\t<SPOKEN_NOISE>")
    edit(tasks / "test/text", "1004_21\t今天", "1004_21 今天<SPOKEN_NOISE>")
    (corpus / "Audio/1005/phase2/1005_20.wav").unlink()
    (corpus / "Audio/1005/phase2/1005_21.wav").rename(corpus / "Audio/1005/phase2/1005_21.WAV")
    edit(tasks / "train_phase1/wav.scp", "1001_10 Audio/1001/phase1/1001_10.wav", "1001_10 touch pwned |")
    edit(tasks / "train_phase1/text", "1001_11\t今天天气好\n", "\r\n")
    edit(tasks / "train_phase1/utt2spk", "1002_10 1002\n", "")
    edit(tasks / "train_phase1/utt2subdialect", "1002_11 Jiang-Huai\n", "")
    edit(tasks / "train_phase2/text", "1001_20\t", "1001_20\t他\n1001_20\t")
    edit(tasks / "dev_phase2/wav.scp", "1003_20 ", "1003_29 ")
    (corpus / "Audio/1003/phase1/1003_10.wav").write_bytes(b"")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"empty": 1, "empty-text": 1, "missing": 1, "not-in-text": 2, "not-in-utt2spk": 1, "not-in-wav.scp": 1, "pipe": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 15
    assert report.repairs == {"<SPOKEN_NOISE> taken out of a text": 2, "text: key stands twice, the first line is kept": 1}
    assert [(drop.id, drop.reason) for drop in report.test_dropped] == [("kespeech-1005_20", "missing"), ("kespeech-1004_20", "empty-text")]
    assert not list(tmp_path.rglob("pwned"))
    test = {u.id: u for u in Manifest.read(tmp_path / "out/test.jsonl")}
    assert (test["kespeech-1004_21"].text, test["kespeech-1004_21"].text_raw) == ("今天天气好1004", "今天<SPOKEN_NOISE>天气好1004")
    assert [u.accent for u in Manifest.read(tmp_path / "out/train.jsonl") if u.id == "kespeech-1002_11"] == [None]


def test_paths_may_not_leave_the_corpus(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "secret.wav", 0.5)
    lists = corpus / "Tasks/ASR/train_phase1/wav.scp"
    edit(lists, "Audio/1001/phase1/1001_10.wav", "../../secret.wav")
    edit(lists, "Audio/1001/phase1/1001_11.wav", str(tmp_path / "secret.wav"))
    edit(lists, "Audio/1002/phase1/1002_10.wav", "n" * 300)
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"missing": 1, "outside-corpus": 2}
    assert '"../../secret.wav" leaves the folder of the corpus' in report.dropped_examples["outside-corpus"][0]


def test_what_stands_in_two_lists_belongs_to_test(corpus: Path, tmp_path: Path) -> None:
    for name in LISTS:
        line = next(line for line in (corpus / f"Tasks/ASR/test/{name}").read_text().splitlines() if line.startswith("1004_20"))
        with (corpus / f"Tasks/ASR/train_phase2/{name}").open("a") as file:
            file.write(f"{line}\n")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"duplicate-id": 1}
    assert report.splits["test"]["utterances"] == 4


def test_undecodable_lists_are_told(corpus: Path, tmp_path: Path) -> None:
    (corpus / "Tasks/ASR/test/text").write_bytes("1004_20 他的声音".encode("gb18030"))
    with pytest.raises(CorpusError, match=r"Tasks/ASR/test/text: cannot be read as UTF-8"):
        prepare(corpus, tmp_path / "out")


def test_the_parent_folder_is_accepted_and_another_is_not(corpus: Path, tmp_path: Path) -> None:
    (corpus.parent / "__MACOSX/Tasks/ASR/test").mkdir(parents=True)
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 14
    with pytest.raises(CorpusError, match=r"does not look like KeSpeech; looked for Tasks/ASR/test/wav\.scp and the like, found: 1001, 1002, "):
        prepare(corpus / "Audio", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")


def test_the_accent_map_comes_first(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", dry_run=True, accent_map={"ji-lu": "north", "jiang-huai": "south"})
    assert sorted(report.accents) == ["north", "south", "zh_beijing", "zh_mandarin", "zh_zhongyuan"]


def test_a_second_run_and_an_interrupted_one_give_the_same(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    before = contents(tmp_path / "out")
    assert prepare(corpus, tmp_path / "out").repairs == {"audio of an earlier run kept": 14}
    assert contents(tmp_path / "out") == before
    audio = sorted((tmp_path / "out/audio").iterdir())
    audio[0].unlink()
    audio[1].write_bytes(audio[1].read_bytes()[:300])
    (tmp_path / "out/train.jsonl").write_text('{"id": "cut o')
    prepare(corpus, tmp_path / "out")
    assert contents(tmp_path / "out") == before


lines = st.one_of(st.text(max_size=30), st.tuples(st.sampled_from(["u1", "u2", "good"]), st.text(max_size=12)).map(" ".join))
SPOILED = {
    "wav.scp": ("u1 Audio/s/phase1/u1.wav", "u2\tAudio/s/phase1/u1.wav", "u3 touch pwned |"),
    "text": ("u1 好", "u2 <SPOKEN_NOISE>", "u3 三", "u4 四"),
    "utt2spk": ("u1 s", "u2 s", "u3 s"),
    "utt2subdialect": ("u1 Beijing", "u2 Ji-Lu"),
}


def keys_in(data: bytes) -> list[str]:
    """The first word of every line that is not blank."""
    lines = (line.strip(" \t") for line in re.split("\r\n|\r|\n", data.decode("utf-8-sig")))
    return [re.split("[ \t]", line)[0] for line in lines if line]


@fuzz()
@given(
    odd=st.dictionaries(st.sampled_from(LISTS), st.lists(lines, max_size=3)),
    damage=st.dictionaries(st.sampled_from(LISTS), places, max_size=2),
)
def test_no_line_of_a_spoilt_list_is_lost(
    tmp_path: Path, write_tone: Any, odd: dict[str, list[str]], damage: dict[str, list[tuple[float, int, bytes | str]]]
) -> None:
    root = tmp_path / "fuzz"
    if not root.exists():
        for key in ("good", "u1"):
            write_tone(root / f"Audio/s/phase1/{key}.wav", 0.5, seed=len(key))
        good = {"wav.scp": "good Audio/s/phase1/good.wav", "text": "good 好", "utt2spk": "good s", "utt2subdialect": "good Beijing"}
        for folder in ("test", "dev_phase1"):
            (root / "Tasks/ASR" / folder).mkdir(parents=True)
            for name in LISTS:
                (root / "Tasks/ASR" / folder / name).write_text(good[name], encoding="utf-8")
    spoilt = {name: "\n".join([*SPOILED[name], *odd.get(name, [])]).encode("utf-8", "surrogatepass") for name in LISTS}
    spoilt = {name: spoil(data, damage.get(name, [])) for name, data in spoilt.items()}
    for name, data in spoilt.items():
        (root / "Tasks/ASR/test" / name).write_bytes(data)
    try:
        keys = {name: keys_in(data) for name, data in spoilt.items()}
    except UnicodeDecodeError:
        with pytest.raises(CorpusError, match=r"Tasks/ASR/test/(wav\.scp|text|utt2spk|utt2subdialect): cannot be read as UTF-8"):
            prepare(root, tmp_path / "fuzz-out", dry_run=True, allow_missing=True)
        return
    report = prepare(root, tmp_path / "fuzz-out", dry_run=True, allow_missing=True)
    assert report.kept >= 1
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 1 + len({*keys["wav.scp"], *keys["text"]})
    for name in LISTS:
        assert report.repairs.get(f"{name}: key stands twice, the first line is kept", 0) == len(keys[name]) - len(set(keys[name]))
