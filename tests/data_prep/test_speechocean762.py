"""speechocean762: a miniature of the published layout with its own oddities and some planted ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzz, places, spoil
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.audio.waveform import read_info
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError
from speechadapt.preparation import PrepareOptions, PrepReport
from speechadapt.preparation.intake import Intake
from speechadapt.preparation.lists import parse_line, read_list

script: Any = load_bundled("data_prep", "speechocean762")

SPEAKERS = {"train": ("0001", "0003", "0005", "0007", "0011"), "test": ("0002", "0004")}
WORDS = ["ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE", "TEN"]


def build(root: Path, write_tone: Any) -> Path:
    """Five train and two test speakers with four lines each; tabs in some lists, blanks in others, as published."""
    for split, speakers in SPEAKERS.items():
        lists: dict[str, list[str]] = {name: [] for name in ("wav.scp", "text", "utt2spk", "spk2gender", "spk2age")}
        for place, speaker in enumerate(speakers):
            lists["spk2gender"].append(f"{speaker}\t{'mf'[place % 2]}")
            lists["spk2age"].append(f"{speaker}\t{(6, 15, 16, 37, 43)[place]}")
            for line in range(4):
                key = f"0{speaker}{line:04d}"
                text = f"WE SAY {WORDS[line]} {WORDS[place]} {'I HOPE' if split == 'train' else 'I BELIEVE'}"
                lists["text"].append(f"{key}\t{text}")
                lists["wav.scp"].append(f"{key}\tWAVE/SPEAKER{speaker}/{key}.WAV")
                lists["utt2spk"].append(f"{key} {speaker}")
                write_tone(root / f"WAVE/SPEAKER{speaker}/{key}.WAV", 0.6 + 0.1 * line, seed=int(key))
        (root / split).mkdir(exist_ok=True)
        for name, lines in lists.items():
            (root / split / name).write_text("\n".join(lines) + "\n")
    for number in range(3):
        write_tone(root / f"WAVE/SPEAKER9600/09600000{number}.WAV", 0.5, seed=number)
    return root


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    (tmp_path / "speechocean762").mkdir()
    return build(tmp_path / "speechocean762", write_tone)


def prepare(corpus: Path, out: Path, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(corpus, out, PrepareOptions(**options))
    return report


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_rows_become_utterances_with_everything_the_corpus_says(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped, report.facts) == (28, 28, {}, {"orphan_recordings": 3})
    rows = {u.id: u for name in ("train", "dev", "test") for u in Manifest.read(tmp_path / f"out/{name}.jsonl")}
    u = rows["speechocean762-000010000"]
    assert u.text == "We say one one I hope."
    assert u.text_raw == "WE SAY ONE ONE I HOPE"
    assert (u.speaker, u.gender, u.age, u.l1) == ("speechocean762:0001", "male", "6", "mandarin")
    assert (u.accent, u.accent_raw, u.language) == ("en_l2_mandarin", "Mandarin", "en")
    assert u.duration == pytest.approx(0.6)
    assert u.audio_filepath == "audio/speechocean762-000010000.flac"
    info = read_info(tmp_path / "out" / u.audio_filepath)
    assert (info.sampling_rate, info.channels, info.format) == (16_000, 1, "FLAC")
    children = {u.speaker for u in rows.values() if u.meta.get("child")}
    assert children == {"speechocean762:0001", "speechocean762:0003", "speechocean762:0002", "speechocean762:0004"}  # 15 and younger


def test_dev_is_carved_out_of_train_by_speaker_and_test_is_as_published(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    parts = {name: Manifest.read(tmp_path / f"out/{name}.jsonl") for name in ("train", "dev", "test")}
    assert parts["test"].speakers == ("speechocean762:0002", "speechocean762:0004")
    assert len(parts["dev"].speakers) == 1
    assert len(parts["train"].speakers) == 4
    assert {u.split for u in parts["dev"]} == {"dev"}
    assert report.splits["dev"] == {"utterances": 4, "hours": round(3.0 / 3600, 6), "speakers": 1, "children": report.splits["dev"]["children"]}
    assert report.manifests == ("train.jsonl", "dev.jsonl", "test.jsonl")
    assert json.loads((tmp_path / "out/prep_report.json").read_text())["corpus"]["license"] == "CC BY 4.0 (per OpenSLR; sources disagree)"


CASES = [("lower", "we say one one i hope"), ("keep", "WE SAY ONE ONE I HOPE"), ("sentence", "We say one one I hope.")]


@pytest.mark.parametrize(("case", "text"), CASES)
def test_the_case_is_chosen(corpus: Path, tmp_path: Path, case: str, text: str) -> None:
    prepare(corpus, tmp_path / "out", case=case)
    rows = {u.id: u.text for name in ("train", "dev") for u in Manifest.read(tmp_path / f"out/{name}.jsonl")}
    assert rows["speechocean762-000010000"] == text


def test_the_parent_folder_is_accepted_and_another_is_not(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 28
    with pytest.raises(CorpusError, match=r"does not look like speechocean762; looked for train/wav\.scp and test/wav\.scp, found: SPEAKER0001"):
        prepare(corpus / "WAVE", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")


def test_planted_defects_are_counted_and_test_losses_listed(corpus: Path, tmp_path: Path) -> None:
    (corpus / "WAVE/SPEAKER0001/000010001.WAV").unlink()
    (corpus / "WAVE/SPEAKER0002/000020001.WAV").write_bytes(b"")
    (corpus / "WAVE/SPEAKER0003/000030001.WAV").write_text("text behind the name of a recording")
    edit(corpus / "test/text", "000020002\tWE SAY THREE ONE I BELIEVE", "000020002\t")
    edit(corpus / "train/utt2spk", "000050000 0005\n", "")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"empty": 1, "empty-text": 1, "missing": 1, "not-audio": 1, "not-in-utt2spk": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 28
    assert [(drop.id, drop.reason) for drop in report.test_dropped] == [
        ("speechocean762-000020002", "empty-text"),
        ("speechocean762-000020001", "empty"),
    ]
    assert report.dropped_examples["missing"][0].startswith('row "000010001" (train/wav.scp): no file "WAVE/SPEAKER0001/000010001.WAV" under ')
    assert not (tmp_path / "out/audio/speechocean762-000030001.flac").exists()


def test_a_sentence_in_both_splits_is_reported_and_test_keeps_it(corpus: Path, tmp_path: Path) -> None:
    edit(corpus / "test/text", "000020001\tWE SAY TWO ONE I BELIEVE", "000020001\tWE SAY TEN TEN AGAIN")
    for speaker in SPEAKERS["train"]:  # whoever is carved out for dev, train has it
        edit(corpus / "train/text", f"0{speaker}0003\t", f"0{speaker}0003\tWE SAY TEN TEN AGAIN\n0{speaker}9999\t")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"not-in-wav.scp": 5}
    assert report.overlap["train-test"]["sentences"] == 1
    assert report.overlap["train-test"]["train_rows_with_shared_sentence"] == 4
    assert report.overlap["train-test"]["test_rows_with_shared_sentence"] == 1
    assert report.overlap["train-test"]["speakers"] == 0
    with pytest.raises(CorpusError, match=r"--strict refuses this corpus: 5 rows dropped as not-in-wav\.scp; .*train and test share 1 sentences"):
        prepare(corpus, tmp_path / "strict", strict=True)
    assert sorted(path.name for path in (tmp_path / "strict").iterdir()) == [".prepare", "audio", "prep_report.json"]


def test_scores_choose_train_rows_and_never_test_rows(corpus: Path, tmp_path: Path) -> None:
    (corpus / "resource").mkdir()
    scores = {f"0{speaker}{line:04d}": {"accuracy": 10 - 3 * line} for speakers in SPEAKERS.values() for speaker in speakers for line in range(4)}
    (corpus / "resource/scores.json").write_text(json.dumps(scores))
    report = script.prepare(corpus, tmp_path / "out", PrepareOptions(), script.Settings(min_accuracy=5))
    assert report.dropped == {"low-accuracy": 10}
    assert report.splits["test"]["utterances"] == 8
    assert Manifest.read(tmp_path / "out/test.jsonl")[3].meta["accuracy"] == 1
    (corpus / "resource/scores.json").unlink()
    with pytest.raises(CorpusError, match=r"no scores\.json in it or in resource/, so min_accuracy cannot be applied"):
        script.prepare(corpus, tmp_path / "out", PrepareOptions(), script.Settings(min_accuracy=5))


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("000010011\tWE CALL IT BEAR", ("000010011", "WE CALL IT BEAR")),
        ("000010011 0001", ("000010011", "0001")),
        ("000010011\tIT'S\tTWO", ("000010011", "IT'S\tTWO")),
        ("000010011\t", ("000010011", "")),
    ],
)
def test_lines_are_split_at_the_first_blank_or_tab(line: str, parsed: tuple[str, str]) -> None:
    assert parse_line(line) == parsed


def test_a_key_that_stands_twice_and_undecodable_lists_are_told(corpus: Path, tmp_path: Path) -> None:
    path = corpus / "train/text"
    path.write_text(path.read_text() + "000010000\tANOTHER TEXT\n")
    report = prepare(corpus, tmp_path / "out", dry_run=True)
    assert (report.kept, report.repairs) == (28, {"text: key stands twice, the first line is kept": 1})
    path.write_bytes(path.read_bytes() + b"\xff\xfe")
    with pytest.raises(CorpusError, match=r"train/text: cannot be read as UTF-8"):
        prepare(corpus, tmp_path / "out", dry_run=True)


@pytest.mark.parametrize("content", ['["000010000"]', '{"000010000": 8}'])
def test_scores_of_another_shape_are_refused(corpus: Path, tmp_path: Path, content: str) -> None:
    (corpus / "scores.json").write_text(content)
    with pytest.raises(CorpusError, match=r"scores\.json: not the scores of this corpus, which are one JSON object with an object for each"):
        prepare(corpus, tmp_path / "out")


@fuzz()
@given(name=st.sampled_from(["wav.scp", "text", "utt2spk", "spk2gender", "spk2age"]), damage=places)
def test_spoilt_lists_lose_no_row(corpus: Path, tmp_path: Path, name: str, damage: list[tuple[float, int, bytes | str]]) -> None:
    path = corpus / "train" / name
    good = path.read_bytes()
    try:
        path.write_bytes(spoil(good, damage))
        try:
            report = prepare(corpus, tmp_path / "out", dry_run=True, allow_missing=True)
        except CorpusError:
            return
        keys = [{*read_list(corpus / split / "text", Intake()), *read_list(corpus / split / "wav.scp", Intake())} for split in ("train", "test")]
        assert report.kept + sum(report.dropped.values()) == sum(map(len, keys))
        assert report.kept >= 8
    finally:
        path.write_bytes(good)
