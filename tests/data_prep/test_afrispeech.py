"""AfriSpeech-200: recordings found by the end of their path, labels with two spellings, archives, accents that only the test set has."""

import csv
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st
from reruns import assert_reruns_change_nothing

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import AccentLabels, Intake, PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "afrispeech")

HEADER = [
    "idx", "user_ids", "accent", "age_group", "country", "transcript", "nchars",
    "audio_ids", "audio_paths", "duration", "origin", "domain", "split", "gender",
]  # fmt: skip
ROWS = {
    "train": [
        ("s1", "isizulu", "26-40", "ZA", "Take 5 mg , twice daily. ", "a1", "/AfriSpeech-100/train/session-1/clip.wav", "clinical", "Female"),
        ("s1", "zulu", "26-40", "ZA", "He walked, then ran.", "a2", "session-2/clip.wav", "general", "Female"),
        ("s2", "yoruba", "19-25", "NG", "NA", "a3", "session-3/c.wav", "general", "Male"),
        ("s3", "hausa/fulani", "<18yrs", "NA", "He said \"no\".", "a4", "session-4/d.wav", "general", "Other"),
        ("s4", "akan (fante)", "", "GH", "Read by many.", "a5", "session-5/e.wav", "general", ""),
    ],
    "dev": [("s5", "yoruba", "41-55", "NG", "Read by many.", "b1", "session-6/f.wav", "general", "Male")],
    "test": [
        ("s6", "setswana", "26-40", "BW", "Read by many.", "c1", "session-7/g.wav", "clinical", "Female"),
        ("s6", "tswana", "26-40", "BW", "Only here.", "c2", "session-7/h.wav", "clinical", "Female"),
        ("s7", "yoruba", "26-40", "NG", "Heard in train.", "c3", "session-8/i.wav", "clinical", "Female"),
    ],
}  # fmt: skip


def write_list(path: Path, rows: list[tuple[str, ...]], header: list[str] = HEADER) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(header)
        for number, (speaker, accent, age, country, text, key, audio, domain, gender) in enumerate(rows):
            split = path.stem
            values = [number, speaker, accent, age, country, text, len(text), key, audio, 9.9, "internal", domain, split, gender]
            by_name = dict(zip(HEADER, values, strict=True))
            table.writerow([by_name[name] for name in header])


def folder_of(accent: str) -> str:
    return accent.replace(" (", "-").replace(")", "").replace("/", "-")


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "afrispeech-200"
    for split, rows in ROWS.items():
        write_list(root / f"transcripts/{split}.csv", rows)
        for row in rows:
            write_tone(root / "audio" / folder_of(row[1]) / split / "/".join(row[6].split("/")[-2:]), 0.5, seed=hash_of(row[5]), sampling_rate=44_100)
    write_tone(root / "audio/zulu/train/session-9/orphan.wav", 0.5)
    (root / "audio/zulu/train/session-9/._orphan.wav").write_bytes(b"junk")
    return root


def hash_of(key: str) -> int:
    return int.from_bytes(key.encode(), "big")


def prepare(source: Path, out: Path, accents: tuple[str, ...] = (), **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(accents=accents))
    return report


def rows_of(out: Path) -> dict[str, Any]:
    return {u.id: u for path in out.glob("*.jsonl") for u in Manifest.read(path)}


def test_rows_have_everything_the_lists_say(corpus: Path, tmp_path: Path) -> None:
    report = assert_reruns_change_nothing(lambda out: prepare(corpus, out), tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped, report.facts) == (9, 9, {}, {"orphan_recordings": 1})
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 5, "dev": 1, "test": 3}
    rows = rows_of(tmp_path / "out")
    assert rows["afrispeech-a1"].to_json() == {
        "audio_sha1": rows["afrispeech-a1"].audio_sha1,
        "id": "afrispeech-a1", "audio_filepath": "audio/afrispeech-a1.flac", "duration": 0.5, "text": "Take 5 mg , twice daily.",
        "text_raw": "Take 5 mg , twice daily. ", "speaker": "afrispeech:s1", "gender": "female", "age": "26-40", "accent": "zulu",
        "accent_raw": "isizulu", "region": "ZA", "language": "en", "split": "train", "meta": {"domain": "clinical", "origin": "internal"},
    }  # fmt: skip
    assert (rows["afrispeech-a4"].accent, rows["afrispeech-a4"].region, rows["afrispeech-a4"].age) == ("mixed", "NA", "<18yrs")  # Namibia
    assert rows["afrispeech-a4"].text == 'He said "no".'
    assert rows["afrispeech-a4"].gender == "other"
    assert (rows["afrispeech-a5"].accent, rows["afrispeech-a5"].gender, rows["afrispeech-a5"].age) == ("akan_fante", None, None)
    assert rows["afrispeech-a3"].text == "NA"


