"""MASC: five videos of three channels with their subtitles; the first recording is compared sample by sample."""

import csv
import io
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
from speechadapt.errors import CorpusError
from speechadapt.preparation import Intake, PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "masc")
RATE = 16_000
HEADER = ["video_id", "category", "video_duration", "channel_id", "country", "dialect", "gender", "transcript_duration"]
VIDEOS = {
    "clean_train.csv": [
        ("-first_0001", "people,blogs", "30", "UC1", "egypt", "egyptian", "male", "20"),
        ("second_0002", "news", "5", "UC2", "iraq", "", "both", "3"),
        ("nosubs_0003", "news", "5", "UC2", "iraq", "iraqi", "", "3"),
        ("tested_0005", "news", "5", "UC3", "iraq", "iraqi", "", "3"),  # stands in test too
        ("../../x", "news", "5", "UC3", "iraq", "iraqi", "", "3"),
    ],
    "clean_dev_meta.csv": [("dev_____004", "news", "5", "UC4", "NA", "gulf", "female", "3")],
    "clean_test_meta.csv": [("tested_0005", "news", "5", "UC3", "iraq", "iraqi", "", "3")],
    "noisy_train.csv": [("noisy___006", "news", "5", "UC1", "egypt", "egyptian", "male", "3")],
}
SUBTITLES = {
    "-first_0001": """WEBVTT
Kind: captions

00:00:01.000 --> 00:00:02.503
12] السَّلامُ عَلَيْكُم

00:00:02.503 --> 00:00:04.000
\u200fمرحبـــا <i>بكم</i> جميعا

00:00:04.100 --> 00:00:10.100
بطيء

00:00:10.100 --> 00:00:11.600
بعد البطيء &amp; شيء

00:00:11.600 --> 00:00:12.100
واحد اثنان ثلاثة أربعة خمسة

00:00:12.100 --> 00:00:13.600
[موسيقى]

00:00:20.000 --> 00:00:19.000
قبل

00:00:20.000 --> 00:00:29.500
واحد اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية

00:00:29.500 --> 00:00:41.500
واحد اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة عشرة
""",
    "second_0002": "WEBVTT\n\n00:00.500 --> 00:02.000\nكلمة ثانية ٢٠١٩\n",
    "dev_____004": "WEBVTT\n\n00:00.500 --> 00:02.000\nكلمة ثالثة\n",
    "tested_0005": "WEBVTT\n\n00:00.000 --> 00:02.000\nبطيء\n\n00:03.000 --> 00:04.000\nواحد اثنان ثلاثة أربعة\n",
    "noisy___006": "WEBVTT\n\n00:00.500 --> 00:02.000\nكلمة رابعة\n",
}
DROPPED = {"broken-cue": 1, "empty-text": 1, "no-subtitles": 1, "outside-corpus": 1, "speaking-rate": 2, "video-listed-twice": 1}


def ramp(seconds: float) -> np.ndarray:
    return (np.arange(round(seconds * RATE)) * 7 % 60_000 - 30_000).astype(np.int16)


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "masc"
    for folder in ("audios", "subtitles", "subsets"):
        (root / folder).mkdir(parents=True)
    for name, lines in VIDEOS.items():
        text = io.StringIO()
        csv.writer(text).writerows([HEADER, *lines])
        (root / "subsets" / name).write_text(text.getvalue())
    for seed, (video, text) in enumerate(SUBTITLES.items()):
        (root / f"subtitles/{video}.ar.vtt").write_text(text, encoding="utf-8")
        write_tone(root / f"audios/{video}.wav", 4.5, seed=seed)
    soundfile.write(root / "audios/-first_0001.wav", ramp(42.0), RATE, subtype="PCM_16")
    (tmp_path / "x.ar.vtt").write_text(SUBTITLES["second_0002"], encoding="utf-8")
    write_tone(tmp_path / "x.wav", 4.0)
    return root


def prepare(source: Path, out: Path, setting: Any = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), setting or script.Settings())
    return report


def rows_of(out: Path, *names: str) -> dict[str, Any]:
    return {u.id.removeprefix("masc-"): u for name in names or ("train", "dev", "test") for u in Manifest.read(out / f"{name}.jsonl")}


