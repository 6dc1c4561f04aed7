"""VoxPopuli, accented: annotations of whole sessions, finished clips, archives of clips, and Parquet."""

import gzip
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fuzzing import fuzz, places, spoil
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.audio.waveform import read_info, read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import AudioError, CorpusError, MisuseError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "voxpopuli")
RATE = 16_000

CLIP_HEADER = ["id", "raw_text", "normalized_text", "speaker_id", "split", "gender", "is_gold_transcript", "accent"]
CLIPS = [
    ["2009-PLENARY-en_1", 'Mr President, "I" say so.', "mr president i say so", "1182", "test", "male", "True", "en_de"],
    ["2009-PLENARY-en_2", "Two.", "two", "0", "test", "None", "False", "en_xx"],
    ["2010-PLENARY-en_3", "Three.", "three", "None", "test", "female", "True", "None"],
    ["2010-PLENARY-en_4", "Four.", "", "7", "test", "female", "True", "en_pl"],
]
SESSION_HEADER = (
    "id_|paragraph_id|session_id|speaker_id|original_text|normed_text|decoded|start_time|end_time|cer|wer|vad|split|gender|is_gold_transcript|accent"
)


def write_clips(folder: Path, rows: list[list[str]], name: str = "asr_test.tsv") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join("\t".join(row) for row in [CLIP_HEADER, *rows]) + "\n")


@pytest.fixture
def clips(tmp_path: Path, write_tone: Any) -> Path:
    folder = tmp_path / "vox/transcribed_data/en_accented"
    write_clips(folder, CLIPS)
    for number, row in enumerate(CLIPS):
        write_tone(folder / f"{row[0][:4]}/{row[0]}.ogg", 0.6 + 0.1 * number, seed=number)
    return folder


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    root = tmp_path / "sessions"
    for number, year in enumerate(("2009", "2010")):
        (root / f"raw_audios/original/{year}").mkdir(parents=True)
        samples = ((np.arange(6 * RATE) * (number + 1)) % 60_000 - 30_000).astype(np.int16)
        soundfile.write(root / f"raw_audios/original/{year}/{year}0204-0900-PLENARY_original.wav", samples, RATE, subtype="PCM_16")
    return root


def write_annotations(root: Path, rows: list[str]) -> None:
    (root / "asr_en_accented.tsv.gz").write_bytes(gzip.compress("\n".join([SESSION_HEADER, *rows]).encode()))


def annotation(key: str, session: str, vad: str, text: str = "we agree", accent: str = "en_fr") -> str:
    return f'{key}|p1|{session}|55|We "agree".|{text}|{text}|1.0|3.0|0.0|0.0|{vad}|test|female|True|{accent}'


def prepare(source: Path, out: Path, values: dict[str, Any] | None = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(**(values or {})))
    return report


def test_finished_clips_with_everything_the_corpus_says(clips: Path, tmp_path: Path) -> None:
    report = prepare(clips, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped) == (4, 3, {"empty-text": 1})
    assert [(drop.id, drop.split) for drop in report.test_dropped] == [("voxpopuli-2010-PLENARY-en_4", "test")]
    first, second, third = Manifest.read(tmp_path / "out/test.jsonl")
    assert (first.id, first.text, first.text_raw) == ("voxpopuli-2009-PLENARY-en_1", "Mr president I say so.", "mr president i say so")
    assert (first.speaker, first.gender, first.accent, first.accent_raw, first.l1) == ("voxpopuli:1182", "male", "en_l2_german", "en_de", "german")
    assert (first.language, first.split, first.duration) == ("en", "test", pytest.approx(0.6, abs=0.01))
    assert first.meta == {"raw_text": 'Mr President, "I" say so.', "gold": True}
    assert (second.speaker, second.gender, second.accent, second.l1) == (None, None, "en_xx", None)
    assert (third.speaker, third.accent, third.accent_raw) == (None, None, None)
    info = read_info(tmp_path / "out" / first.audio_filepath)
    assert (info.sampling_rate, info.channels, info.format) == (16_000, 1, "FLAC")


def test_the_minutes_may_be_taken_instead(clips: Path, tmp_path: Path) -> None:
    report = prepare(clips, tmp_path / "out", {"text": "raw"})
    assert report.kept == 4
    first = Manifest.read(tmp_path / "out/test.jsonl")[0]
    assert (first.text, first.meta["normalized_text"]) == ('Mr President, "I" say so.', "mr president i say so")
    with pytest.raises(MisuseError, match='text="cased": must be one of normalized, raw'):
        prepare(clips, tmp_path / "out", {"text": "cased"})