def test_recordings_of_one_name_are_told_apart_by_their_session(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out", in_place=True)
    rows = rows_of(tmp_path / "out")
    assert rows["afrispeech-a1"].audio_filepath == str((corpus / "audio/isizulu/train/session-1/clip.wav").resolve())
    assert rows["afrispeech-a2"].audio_filepath == str((corpus / "audio/zulu/train/session-2/clip.wav").resolve())


def test_what_the_splits_share_and_which_accents_are_new_is_told(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert report.overlap["train-test"]["speakers"] == 0
    assert report.overlap["train-test"]["sentences"] == 1
    assert "zero-shot in test (nobody in train has them): tswana" in report.notes
    assert report.accents["tswana"]["utterances_by_split"] == {"train": 0, "dev": 0, "test": 2}
    assert report.accents["zulu"]["utterances"] == 2  # two spellings, one accent
    mapped = prepare(corpus, tmp_path / "out2", dry_run=True, accent_map={"setswana": "yoruba", "hausa/fulani": "hausa"})
    assert "hausa" in mapped.accents
    assert "mixed" not in mapped.accents
    assert not [note for note in prepare(corpus, tmp_path / "out3", splits="speaker", dry_run=True).notes if "zero-shot" in note]


def test_archives_are_unpacked_under_the_output(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "reference")
    for number, wav in enumerate(sorted((corpus / "audio").rglob("*.wav"))):
        inner = wav.relative_to(corpus / "audio")
        with tarfile.open(corpus / "audio" / inner.parts[0] / inner.parts[1] / f"{inner.parts[1]}_{inner.parts[0]}_{number}.tar.gz", "w:gz") as tar:
            tar.add(wav, f"intron/{inner.parts[1]}/{wav.parent.name}/{wav.name}")
            link = tarfile.TarInfo("intron/link.wav")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
        wav.unlink()
    with pytest.raises(MisuseError, match=r"train_akan-fante_0\.tar\.gz: is packed, and --dry-run writes nothing"):
        prepare(corpus, tmp_path / "dry", dry_run=True)
    assert not (tmp_path / "dry").exists()
    chosen = prepare(corpus, tmp_path / "few", accents=("zulu", "isizulu"))
    assert sorted(path.name for path in (tmp_path / "few/unpacked").iterdir()) == ["isizulu", "zulu"]
    assert (chosen.kept, chosen.dropped) == (2, {"other-accent": 7})
    report = assert_reruns_change_nothing(lambda out: prepare(corpus, out), tmp_path / "out")
    assert report.repairs == {"archive member refused: a link or a device": 11, "archive member left out: junk of an operating system": 1}
    for name in ("train", "dev", "test"):
        assert (tmp_path / f"out/{name}.jsonl").read_bytes() == (tmp_path / f"reference/{name}.jsonl").read_bytes()
    inside = assert_reruns_change_nothing(lambda out: prepare(corpus, out), corpus / "prepared")
    assert inside.kept == 9


def test_lists_of_single_accents_are_read_where_there_is_no_other(corpus: Path, tmp_path: Path) -> None:
    reordered = HEADER[::-1]
    for split, rows in ROWS.items():
        for accent in {row[1] for row in rows}:
            write_list(corpus / f"transcripts/{folder_of(accent)}/{split}.csv", [row for row in rows if row[1] == accent], reordered)
        (corpus / f"transcripts/{split}.csv").unlink()
    assert prepare(corpus, tmp_path / "out").kept == 9
    report = prepare(corpus, tmp_path / "few", accents=("akan (fante)", "Yoruba"))
    assert (report.rows_read, report.kept, set(report.accents)) == (4, 4, {"akan_fante", "yoruba"})
    with pytest.raises(MisuseError, match=r'--set accents: "klingon" stands in no list; there are: akan_fante, hausa_fulani, isizulu'):
        prepare(corpus, tmp_path / "none", accents=("klingon",))


def test_planted_defects_are_counted_and_test_losses_listed(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "outside/x.wav")
    (corpus / "audio/yoruba/test/session-l").mkdir(parents=True)
    (corpus / "audio/yoruba/test/session-l/x.wav").symlink_to(tmp_path / "outside/x.wav")
    more = [
        ("s8", "yoruba", "", "NG", "Gone.", "d1", "session-8/none.wav", "general", ""),
        ("s8", "yoruba", "", "NG", "Up.", "d2", "session-8/../../../outside/x.wav", "general", ""),
        ("s8", "yoruba", "", "NG", "Root.", "d3", str(tmp_path / "outside/x.wav"), "general", ""),
        ("s8", "yoruba", "", "NG", "Linked.", "d4", "session-l/x.wav", "general", ""),
        ("s8", "yoruba", "", "NG", " ", "d5", "session-8/i.wav", "general", ""),
        ("s8", "yoruba", "", "NG", "Again.", "c3", "session-8/i.wav", "general", ""),
    ]
    write_list(corpus / "transcripts/test.csv", [*ROWS["test"], *more])
    with (corpus / "transcripts/test.csv").open("a") as file:
        file.write("1,2,3\n")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"duplicate-id": 1, "empty-text": 1, "missing": 2, "outside-corpus": 2, "wrong-columns": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 16
    assert len(report.test_dropped) == 7
    assert report.dropped_examples["missing"][0] == (
        'row "d1" (transcripts/test.csv, line 5): no file ends in "session-8/none.wav". Download or unpack its archive.'
    )


def test_the_parent_is_accepted_and_another_folder_is_not(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "a-sibling").mkdir()
    assert prepare(tmp_path, tmp_path / "out", dry_run=True).kept == 9
    with pytest.raises(CorpusError, match=r"does not look like AfriSpeech-200; looked for transcripts/test\.csv, found: akan-fante, hausa-fulani"):
        prepare(corpus / "audio", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")
    write_list(corpus / "transcripts/dev.csv", ROWS["dev"], [name for name in HEADER if name not in ("accent", "audio_ids")])
    with pytest.raises(CorpusError, match=r"dev\.csv: no column accent, audio_ids; found idx, user_ids, age_group"):
        prepare(corpus, tmp_path / "out")


@pytest.mark.parametrize(
    ("label", "slug"),
    [
        ("isiZulu ", "zulu"),
        ("kiswahili", "swahili"),
        ("sesotho", "sotho"),
        ("yoruba, hausa", "mixed"),
        ("hausa/fulani", "mixed"),
        ("igbo", "igbo"),
        (" ", None),
    ],
)
def test_accent_labels(label: str, slug: str | None) -> None:
    assert script.accent_of(label, AccentLabels("afrispeech", {})) == slug


CELLS = st.one_of(
    st.sampled_from(
        ["a1", "zulu", "session-1/clip.wav", "../x.wav", "/etc/passwd", "\0", "x" * 300, "NA", 'say "x', "\n", "\r", ",", "yoruba, hausa"]
    ),
    st.text(max_size=20),
)


@fuzz(120)
@given(lines=st.lists(st.lists(CELLS, min_size=12, max_size=15), max_size=3), quoted=st.booleans())
def test_any_list_is_read_or_refused_in_words(lines: list[list[str]], quoted: bool, tmp_path: Path, write_tone: Any) -> None:
    root = tmp_path / "c"
    if not root.exists():
        write_tone(root / "audio/zulu/train/session-1/clip.wav", 0.5)
        (root / "transcripts").mkdir()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(HEADER)
    for line in lines:
        if quoted:
            writer.writerow(line)
        else:
            text.write(",".join(line) + "\n")
    (root / "transcripts/train.csv").write_bytes(text.getvalue().encode("utf-8", "replace"))
    intake = Intake()
    try:
        (listed,) = script.read_lists(root)
    except CorpusError:
        return
    recordings = script.Recordings([root], tmp_path / "out")
    kept = list(script.read_rows(listed, recordings, set(), AccentLabels("afrispeech", {}), intake))
    assert len(kept) + len(intake.drops) == len(listed.table.rows) + len(listed.table.broken)
    if quoted:
        assert len(kept) + len(intake.drops) == sum(any(cell.strip() for cell in line) for line in lines)
