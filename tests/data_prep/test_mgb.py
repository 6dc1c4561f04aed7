"""MGB-2, MGB-3 and MGB-5: miniatures of the published layouts with planted defects; one recording is compared sample by sample."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.audio.waveform import read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import Intake, PrepareOptions, PrepReport, read_settings

script: Any = load_bundled("data_prep", "mgb")
RATE = 16_000
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE t [<!ENTITY a "aaaa">]>'
    '<transcript><segments><segment id="b"><element>&a;</element></segment></segments></transcript>'
)


def ramp(seconds: float) -> np.ndarray:
    return (np.arange(round(seconds * RATE)) * 7 % 60_000 - 30_000).astype(np.int16)


def xml(*segments: str) -> str:
    old = '<segments annotation_id="transcript_orig"><segment id="old" starttime="0" endtime="1"><element>قديم</element></segment></segments>'
    new = f'<segments annotation_id="transcript_align">{"".join(segments)}</segments>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<transcript>{old}{new}</transcript>\n'


def segment(key: str, who: str, start: str, end: str, wmer: str, words: str) -> str:
    elements = "".join(f'<element type="word">{word}</element>' for word in words.split())
    return f'<segment id="{key}" who="{who}" starttime="{start}" endtime="{end}" WMER="{wmer}" AWD="0.4">{elements}</segment>\n'


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def mgb2(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "mgb2"
    segments = [
        segment("SHOWA_utt_1_align", "SHOWA_speaker1_align", "0.503", "2.017", "12.5", "السَّلامُ عليكم"),
        segment("utt_2", "speaker2", "2.5", "3.5", "80", "عدد ٢٠١٩"),
        segment("utt_3", "speaker2", "3.5", "4.0", "80.1", "مرتفع"),
        segment("utt_4", "speaker2", "3.5", "4.0", "n/a", "تداخل ###"),
        segment("utt_5", "speaker2", "4.0", "3.0", "1", "قبل"),
        segment("utt_6", "speaker2", "3.0", "4.0", "1", ""),
        segment("utt_2", "", "4.0", "5.0", "", "مكرر"),  # the same id again, nobody named
    ]
    write(root / "train/xml/utf8/SHOWA.xml", xml(*segments))
    write(root / "train/xml/utf8/SHOWB.xml", xml(segment("SHOWB_utt_1", "SHOWB_speaker1", "0", "1", "0", "بلا تسجيل")))
    write(root / "train/xml/utf8/BOMB.xml", BOMB)
    write(root / "train/xml/utf8/._SHOWA.xml", "junk")
    (root / "train/wav").mkdir()
    soundfile.write(root / "train/wav/SHOWA.wav", ramp(6.0), RATE, subtype="PCM_16")
    write_tone(root / "train/wav/NOXML.wav", 0.5)
    for seed, split in enumerate(("dev", "test"), start=1):
        write_tone(root / f"{split}/wav/{split.upper()}.wav", 4.0, seed=seed)
        name = f"{split.upper()}_spk-0001_seg"
        write(root / f"{split}/segments.non_overlap_speech", f"{name}-1 {split.upper()} 0.5 1.5\n{name}-2 {split.upper()} 2 3\n{name}-3 /etc/x 2 3\n")
        write(root / f"{split}/text.non_overlap_speech", f"{name}-1 >hlAF wshlAF @@LAT@@bbc\n{name}-2 UNK klmp\n{name}-3 xArj\n{name}-9 zA}}d\n")
        write(root / f"{split}/wav.scp", f"{split.upper()} touch pwned |\n")
    return root


@pytest.fixture
def mgb3(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "mgb3"
    texts = {
        "Annot_a": "V_1_0_1 ازيك\nV_1_1_2\nV_1_2_3 كلام\n",
        "annot_b": "V_1_0_1 إزيك يا\nV_1_1_2 تاني\nV_1_2.1_3.1 كلام آخر\nV_1_4_5 وحده\n",
        "Annot_c": "V_1_0_1 UNK ازيك\nV_1_2_3 كَلام\n",
    }
    for name, text in texts.items():
        for split in ("adapt", "test"):
            write(root / f"{split}/{name}/text_noverlap", text)
            write(root / f"{split}/{name}/text_noverlap.bw", "V_1_0_1 never read\n")
            lines = [f"{key} V_{split} {key.split('_')[2]} {key.split('_')[3]}\n" for key in (line.split()[0] for line in text.splitlines())]
            write(root / f"{split}/{name}/segments", "".join(lines))
    for seed, split in enumerate(("adapt", "test"), start=1):
        write_tone(root / f"wav/V_{split}.WAV", 6.0, seed=seed)
        for name in texts:  # the same speech has the same id in no two splits
            for file in ("segments", "text_noverlap"):
                path = root / f"{split}/{name}/{file}"
                path.write_text(path.read_text().replace("V_1_", f"{split}_1_"))
    return root


@pytest.fixture
def mgb5(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "mgb5"
    for seed, split in enumerate(("train", "dev"), start=1):
        write(root / f"{split}/{split}.segments.bw", f"{split}-1 M_{split} 0 1\n{split}-2 M_{split} 1 2\n")
        write(root / f"{split}/{split}.txt.bw", f"{split}-1 kyf UNK dAyr\n{split}-2 lAbAs\n")
        write(root / f"{split}/utt2spk", f"{split}-1 {split}-1\n")
        write_tone(root / f"{split}/some/where/M_{split}.wav", 3.0, seed=seed)
    return root


def prepare(source: Path, out: Path, setting: Any = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), setting or script.Settings())
    return report


def rows_of(out: Path, *names: str) -> dict[str, Any]:
    return {u.id.partition("-")[2]: u for name in names for u in Manifest.read(out / f"{name}.jsonl")}


def snapshot(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.suffix in (".jsonl", ".flac")}


def test_a_row_of_mgb2_has_everything_the_corpus_says(mgb2: Path, tmp_path: Path) -> None:
    prepare(mgb2, tmp_path / "out")
    rows = rows_of(tmp_path / "out", "train", "dev", "test")
    u = rows["SHOWA_utt_1_align"]
    assert u.to_json() == {
        "audio_sha1": u.audio_sha1,
        "id": "mgb2-SHOWA_utt_1_align",
        "audio_filepath": "audio/mgb2-SHOWA_utt_1_align.flac",
        "duration": 1.514,
        "text": "السلام عليكم",
        "text_raw": "السَّلامُ عليكم",
        "speaker": "mgb2:SHOWA_speaker1_align",
        "language": "ar",
        "recording": "mgb2:SHOWA",
        "split": "train",
        "meta": {"wmer": 12.5, "awd": 0.4},
    }
    samples = np.round(read_waveform(tmp_path / "out" / u.audio_filepath) * 32768).astype(np.int16)
    np.testing.assert_array_equal(samples, ramp(6.0)[8048:32272])
    assert (rows["SHOWA-utt_2"].speaker, rows["SHOWA-utt_2"].text) == ("mgb2:SHOWA_speaker2", "عدد 2019")
    assert (rows["SHOWA-utt_2-7"].speaker, rows["SHOWA-utt_2-7"].meta) == (None, {"awd": 0.4})


def test_every_loss_of_mgb2_is_counted(mgb2: Path, tmp_path: Path) -> None:
    report = prepare(mgb2, tmp_path / "out")
    assert report.dropped == {
        "broken-xml": 1, "empty-text": 1, "high-wmer": 1, "missing": 3, "not-in-segments": 2, "out-of-range": 1, "unintelligible": 1,
    }  # fmt: skip
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 17
    assert report.facts == {"xml_files": 3, "recordings_without_xml": 1}
    assert 'the entity "a", and entities are refused' in report.dropped_examples["broken-xml"][0]
    assert report.dropped_examples["high-wmer"] == (
        'row "SHOWA-utt_3" (SHOWA.xml): WMER 80.1, at most 80 is accepted. Change it with --set max_wmer=NUMBER.',
    )
    assert sorted(drop.reason for drop in report.test_dropped) == ["missing", "not-in-segments"]
    strict = prepare(mgb2, tmp_path / "strict", script.Settings(max_wmer=5))
    assert strict.dropped["high-wmer"] == 3  # a segment without a number is not judged by it
    assert not list(tmp_path.rglob("pwned"))


def test_buckwalter_becomes_arabic_and_unknown_words_leave_test_text(mgb2: Path, tmp_path: Path) -> None:
    prepare(mgb2, tmp_path / "out")
    rows = rows_of(tmp_path / "out", "test")
    assert rows["TEST_spk-0001_seg-1"].text == "أهلا وسهلا bbc"
    assert rows["TEST_spk-0001_seg-1"].text_raw == ">hlAF wshlAF @@LAT@@bbc"
    assert rows["TEST_spk-0001_seg-1"].speaker == "mgb2:TEST_spk-0001"
    assert rows["TEST_spk-0001_seg-2"].text == "كلمة"
    (mgb2 / "train/xml/utf8").rename(mgb2 / "train/xml/bw")
    path = mgb2 / "train/xml/bw/SHOWB.xml"
    path.write_text(xml(segment("SHOWB_utt_1", "SHOWB_speaker1", "0", "1", "0", "bktAb")).replace("قديم", "qdym"), encoding="utf-8")
    (mgb2 / "train/wav/NOXML.wav").rename(mgb2 / "train/wav/SHOWB.wav")
    prepare(mgb2, tmp_path / "bw", max_duration=2.0)
    # the recording is half a second long: the segment ends half a second later and is shortened
    assert rows_of(tmp_path / "bw", "train")["SHOWB_utt_1"].text == "بكتاب"


def test_transcribers_become_references(mgb3: Path, tmp_path: Path) -> None:
    report = prepare(mgb3, tmp_path / "out")
    rows = rows_of(tmp_path / "out", "train", "test")
    first, second, third = (rows[f"test_1_{times}"] for times in ("0_1", "1_2", "2_3"))
    assert (first.text, first.meta) == ("ازيك", {"references": ["ازيك", "إزيك يا"]})  # Annot_a, then Annot_c and annot_b, as their names sort
    assert (second.text, second.meta) == ("تاني", {})  # the first transcriber wrote nothing
    assert (third.text, third.meta) == ("كلام", {"references": ["كلام"]})
    assert rows["test_1_4_5"].text == "وحده"
    assert {(u.accent, u.accent_raw, u.language, u.speaker) for u in rows.values()} == {("egyptian", "Egyptian", "ar", None)}
    assert first.recording == "mgb3:V_test"
    assert report.dropped == {"other-cut": 2}
    assert report.rows_read == report.kept + 2 == 10
    assert report.facts == {"adapt_transcribers": 3, "test_transcribers": 3}
    assert report.dropped_examples["other-cut"][0] == (
        'row "adapt_1_2.1_3.1" (adapt): a transcriber who was read earlier cut 2.10 to 3.10 s of V_adapt otherwise.'
    )
    written = (tmp_path / "out/train.jsonl").read_text() + (tmp_path / "out/prep_report.json").read_text()
    assert not [name for name in ("Annot", "annot") if name in written]


def test_mgb5(mgb5: Path, tmp_path: Path) -> None:
    report = prepare(mgb5, tmp_path / "out")
    assert report.dropped == {"unintelligible": 1}
    assert (report.rows_read, report.kept) == (4, 3)
    rows = rows_of(tmp_path / "out", "train", "dev")
    assert {key: u.text for key, u in rows.items()} == {"train-2": "لاباس", "dev-1": "كيف داير", "dev-2": "لاباس"}
    assert {(u.accent_raw, u.speaker) for u in rows.values()} == {("Moroccan", None)}  # an utterance is not its own speaker
    assert report.corpus.name == "mgb5"


def test_again_and_after_an_interruption_the_bytes_are_the_same(mgb2: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(mgb2, out)
    first = snapshot(out)
    assert len(first) == 7 + 3
    prepare(mgb2, out)
    assert snapshot(out) == first
    (out / "train.jsonl").unlink()
    (out / "audio/mgb2-SHOWA-utt_2.flac").unlink()
    broken = out / "audio/mgb2-SHOWA_utt_1_align.flac"
    broken.write_bytes(broken.read_bytes()[:100])
    prepare(mgb2, out)
    assert snapshot(out) == first
    prepare(mgb2, mgb2 / "prepared")
    assert {name: len(data) for name, data in snapshot(mgb2 / "prepared").items()} == {name: len(data) for name, data in first.items()}
    prepare(mgb2, mgb2 / "prepared")


@pytest.mark.parametrize("edition", ["mgb2", "mgb3", "mgb5"])
def test_the_parent_is_accepted(edition: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    corpus = request.getfixturevalue(edition)
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).corpus.name == edition
    renamed = corpus.rename(tmp_path / "renamed")
    assert script.find_edition(renamed) == edition


def test_another_folder_is_not(mgb2: Path, mgb5: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"does not look like an MGB corpus; looked for lists in adapt, train, dev, test, found: wav, xml\."):
        prepare(mgb2 / "train", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(mgb2 / "nowhere", tmp_path / "out")
    for split in ("train", "dev"):
        (mgb5 / split / f"{split}.segments.bw").rename(mgb5 / split / "segments")
        (mgb5 / split / f"{split}.txt.bw").rename(mgb5 / split / "text")
    with pytest.raises(CorpusError, match=r"do not tell which MGB challenge they belong to\. Name it with --set edition=mgb2, mgb3 or mgb5"):
        prepare(mgb5, tmp_path / "out")
    assert prepare(mgb5, tmp_path / "out", script.Settings(edition="mgb5"), dry_run=True).kept == 3
    with pytest.raises(MisuseError, match="must be one of: auto, mgb2, mgb3, mgb5"):
        read_settings(script.Settings, ["edition=mgb4"])


def test_links_out_of_the_folder_are_not_followed(mgb5: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.wav"
    inside = mgb5 / "dev/some/where/M_dev.wav"
    inside.rename(outside)
    inside.symlink_to(outside)
    assert prepare(mgb5, tmp_path / "out", dry_run=True).dropped == {"missing": 2, "unintelligible": 1}


value = st.text(alphabet="0123456789.- \t\n_V>|&AlmUNK@#كلم\0é", max_size=30)


@fuzz()
@given(
    lines=st.lists(value, max_size=4),
    place=st.integers(0, 120),
    name=st.sampled_from(["Annot_a/segments", "annot_b/text_noverlap", "Annot_c/text_noverlap"]),
)
def test_mutated_lists_lose_no_row(mgb3: Path, lines: list[str], place: int, name: str) -> None:
    path = mgb3 / "test" / name
    kept = path.read_bytes()
    try:
        path.write_bytes(kept[:place] + "\n".join(lines).encode() + kept[place:])
        intake = Intake()
        try:
            rows = script.read_lists(mgb3 / "test", script.find_recordings(mgb3, mgb3 / "out"), intake)
        except CorpusError:
            return
        keys = {
            key for one in ("Annot_a", "annot_b", "Annot_c") for file in ("segments", "text_noverlap")
            for key in script.read_list(mgb3 / "test" / one / file, Intake())
        }  # fmt: skip
        assert sorted([row.id for row in rows] + [drop.id for drop in intake.drops]) == sorted(keys)
    finally:
        path.write_bytes(kept)
