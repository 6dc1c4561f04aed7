"""AudioFolder: CSV and JSONL metadata, splits by folder, and strings that stay strings."""

import json
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzz, lines_in, places, spoil
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.data.table import read_table
from speechadapt.errors import CorpusError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "audiofolder")

ROWS = [
    {"file_name": "clips/0001.wav", "transcription": "Put the kettle on, please.", "speaker_id": "007", "id": "0042", "take": "1e3"},
    {"file_name": "clips/0002.wav", "transcription": "NA", "speaker_id": "NA", "id": "0043", "take": ""},
]


def prepare(source: Path, out: Path, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options))
    return report


def write_metadata(folder: Path, kind: str, rows: list[dict[str, Any]] = ROWS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "csv":
        lines = [",".join(rows[0]), *(",".join(f'"{value}"' if "," in value else value for value in row.values()) for row in rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    (folder / f"metadata.{kind}").write_text("\n".join(lines) + "\n")


@pytest.fixture
def root(tmp_path: Path, write_tone: Any) -> Path:
    for number in (1, 2):
        write_tone(tmp_path / f"folder/clips/{number:04d}.wav", 0.7, seed=number)
    return tmp_path / "folder"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_leading_zeros_and_na_are_kept(root: Path, tmp_path: Path, kind: str) -> None:
    write_metadata(root, kind)
    report = prepare(root, tmp_path / "out")
    first, second = Manifest.read(tmp_path / "out/all.jsonl")
    assert (first.id, first.speaker, first.meta) == ("audiofolder-0042", "audiofolder:007", {"take": "1e3"})
    assert (second.id, second.speaker, second.text) == ("audiofolder-0043", "audiofolder:NA", "NA")
    assert report.dropped == {}


def test_values_of_other_types_and_broken_lines(root: Path, tmp_path: Path) -> None:
    row = {"file_name": "clips/0001.wav", "text": "hello there", "speaker_id": 7, "tags": ["a", 1], "noise": None}
    (root / "metadata.jsonl").write_text(json.dumps(row) + '\n\n{"file_name": \n[1, 2]\n')
    report = prepare(root, tmp_path / "out")
    (u,) = Manifest.read(tmp_path / "out/all.jsonl")
    assert (u.speaker, u.meta) == ("audiofolder:7", {"tags": '["a", 1]'})
    assert report.dropped == {"broken-line": 2}
    assert report.dropped_examples["broken-line"][0].endswith("metadata.jsonl, line 3: not a JSON object. Correct the line.")


def test_lines_that_no_decoder_reads_cost_themselves_only(root: Path, tmp_path: Path) -> None:
    good = json.dumps({"file_name": "clips/0001.wav", "text": "one\u2028two"}, ensure_ascii=False).encode()
    bad = [b'{"text": "\\ud800"}', b'{"n": ' + b"9" * 5000 + b"}", b"[" * 100_000]
    (root / "metadata.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([good, *bad, b""]))
    report = prepare(root, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped) == (4, 1, {"broken-line": 3})
    assert Manifest.read(tmp_path / "out/all.jsonl")[0].text == "one two"
    (root / "metadata.jsonl").write_text('\n[{"file_name": "a.wav"}]\n')
    with pytest.raises(CorpusError, match=r"metadata\.jsonl: one JSON list, expected one JSON object per line"):
        prepare(root, tmp_path / "out")
    (root / "metadata.jsonl").write_text("{}", encoding="utf-16")
    with pytest.raises(CorpusError, match=r"metadata\.jsonl: byte 1 is not UTF-8\. Save the file as UTF-8"):
        prepare(root, tmp_path / "out")


def test_metadata_in_parquet_keeps_strings_too(root: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(ROWS), root / "metadata.parquet")
    prepare(root, tmp_path / "out")
    first, second = Manifest.read(tmp_path / "out/all.jsonl")
    assert (first.id, first.speaker, first.meta) == ("audiofolder-0042", "audiofolder:007", {"take": "1e3"})
    assert second.text == "NA"


def test_folders_name_the_splits(tmp_path: Path, write_tone: Any) -> None:
    for number, split in enumerate(("train", "validation", "test")):
        write_tone(tmp_path / f"folder/{split}/a.wav", 0.8, seed=number)
        write_metadata(tmp_path / "folder" / split, "jsonl", [{"file_name": "a.wav", "text": f"line {number}", "speaker": split}])
    report = prepare(tmp_path / "folder", tmp_path / "out")
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 1, "dev": 1, "test": 1}


def test_files_of_equal_name_in_two_splits_are_two_rows(tmp_path: Path, write_tone: Any) -> None:
    for number, split in enumerate(("train", "test")):
        write_tone(tmp_path / f"folder/{split}/a.wav", 0.8, seed=number)
        write_metadata(tmp_path / "folder" / split, "csv", [{"file_name": "a.wav", "text": f"line {number}"}])
    report = prepare(tmp_path / "folder", tmp_path / "out")
    assert report.dropped == {}
    assert [Manifest.read(tmp_path / f"out/{split}.jsonl")[0].id for split in ("train", "test")] == ["audiofolder-train-a", "audiofolder-test-a"]


def test_ids_that_start_again_in_every_split_stay_apart(tmp_path: Path, write_tone: Any) -> None:
    for number, split in enumerate(("train", "test")):
        for line in range(2):
            write_tone(tmp_path / f"folder/{split}/{split}{line}.wav", 0.8, seed=10 * number + line)
        rows = [{"file_name": f"{split}{line}.wav", "text": f"line {line} {split}", "id": str(line)} for line in range(2)]
        write_metadata(tmp_path / "folder" / split, "csv", rows)
    report = prepare(tmp_path / "folder", tmp_path / "out")
    assert report.dropped == {}
    assert [u.id for u in Manifest.read(tmp_path / "out/test.jsonl")] == ["audiofolder-test-0", "audiofolder-test-1"]


def test_paths_may_not_leave_the_folder(root: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "secret.wav")
    rows = [{"file_name": "../secret.wav", "text": "no"}, {"file_name": "clips/0001.wav", "text": "yes"}]
    write_metadata(root, "jsonl", rows)
    assert prepare(root, tmp_path / "out").dropped == {"outside-corpus": 1}


def test_a_folder_without_metadata_is_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no metadata file; looked for metadata\.csv, metadata\.jsonl and metadata\.parquet, found: clips\."):
        prepare(root, tmp_path / "out")
    write_metadata(root, "jsonl", [{"path": "clips/0001.wav", "text": "x"}])
    with pytest.raises(CorpusError, match=r'no column "file_name"; there are: path, text'):
        prepare(root, tmp_path / "out")


@fuzz()
@given(kind=st.sampled_from(["csv", "jsonl"]), damage=places)
def test_spoilt_metadata_lose_no_row(root: Path, tmp_path: Path, kind: str, damage: list[tuple[float, int, bytes | str]]) -> None:
    for old in root.glob("metadata.*"):
        old.unlink()
    write_metadata(root, kind, ROWS * 2)
    path = root / f"metadata.{kind}"
    path.write_bytes(spoil(path.read_bytes(), damage))
    try:
        report = prepare(root, tmp_path / "out", dry_run=True, allow_missing=True)
    except CorpusError:
        return
    counted = report.kept + sum(report.dropped.values())
    if kind == "jsonl":
        assert counted == lines_in(path.read_bytes())
    else:
        table = read_table(path, delimiter="comma", quoting="standard")
        assert counted == len(table.rows) + len(table.broken)