def snapshot(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.suffix in (".jsonl", ".flac")}


def test_a_row_has_everything_the_corpus_says(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert rows["-first_0001-00001000"].to_json() == {
        "audio_sha1": rows["-first_0001-00001000"].audio_sha1,
        "id": "masc--first_0001-00001000",
        "audio_filepath": "audio/masc--first_0001-00001000.flac",
        "duration": 3.0,
        "text": "السلام عليكم مرحبا بكم جميعا",
        "text_raw": "12] السَّلامُ عَلَيْكُم مرحبـــا بكم جميعا",
        "speaker": "masc:UC1",
        "gender": "male",
        "accent": "egyptian",
        "accent_raw": "egyptian",
        "region": "egypt",
        "language": "ar",
        "recording": "masc:-first_0001",
        "split": "train",
        "meta": {"subset": "clean", "category": "people,blogs", "cues": 2},
    }
    assert rows["second_0002-00000500"].text == "كلمة ثانية 2019"
    assert (rows["second_0002-00000500"].accent, rows["second_0002-00000500"].gender) == (None, None)
    assert rows["dev_____004-00000500"].region == "NA"


def test_cuts_are_exact_to_a_sample(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    for key, first, last in (("-first_0001-00001000", 16_000, 64_000), ("-first_0001-00010100", 161_600, 185_600)):
        samples = np.round(read_waveform(tmp_path / "out" / rows[key].audio_filepath) * 32768).astype(np.int16)
        np.testing.assert_array_equal(samples, ramp(42.0)[first:last])


def test_every_cue_is_accounted_for(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == DROPPED
    assert report.facts == {"videos": 6, "cues": 12, "cues_joined": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 15
    videos_lost = DROPPED["no-subtitles"] + DROPPED["outside-corpus"] + DROPPED["video-listed-twice"]
    assert report.rows_read == 12 - 1 + DROPPED["broken-cue"] + videos_lost
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 5, "dev": 1, "test": 2}
    assert report.test_dropped == ()
    assert report.repairs == {"gender label not understood, left empty": 1}
    assert report.dropped_examples["speaking-rate"] == (
        'cue "-first_0001-00004100" (clean_train.csv, line 2): 0.17 words a second, 0.8 to 3 are accepted.',
        'cue "-first_0001-00011600" (clean_train.csv, line 2): 10.00 words a second, 0.8 to 3 are accepted.',
    )
    assert report.dropped_examples["video-listed-twice"] == (
        'video "tested_0005" (clean_train.csv, line 5): stands in clean_test_meta.csv, line 2 too, where it is kept.',
    )


def test_nothing_is_joined_over_a_dropped_cue_or_beyond_the_limit(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    rows = rows_of(tmp_path / "out", "train")
    assert [(key, u.meta["cues"], u.duration) for key, u in rows.items() if "first" in key] == [
        ("-first_0001-00001000", 2, 3.0), ("-first_0001-00010100", 1, 1.5), ("-first_0001-00020000", 1, 9.5), ("-first_0001-00029500", 1, 12.0),
    ]  # fmt: skip
    prepare(corpus, tmp_path / "longer", script.Settings(merged=22.0, slowest=0.1, fastest=11.0))
    longer = rows_of(tmp_path / "longer", "train")
    assert [(key, u.meta["cues"]) for key, u in longer.items() if "first" in key] == [("-first_0001-00001000", 5), ("-first_0001-00020000", 2)]


def test_subsets_and_channels(corpus: Path, tmp_path: Path) -> None:
    every = prepare(corpus, tmp_path / "all", script.Settings(subset="all"))
    assert every.splits["train"]["utterances"] == 6
    assert "noisy_test.csv is not there, nor noisy_test_meta.csv: this list was left out" in every.notes
    noisy = prepare(corpus, tmp_path / "noisy", script.Settings(subset="noisy"))
    assert (noisy.kept, noisy.facts["videos"]) == (1, 1)
    divided = prepare(corpus, tmp_path / "divided", script.Settings(subset="all"), splits="speaker")
    assert all(pair["speakers"] == pair["recordings"] == 0 for pair in divided.overlap.values())


def test_broken_files_are_counted(corpus: Path, tmp_path: Path) -> None:
    (corpus / "subtitles/second_0002.ar.vtt").write_bytes(SUBTITLES["second_0002"].encode("cp1256", "ignore"))
    (corpus / "audios/-first_0001.wav").unlink()
    with (corpus / "subsets/clean_dev_meta.csv").open("a") as file:
        file.write("only,two\n")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {**DROPPED, "no-subtitles": 2, "missing": 4, "wrong-columns": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 16


def test_other_names_of_subtitles_are_found(corpus: Path, tmp_path: Path) -> None:
    (corpus / "subtitles/tested_0005.ar.vtt").rename(corpus / "subtitles/tested_0005.VTT")
    assert prepare(corpus, tmp_path / "out", dry_run=True).splits["test"]["utterances"] == 2


def test_ids_may_not_leave_the_folder(corpus: Path, tmp_path: Path) -> None:
    path = corpus / "subsets/clean_train.csv"
    path.write_text(path.read_text().replace("../../x", str(tmp_path / "x")))
    report = prepare(corpus, tmp_path / "out", dry_run=True)
    assert report.dropped == DROPPED
    assert f'"{tmp_path}/x.ar.vtt" leaves the folder of the corpus' in report.dropped_examples["outside-corpus"][0]


def test_again_and_after_an_interruption_the_bytes_are_the_same(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(corpus, out)
    first = snapshot(out)
    assert len(first) == 8 + 3
    prepare(corpus, out)
    assert snapshot(out) == first
    (out / "train.jsonl").unlink()
    (out / "audio/masc--first_0001-00001000.flac").unlink()
    broken = out / "audio/masc-second_0002-00000500.flac"
    broken.write_bytes(broken.read_bytes()[:100])
    prepare(corpus, out)
    assert snapshot(out) == first


def test_the_parent_is_accepted_and_another_folder_is_not(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 8
    with pytest.raises(CorpusError, match=r"does not look like MASC; looked for audios/ and subtitles/, found: clean_dev_meta\.csv"):
        prepare(corpus / "subsets", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")
    for path in (corpus / "subsets").glob("clean*"):
        path.unlink()
    with pytest.raises(CorpusError, match=r"no list of the subset clean; looked for subsets/clean_train\.csv and the like"):
        prepare(corpus, tmp_path / "out")
    (corpus / "subsets/clean_train.csv").write_text("id,channel\n1,2\n")
    with pytest.raises(CorpusError, match="no column video_id; there are: id, channel"):
        prepare(corpus, tmp_path / "out")


@pytest.mark.parametrize(
    ("raw", "clean"), [("12] مرحبا", "مرحبا"), ("٣] مرحبا", "مرحبا"), ("[ضحك] مرحبا [ضحك]", "مرحبا"), ("مرحبا 12]", "مرحبا 12]"), ("[تصفيق]", "")]
)
def test_cue_texts(raw: str, clean: str) -> None:
    assert script.clean_cue(raw) == clean


value = st.text(alphabet='0123456789:.,->< \n"/\\WEBVTمرحبا\u200f[]\0é', max_size=40)


@fuzz()
@given(
    lines=st.lists(value, max_size=4), place=st.integers(0, 500), where=st.sampled_from(["subtitles/-first_0001.ar.vtt", "subsets/clean_train.csv"])
)
def test_mutated_files_lose_no_cue(corpus: Path, lines: list[str], place: int, where: str) -> None:
    path = corpus / where
    kept = path.read_bytes()
    try:
        path.write_bytes(kept[:place] + "\n".join(lines).encode() + kept[place:])
        intake, counts = Intake(), script.Counter()
        try:
            videos = script.read_videos(corpus, "clean", intake)
            listed = len(intake.drops)
            rows = [row for video in videos for row in script.read_video(corpus, video, script.Settings(), counts, intake)]
        except CorpusError:
            return
        lost = [drop for drop in intake.drops[listed:] if drop.reason in ("no-subtitles", "outside-corpus", "broken-cue")]
        assert len(rows) + len(intake.drops) - listed == counts["cues"] - counts["cues_joined"] + len(lost)
    finally:
        path.write_bytes(kept)
