"""Tables: every value stays text, every encoding and delimiter is found, every bad row is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fuzzing import fuzz, lines_in, places, spoil
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.data.table import read_table
from speechadapt.errors import AudioError, CorpusError
from speechadapt.preparation import PrepareOptions, PrepReport
from speechadapt.preparation.fields import parse_time

script: Any = load_bundled("data_prep", "table")


def prepare(source: Path, out: Path, settings: dict[str, Any] | None = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(**(settings or {})))
    return report


@pytest.fixture
def folder(tmp_path: Path, write_tone: Any) -> Path:
    for number in range(6):
        write_tone(tmp_path / f"corpus/clips/{number:03d}.wav", 0.6 + number / 10, seed=number)
    return tmp_path / "corpus"


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_a_table_without_splits_becomes_one_manifest(folder: Path, tmp_path: Path) -> None:
    source = write(
        folder / "lines.csv",
        "audio_filepath,text,speaker,accent,gender,region,note\n"
        'clips/000.wav,"Put the kettle on, please.",007,Northern Irish,F,Ulster,first\n'
        "clips/001.wav,NA,NA,,,,\n"
        "clips/002.wav,None said null,008,Fife,x,,\n",
    )
    report = prepare(source, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["all.jsonl", "audio", "corpus.json", "prep_report.json"]
    first, second, third = Manifest.read(tmp_path / "out/all.jsonl")
    assert first.to_json() == {
        "audio_sha1": first.audio_sha1,
        "id": "table-000", "audio_filepath": "audio/table-000.flac", "duration": 0.6, "text": "Put the kettle on, please.",
        "text_raw": "Put the kettle on, please.", "speaker": "table:007", "gender": "female", "accent": "northern_irish",
        "accent_raw": "Northern Irish", "region": "Ulster", "meta": {"note": "first"},
    }  # fmt: skip
    assert (second.text, second.speaker, second.accent, second.split) == ("NA", "table:NA", None, None)
    assert third.text == "None said null"
    assert report.repairs == {"gender label not understood, left empty": 1}
    assert report.facts == {"encoding": "utf-8-sig", "delimiter": "comma", "quoting": "standard", "physical_lines": 4, "parsed_rows": 3}


def test_a_split_column_is_followed(folder: Path, tmp_path: Path) -> None:
    lines = [f"clips/{n:03d}.wav\tline {n}\ts{n}\t{split}" for n, split in enumerate(("train", "train", "train", "validation", "test", ""))]
    report = prepare(write(folder / "a.tsv", "\n".join(["path\tsentence\tclient_id\tsplit", *lines])), tmp_path / "out")
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 3, "dev": 1, "test": 1}
    assert report.dropped == {"no-split": 1}
    assert not (tmp_path / "out/audio/table-005.flac").exists()
    again = prepare(folder / "a.tsv", tmp_path / "out", splits="speaker")
    assert "no-split" not in again.dropped
    assert sum(part["utterances"] for part in again.splits.values()) == 6


def test_a_fresh_split_replaces_the_manifest_of_an_earlier_run(folder: Path, tmp_path: Path) -> None:
    lines = [f"clips/{n:03d}.wav,line {n},s{n}" for n in range(6)]
    source = write(folder / "a.csv", "\n".join(["audio,text,speaker", *lines]))
    prepare(source, tmp_path / "out")
    prepare(source, tmp_path / "out", splits="speaker", seed=1)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.jsonl")) == ["dev.jsonl", "test.jsonl", "train.jsonl"]


def test_bad_rows_are_named_and_the_good_ones_stay(folder: Path, tmp_path: Path, tone: Any) -> None:
    (folder / "clips/empty.wav").touch()
    (folder / "clips/text.wav").write_text("hello")
    soundfile.write(folder / "clips/nan.wav", np.full(9000, np.nan, np.float32), 16_000, subtype="FLOAT")
    soundfile.write(folder / "clips/silent.wav", np.zeros(9000, np.float32), 16_000)
    soundfile.write(folder / "clips/long.wav", tone(31.0), 16_000)
    source = write(
        folder / "a.csv",
        "id,audio,text\n1,clips/000.wav,good\n2,clips/none.wav,missing\n3,clips/empty.wav,zero bytes\n4,clips/text.wav,text\n5,clips/nan.wav,nan\n"
        "6,clips/silent.wav,silent\n7,clips/001.wav,\n8,clips/002.wav,…\n1,clips/003.wav,again\n9,../outside.wav,outside\n10,clips/004.wav\n"
        "11,clips/long.wav,thirty one seconds\n12,,no audio\n",
    )
    with pytest.raises(
        CorpusError, match=r"7 of 13 rows \(53\.8%\) have no usable audio, at most 5% are accepted; the first: row \"2\" \(a\.csv, line 3\)"
    ):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out/all.jsonl").exists()
    report = prepare(source, tmp_path / "out", allow_missing=True)
    assert report.dropped == {
        "duplicate-id": 1, "empty": 1, "empty-text": 2, "missing": 2, "not-audio": 1, "not-finite": 1, "outside-corpus": 1, "silent": 1,
        "wrong-columns": 1,
    }  # fmt: skip
    assert [u.id for u in Manifest.read(tmp_path / "out/all.jsonl")] == ["table-1", "table-11"]  # a test row may last 31 s: no split says
    assert report.dropped_examples["wrong-columns"] == ("a.csv, line 12: 2 values for 3 columns. Correct the line, the delimiter or the quoting.",)
    assert report.dropped_examples["duplicate-id"] == ('row "table-1" (a.csv, line 10): this id stands twice, the first row is kept.',)
    short = prepare(source, tmp_path / "out", allow_missing=True, max_duration=30)
    assert short.dropped["too-long"] == 1
    assert 'row "table-11" (all): 31.00 s, at most 30 s.' in short.dropped_examples["too-long"][0]


def test_a_long_clip_leaves_train_and_stays_in_test(folder: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(folder / "clips/long1.wav", 31.0, seed=7)
    write_tone(folder / "clips/long2.wav", 31.0, seed=8)
    rows = "clips/long1.wav,one,train\nclips/long2.wav,two,test\nclips/001.wav,three,train\n"
    report = prepare(write(folder / "a.csv", "audio,text,split\n" + rows), tmp_path / "out")
    assert report.dropped == {"too-long": 1}
    assert [u.id for u in Manifest.read(tmp_path / "out/test.jsonl")] == ["table-long2"]
    assert report.test_dropped == ()


def test_the_same_sound_in_two_splits_stays_in_the_test(folder: Path, tmp_path: Path) -> None:
    (folder / "clips/copy.wav").write_bytes((folder / "clips/000.wav").read_bytes())
    rows = "clips/000.wav,one,a,train\nclips/copy.wav,two,b,test\nclips/001.wav,three,c,train\n"
    report = prepare(write(folder / "a.csv", "audio,text,speaker,split\n" + rows), tmp_path / "out")
    assert report.dropped_examples["repeated-audio"] == ('row "table-000" (train) holds the same samples as "table-copy" (test).',)
    assert len(Manifest.read(tmp_path / "out/test.jsonl")) == 1


@pytest.mark.parametrize(
    ("encoding", "told"), [("utf-8", "utf-8-sig"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16-le"), ("cp1252", "cp1252")]
)
@pytest.mark.parametrize(("delimiter", "name"), [("\t", "tab"), ("|", "pipe"), (";", "semicolon"), (",", "comma")])
def test_encodings_and_delimiters_are_found(tmp_path: Path, encoding: str, told: str, delimiter: str, name: str) -> None:
    rows = [["path", "sentence"], ["a.wav", "It’s naïve"], ["b.wav", "“Ja”"]]
    table = read_table(write(tmp_path / "t", "\r\n".join(delimiter.join(row) for row in rows), encoding))
    assert (table.encoding, table.delimiter, table.quoting) == (told, name, "none" if name == "tab" else "standard")
    assert [values for _, values in table.rows] == [{"path": "a.wav", "sentence": "It’s naïve"}, {"path": "b.wav", "sentence": "“Ja”"}]
    assert (table.physical_lines, [line for line, _ in table.rows]) == (3, [2, 3])


def test_a_stray_quote_swallows_nothing_in_a_tsv_and_is_told_in_a_csv(folder: Path, tmp_path: Path) -> None:
    rows = [("clips/000.wav", '"Well, he said'), ("clips/001.wav", "fine"), ("clips/002.wav", "good")]
    tsv = prepare(write(folder / "a.tsv", "\n".join("\t".join(row) for row in [("path", "text"), *rows])), tmp_path / "tsv")
    assert (tsv.kept, tsv.notes) == (3, ())
    source = write(folder / "a.csv", "\n".join(f"{path},{text}" for path, text in [("path", "text"), *rows]))
    csv = prepare(source, tmp_path / "csv")
    assert csv.kept == 1
    assert csv.notes[0].startswith("3 lines gave 1 rows: a value holds line breaks, or a stray quote swallowed lines (quoting is standard;")
    assert prepare(source, tmp_path / "plain", {"quoting": "none"}).dropped == {"wrong-columns": 1}  # the comma in the text, told as such


def test_columns_are_named_or_missed(folder: Path, tmp_path: Path) -> None:
    source = write(folder / "a.csv", "Datei,Satz,Wer\nclips/000.wav,hallo,Anna\n")
    with pytest.raises(
        CorpusError, match=r"a\.csv: no column for the audio; looked for audio_filepath, path, .*found Datei, Satz, Wer\. Name it with --set"
    ):
        prepare(source, tmp_path / "out")
    report = prepare(
        source, tmp_path / "out", {"audio_column": "datei", "text_column": "Satz", "speaker_column": "Wer", "name": "meins", "language": "de"}
    )
    assert report.kept == 1
    (u,) = Manifest.read(tmp_path / "out/all.jsonl")
    assert (u.id, u.speaker, u.language) == ("meins-000", "meins:Anna", "de")
    with pytest.raises(CorpusError, match=r'no column "Ton"; there are: Datei, Satz, Wer\. Correct the setting audio_column'):
        prepare(source, tmp_path / "out", {"audio_column": "Ton"})


def test_tables_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none\.csv: no such table"):
        prepare(tmp_path / "none.csv", tmp_path / "out")
    with pytest.raises(CorpusError, match=r"empty, expected a header line"):
        prepare(write(tmp_path / "a.csv", "\n\n"), tmp_path / "out")
    with pytest.raises(CorpusError, match=r'the column "text" stands 2 times in the header'):
        prepare(write(tmp_path / "a.csv", "audio,text,text\n"), tmp_path / "out")
    with pytest.raises(CorpusError, match=r'delimiter "dot", must be one of tab, pipe, semicolon, comma'):
        prepare(write(tmp_path / "a.csv", "audio,text\n"), tmp_path / "out", {"delimiter": "dot"})


def test_segments_of_one_recording(folder: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(folder / "talk.wav", 10.0, seed=9)
    source = write(folder / "a.csv", "file,text,start,end\ntalk.wav,first part,0.5,00:00:02.000\ntalk.wav,second part,2,3.25\ntalk.wav,bad,4,3\n")
    report = prepare(source, tmp_path / "out")
    rows = Manifest.read(tmp_path / "out/all.jsonl")
    assert [(u.id, u.duration, u.recording) for u in rows] == [
        ("table-talk-line2", 1.5, "table:talk.wav"),
        ("table-talk-line3", 1.25, "table:talk.wav"),
    ]
    assert report.dropped_examples["out-of-range"][0].startswith('row "talk-line4" (a.csv, line 4): the segment is 4.00 to 3.00 s')


def test_equal_names_in_two_folders_stay_two_rows(folder: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(folder / "more/000.wav", 0.9, seed=11)
    report = prepare(write(folder / "a.csv", "path,text\nclips/000.wav,one\nmore/000.wav,two\n"), tmp_path / "out")
    assert report.kept == 2
    assert [u.id for u in Manifest.read(tmp_path / "out/all.jsonl")] == ["table-clips-000", "table-more-000"]


def test_in_place_leaves_the_audio_and_lists_its_root(folder: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(folder / "talk.wav", 4.0, seed=9)
    source = write(folder / "a.csv", "file,text,start,end\ntalk.wav,first part,0.5,2\nclips/001.wav,whole,,\n")
    prepare(source, tmp_path / "out", in_place=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["all.jsonl", "corpus.json", "prep_report.json"]
    assert json.loads((tmp_path / "out/corpus.json").read_text())["audio_roots"] == [str(folder.resolve())]
    rows = Manifest.read(tmp_path / "out/all.jsonl")
    segment = next(u for u in rows if u.text == "first part")
    assert (segment.offset, segment.duration) == (0.5, 1.5)
    assert rows.audio_path(segment) == (folder / "talk.wav").resolve()


@pytest.mark.parametrize(("value", "seconds"), [("83.5", 83.5), ("00:01:23.500", 83.5), ("1:23,5", 83.5), ("0", 0.0), (None, None)])
def test_times(value: str | None, seconds: float | None) -> None:
    assert parse_time(value) == seconds


@pytest.mark.parametrize("value", ["-1", "soon", "1:xx", "nan", "inf"])
def test_times_that_are_none(value: str) -> None:
    with pytest.raises(AudioError, match=f'"{value}" is not a time of 0 or more'):
        parse_time(value)


@fuzz()
@given(delimiter=st.sampled_from(["\t", ",", ";", "|"]), quoting=st.sampled_from([None, "none"]), damage=places)
def test_spoilt_tables_lose_no_row(
    folder: Path, tmp_path: Path, delimiter: str, quoting: str | None, damage: list[tuple[float, int, bytes | str]]
) -> None:
    lines = [("path", "text", "speaker", "start"), *((f"clips/{n:03d}.wav", f'say "{n}"', f"s{n}", "0.1") for n in range(4))]
    path = folder / "fuzz.csv"
    path.write_bytes(spoil("\n".join(delimiter.join(line) for line in lines).encode(), damage))
    try:
        report = prepare(path, tmp_path / "out", {"quoting": quoting}, dry_run=True, allow_missing=True)
    except CorpusError:
        return
    counted = report.kept + sum(report.dropped.values())
    assert counted == report.facts["parsed_rows"]
    if report.facts["quoting"] == "none" and report.facts["encoding"] == "utf-8-sig":
        assert counted == lines_in(path.read_bytes()) - 1
    elif counted != report.facts["physical_lines"] - 1:
        assert report.notes[0].startswith(f"{report.facts['physical_lines'] - 1} lines gave {counted} rows")