def test_sessions_are_cut_where_somebody_speaks(sessions: Path, tmp_path: Path) -> None:
    session, other = "20090204-0900-PLENARY", "20100204-0900-PLENARY"
    rows = [
        annotation("a_1", session, "[[1.25, 2.0], [2.5, 3.75]]"),
        annotation("a_2", other, "[(0.5, 1.0)]", accent="en_pl"),
        annotation("a_3", session, "[]"),
        annotation("a_4", session, "[[5.0, 8.0]]"),
        annotation("a_5", "20110204-0900-PLENARY", "[[1, 2]]"),
        annotation("a_6", session, "__import__('os')"),
        annotation("a_7", session, "[[3, 1]]"),
        annotation("a_8", session, "[[0, 1]]", text=""),
        "too|few",
    ]
    write_annotations(sessions, rows)
    report = prepare(sessions, tmp_path / "out")
    assert report.dropped == {"empty-text": 1, "missing": 1, "out-of-range": 4, "wrong-columns": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 9
    first, second = Manifest.read(tmp_path / "out/test.jsonl")
    assert (first.id, first.duration, first.recording) == (f"voxpopuli-{session}-a_1", 2.5, f"voxpopuli:{session}")
    assert (second.accent, second.duration) == ("en_l2_polish", 0.5)
    source = sessions / f"raw_audios/original/2009/{session}_original.wav"
    np.testing.assert_array_equal(read_waveform(tmp_path / "out" / first.audio_filepath), read_waveform(source, offset=1.25, duration=2.5))


def test_archives_of_clips_are_unpacked_once(clips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hub/data/en_accented"
    write_clips(folder, CLIPS)
    (folder / "test").mkdir()
    with tarfile.open(folder / "test/test_part_0.tar.gz", "w:gz") as archive:
        for path in sorted(clips.rglob("*.ogg")):
            archive.add(path, arcname=path.name)
        archive.add(clips / "asr_test.tsv", arcname="../escaped.tsv")
    with pytest.raises(MisuseError, match=r"test_part_0\.tar\.gz: is packed, and --dry-run writes nothing"):
        prepare(tmp_path / "hub", tmp_path / "out", dry_run=True)
    report = prepare(tmp_path / "hub", tmp_path / "out")
    assert (report.kept, report.repairs) == (3, {"archive member refused: its name leaves the folder": 1})
    assert not list(tmp_path.rglob("escaped.tsv"))
    prepare(clips, tmp_path / "plain")
    assert (tmp_path / "out/test.jsonl").read_bytes() == (tmp_path / "plain/test.jsonl").read_bytes()
    again = prepare(tmp_path / "hub", tmp_path / "out")
    assert again.repairs["archive unpacked by an earlier run, kept"] == 1


def test_archives_in_a_folder_with_a_dot_are_all_unpacked(clips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hub/v1.0"
    write_clips(folder, CLIPS)
    for path in sorted(folder.rglob("*.ogg")):
        path.unlink()
    for number, path in enumerate(sorted(clips.rglob("*.ogg"))):
        with tarfile.open(folder / f"test_part.{number}.tar.gz", "w:gz") as archive:
            archive.add(path, arcname=path.name)
    report = prepare(tmp_path / "hub", tmp_path / "out")
    assert (report.kept, report.repairs) == (3, {})


def test_parquet_gives_the_same_rows(clips: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    columns = {("audio_id" if name == "id" else name): [row[place] for row in CLIPS] for place, name in enumerate(CLIP_HEADER) if name != "split"}
    columns["is_gold_transcript"] = [value == "True" for value in columns["is_gold_transcript"]]  # type: ignore[misc]
    audio = [{"bytes": (clips / f"{row[0][:4]}/{row[0]}.ogg").read_bytes(), "path": f"{row[0]}.wav"} for row in CLIPS]
    (tmp_path / "pq/en_accented/test").mkdir(parents=True)
    pq.write_table(pa.table({"audio": pa.array(audio), "language": [0] * 4, **columns}), tmp_path / "pq/en_accented/test/0000.parquet")
    prepare(clips, tmp_path / "one")
    report = prepare(tmp_path / "pq", tmp_path / "two")
    assert report.dropped == {"empty-text": 1}
    assert (tmp_path / "one/test.jsonl").read_bytes() == (tmp_path / "two/test.jsonl").read_bytes()


def test_folders_that_are_not_clear_are_told(clips: Path, sessions: Path, tmp_path: Path) -> None:
    assert prepare(clips.parent.parent, tmp_path / "out", dry_run=True).kept == 3
    assert prepare(clips / "asr_test.tsv", tmp_path / "out", dry_run=True).kept == 3
    with pytest.raises(CorpusError, match=r"does not look like VoxPopuli; looked for asr_\*\.tsv and \*\.parquet, found: raw_audios"):
        prepare(sessions, tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    write_clips(clips.parent / "de", CLIPS)
    with pytest.raises(CorpusError, match=r"holds several languages: de/asr_test\.tsv, en_accented/asr_test\.tsv\. Give one of them"):
        prepare(clips.parent, tmp_path / "out")
    (clips / "asr_test.tsv").write_text("id\ttext\na\tb\n")
    with pytest.raises(CorpusError, match=r"asr_test\.tsv: no column speaker_id, split; found id, text"):
        prepare(clips, tmp_path / "out")
    (sessions / "asr_en_accented.tsv.gz").write_bytes(gzip.compress(b"x" * 100)[:-9])
    with pytest.raises(CorpusError, match=r"asr_en_accented\.tsv\.gz: cannot be unpacked"):
        prepare(sessions, tmp_path / "out")


def test_audio_that_is_unusable_or_elsewhere(clips: Path, tmp_path: Path, write_tone: Any) -> None:
    secret = write_tone(tmp_path / "secret.ogg", 0.6, seed=9)
    (clips / "2009/2009-PLENARY-en_1.ogg").unlink()
    (clips / "2009/2009-PLENARY-en_1.ogg").symlink_to(secret)
    (clips / "2009/2009-PLENARY-en_2.ogg").write_bytes(b"")
    write_clips(clips, [*CLIPS, ["../../../secret", "x", "x", "1", "test", "male", "True", "en_de"], CLIPS[2]])
    report = prepare(clips, tmp_path / "out", allow_missing=True)
    assert report.dropped == {"duplicate-id": 1, "empty": 1, "empty-text": 1, "missing": 1, "outside-corpus": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 6


def test_again_and_after_an_interruption_the_same_bytes(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(clips, out)
    before = {path: path.read_bytes() for path in [out / "test.jsonl", *(out / "audio").iterdir()]}
    prepare(clips, out)
    assert {path: path.read_bytes() for path in before} == before
    (out / "test.jsonl").unlink()
    for path in list(before)[1:3]:
        path.write_bytes(path.read_bytes()[:60])
    prepare(clips, out)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("value", ["", "[]", "[[1.0]]", "[[2, 1]]", "[[1, 2], [3]]", "1; 2", "[[-1, 2]]", "[[1e9, 2]]", "[[1, 1]]"])
def test_vads_that_are_none(value: str) -> None:
    with pytest.raises(AudioError, match="vad") as caught:
        script.parse_vad(value)
    assert caught.value.reason == "out-of-range"


SESSION = "20090204-0900-PLENARY"


def rows_in(data: bytes, delimiter: str) -> int | None:
    """Lines under the header that hold more than blanks between their delimiters; None where the bytes are no text."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            return None
    return sum(bool(line.replace(delimiter, "").strip()) for line in re.split("\r\n|\r|\n", text)) - 1


@fuzz()
@given(of_sessions=st.booleans(), damage=places)
def test_no_line_of_a_spoilt_list_is_lost(
    sessions: Path, clips: Path, tmp_path: Path, of_sessions: bool, damage: list[tuple[float, int, bytes | str]]
) -> None:
    if of_sessions:
        header, delimiter, path = SESSION_HEADER, "|", sessions / "asr_en_accented.tsv"
        lines = [annotation(f"a_{n}", SESSION, f"[[{n}, {n + 1}]]") for n in range(5)]
    else:
        header, delimiter, path = "\t".join(CLIP_HEADER), "\t", clips / "asr_test.tsv"
        lines = ["\t".join(row) for row in (CLIPS[1], CLIPS[2], CLIPS[3], CLIPS[0])]
    data = spoil("\n".join([header, *lines[:-1]]).encode(), damage) + f"\n{lines[-1]}".encode()  # the last line stays good
    path.write_bytes(data)
    rows, refusal = rows_in(data, delimiter), ""
    try:
        report = prepare(path.parent, tmp_path / "out", dry_run=True, allow_missing=True)
    except CorpusError as error:
        refusal = str(error)
    if refusal:  # a good header is never refused; another may fit none of the lines, which are told to have been read
        assert str(path) in refusal or f"none of {rows} rows is left (" in refusal
        assert rows is None or not data.startswith(f"{header}\n".encode())
        return
    assert report.kept >= 1
    assert report.rows_read == report.kept + sum(report.dropped.values()) == rows
