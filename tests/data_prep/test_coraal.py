"""CORAAL: two components in one folder, three interviews, with the oddities of the published transcripts and some planted ones."""

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
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "coraal")
RATE = 16_000
FIRST, SECOND, THIRD = "ATL_se0_ag1_f_01_1", "ATL_se0_ag2_m_02_1", "DCA_se1_ag3_m_01_2"
HER, HIM = "ATL_se0_ag1_f_01", "ATL_se0_ag2_m_02"
HEADER = "Line\tSpkr\tStTime\tContent\tEnTime"
LINES = {
    FIRST: [
        (HER, 0.5, "[Yeah] I mean, <laugh> we wen- went--", 2.3),
        (HER, 2.3, "(pause 0.4)", 2.7),
        (HER, 2.7, "out [to the] /store/, {noise} you know.", 4.1),
        ("ATL_int_01", 4.1, "Mhm.", 4.4),
        (HER, 4.4, "And then we come home.", 6.6),
        (HER, 6.6, "/RD-NAME-2/ said so.", 7.0),  # bleeped: nothing is joined over it
        (HER, 7.0, "That was [a] long day, NA.", 9.25),
        (HER, 9.3, "/unintelligible/ it.", 9.5),
        (HER, 9.5, "/?/ something", 9.6),
        (HER, 9.6, "<cough>", 9.7),
        (HER, 9.7, "Short.", 10.2),
        ("ATL_int_01", 10.2, "(pause 1.0)", 11.0),
        (HER, 14.0, "An end before its start.", 13.0),
        (HER, 14.5, "A long line that goes on and on.", 45.0),
        ("ATL_misc_01", 45.0, "Hey!", 46.0),
    ],
    SECOND: [(HIM, 0.25, "I stayed right here.", 2.75), (HIM, 5.0, "After a long pause.", 7.5), ("ATL_se0_ag2_m_0", 7.5, "Another person.", 9.9)],
    THIRD: [("DCA_se1_ag3_m_01", 1.0, "They aks me.", 3.5)],
}
METADATA = "CORAAL.Spkr\tCORAAL.Sub\tCORAAL.File\tPrimary.Spkr\tGender\tAge\tOccupation\tSampling.Rate"
FACTS = {"lines": 20, "lines_joined": 1, "lines_of_others": 3, "pauses": 2, "transcripts": 3}
DROPPED = {"empty-text": 1, "out-of-range": 1, "redacted": 1, "too-long": 1, "too-short": 1, "unintelligible": 2, "wrong-columns": 1}


def ramp(seconds: float) -> np.ndarray:
    return (np.arange(round(seconds * RATE)) * 7 % 60_000 - 30_000).astype(np.int16)


def transcript(base: str) -> str:
    lines = [f"{number}\t{who}\t{start}\t{said}\t{end}" for number, (who, start, said, end) in enumerate(LINES[base], start=1)]
    return "\n".join([HEADER, *lines]) + "\n"


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "coraal"
    for base in LINES:
        folder = root / f"{base[:3]}_textfiles_2020.05"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{base}.txt").write_text(transcript(base))
    with (root / "ATL_textfiles_2020.05" / f"{FIRST}.txt").open("a") as file:
        file.write("16\tATL_misc_01\n")
    (root / "ATL_textfiles_2020.05/._junk.txt").write_text(transcript(SECOND))
    (root / "ATL_textfiles_2020.05/README.txt").write_text("About these files\n")
    old = root / "ATL_textfiles_2018.10"
    old.mkdir()
    (old / f"{SECOND}.txt").write_text(HEADER + f"\n1\t{HIM}\t0.25\tAn older version.\t2.75\n")
    (root / "ATL_audio").mkdir()
    soundfile.write(root / f"ATL_audio/{FIRST}.WAV", ramp(46.0), RATE, subtype="PCM_16")
    write_tone(root / f"ATL_audio/{SECOND}.wav", 10.0, seed=2)
    write_tone(root / f"DCA_audio/{THIRD}.wav", 4.0, seed=3)
    (root / "ATL_metadata_2020.05.txt").write_text(
        f"{METADATA}\n{HER}\tATL\t{FIRST}\tyes\tFemale\t21\tbaker\t44100\n{HER}\tATL\t{FIRST[:-1]}2\tyes\tFemale\t23\tbaker\t44100\nbroken\n"
        f"{HIM}\tATL\t{SECOND}\tyes\t\tNA\tbaker\t44100\n"
    )
    return root


def prepare(source: Path, out: Path, setting: Any = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), setting or script.Settings())
    return report


def rows_of(out: Path) -> dict[str, Any]:
    return {u.id.removeprefix("coraal-"): u for u in Manifest.read(out / "all.jsonl")}


def snapshot(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.suffix in (".jsonl", ".flac")}


def test_a_row_has_everything_the_corpus_says(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert list(rows) == [f"{FIRST}-1", f"{FIRST}-5", f"{FIRST}-7", f"{SECOND}-1", f"{SECOND}-2", f"{THIRD}-1"]
    assert rows[f"{FIRST}-1"].to_json() == {
        "audio_sha1": rows[f"{FIRST}-1"].audio_sha1,
        "id": f"coraal-{FIRST}-1",
        "audio_filepath": f"audio/coraal-{FIRST}-1.flac",
        "duration": 3.6,
        "text": "Yeah I mean, we wen- went out to the store , you know.",
        "text_raw": "[Yeah] I mean, <laugh> we wen- went-- out [to the] /store/, {noise} you know.",
        "speaker": f"coraal:{HER}",
        "gender": "female",
        "age": "21",
        "accent": "en_african_american",
        "accent_raw": "African American Language",
        "region": "Atlanta",
        "language": "en",
        "recording": f"coraal:{HER}",
        "meta": {"component": "ATL", "class_group": "se0", "age_group": "ag1", "lines": 2},
    }
    assert (rows[f"{SECOND}-1"].gender, rows[f"{SECOND}-1"].age) == ("male", "NA")  # the name of the file says m; NA is what is published
    assert (rows[f"{THIRD}-1"].gender, rows[f"{THIRD}-1"].region, rows[f"{THIRD}-1"].recording) == (
        "male",
        "Washington, D.C.",
        "coraal:DCA_se1_ag3_m_01",
    )
    assert "baker" not in (tmp_path / "out/all.jsonl").read_text()


def test_cuts_are_exact_to_a_sample(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    for key, first, last in ((f"{FIRST}-1", 8_000, 65_600), (f"{FIRST}-7", 112_000, 148_000)):
        samples = np.round(read_waveform(tmp_path / "out" / rows[key].audio_filepath) * 32768).astype(np.int16)
        np.testing.assert_array_equal(samples, ramp(46.0)[first:last])


def test_every_line_is_accounted_for(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == DROPPED
    assert report.facts == FACTS
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 14
    assert report.rows_read == FACTS["lines"] - FACTS["lines_of_others"] - FACTS["pauses"] - FACTS["lines_joined"]
    assert report.repairs == {"metadata: line with another number of values, passed over": 1, "transcript stands twice, the last by path is kept": 1}
    assert report.dropped_examples["redacted"] == (
        f'row "{FIRST}-6" ({FIRST}.txt): "/RD-NAME-2/ said so." was bleeped, so it cannot be learned from.',
    )
    assert report.dropped_examples["too-short"] == (
        f'row "{FIRST}-11" ({FIRST}.txt): 0.50 s, 2 to 30 s are asked for. Change it with --set shortest=SECONDS or longest=SECONDS.',
    )


def test_only_the_interviewee_is_heard(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert {u.speaker for u in rows.values()} == {f"coraal:{HER}", f"coraal:{HIM}", "coraal:DCA_se1_ag3_m_01"}
    assert not [u.text for u in rows.values() if "Mhm" in u.text or "Another" in u.text or "older" in u.text]


def test_settings_choose_how_lines_are_joined(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "far", script.Settings(gap=3.0))
    far = rows_of(tmp_path / "far")
    assert far[f"{SECOND}-1"].text == "I stayed right here. After a long pause."
    assert far[f"{FIRST}-5"].meta["lines"] == 1  # a bleeped line stands between it and the next
    alone = prepare(corpus, tmp_path / "alone", script.Settings(merged=1.0, shortest=1.0, fragments="drop"))
    assert alone.facts["lines_joined"] == 0
    assert rows_of(tmp_path / "alone")[f"{FIRST}-1"].text == "Yeah I mean, we went"
    mapped = prepare(corpus, tmp_path / "mapped", accent_map={"african american language": "aal"}, dry_run=True)
    assert list(mapped.accents) == ["aal"]


def test_a_line_without_times_is_not_joined_over(corpus: Path, tmp_path: Path) -> None:
    path = corpus / f"ATL_textfiles_2020.05/{SECOND}.txt"
    path.write_text(f"{HEADER}\n1\t{HIM}\t0\tOne thing\t2.5\n2\t{HIM}\tx\tlost\t2.6\n3\t{HIM}\t2.6\tand another.\t5\n")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped["out-of-range"] == 2
    assert [u.text for key, u in rows_of(tmp_path / "out").items() if key.startswith(SECOND)] == ["One thing", "and another."]


def test_speakers_are_divided(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", splits="speaker")
    assert {pair: (shared["speakers"], shared["recordings"]) for pair, shared in report.overlap.items()} == dict.fromkeys(report.overlap, (0, 0))
    assert sorted(report.splits) == ["dev", "test", "train"]


def test_missing_audio_counts_by_row(corpus: Path, tmp_path: Path) -> None:
    (corpus / f"ATL_audio/{SECOND}.wav").unlink()
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {**DROPPED, "missing": 2}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 14


def test_links_out_of_the_folder_are_not_followed(corpus: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.wav"
    (corpus / f"ATL_audio/{SECOND}.wav").rename(outside)
    (corpus / f"ATL_audio/{SECOND}.wav").symlink_to(outside)
    (tmp_path / "secret.txt").write_text(transcript(SECOND))
    (corpus / "ATL_se0_ag9_m_09_1.txt").symlink_to(tmp_path / "secret.txt")
    report = prepare(corpus, tmp_path / "out", dry_run=True)
    assert report.dropped == {**DROPPED, "missing": 2}
    assert report.facts == FACTS


def test_again_and_after_an_interruption_the_bytes_are_the_same(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(corpus, out)
    first = snapshot(out)
    assert len(first) == 6 + 1
    prepare(corpus, out)
    assert snapshot(out) == first
    (out / "all.jsonl").unlink()
    (out / f"audio/coraal-{FIRST}-1.flac").unlink()
    broken = out / f"audio/coraal-{SECOND}-1.flac"
    broken.write_bytes(broken.read_bytes()[:100])
    prepare(corpus, out)
    assert snapshot(out) == first


def test_the_parent_is_accepted_and_another_folder_is_not(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 6
    with pytest.raises(CorpusError, match=r"no transcript of CORAAL below it; looked for \*\.txt that begin with Line Spkr StTime Content EnTime"):
        prepare(corpus / "ATL_audio", tmp_path / "out")
    with pytest.raises(CorpusError, match=r"found: no such folder\. It should be a folder into which archives of CORAAL were unpacked"):
        prepare(corpus / "nowhere", tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "parsed"),
    [
        ("(pause 0.17)", ("", "pause")),
        ("I (pause 0.1) know", ("I know", "")),
        ("[Yea]h, he/she and/or them", ("Yeah, he she and or them", "")),
        ("/RD-SCHOOL-1/", ("", "redacted")),
        ("we /rd-name-1/", ("", "redacted")),
        ("the /?/ thing", ("", "unintelligible")),
        ("the /??unintelligible/ thing", ("", "unintelligible")),
        ("the /what?/ thing", ("the what? thing", "")),
        ("<laugh>", ("", "empty-text")),
        ("", ("", "empty-text")),
        ("<laugh I {", ("laugh I", "")),
    ],
)
def test_markup(content: str, parsed: tuple[str, str]) -> None:
    assert script.parse_content(content) == parsed


def test_fragments() -> None:
    assert script.parse_content("th- the wor-- well-known i- it's", "drop") == ("the wor well-known it's", "")


value = st.text(alphabet="0123456789.-\tATLse_ag1f()[]/<>{}RD?\"'\né\0 ", max_size=30)


@fuzz(80)
@given(lines=st.lists(value, max_size=4), place=st.integers(0, 900), where=st.sampled_from(["transcript", "metadata"]))
def test_mutated_files_lose_no_line(corpus: Path, lines: list[str], place: int, where: str) -> None:
    path = corpus / ("ATL_metadata_2020.05.txt" if where == "metadata" else f"ATL_textfiles_2020.05/{FIRST}.txt")
    kept = path.read_bytes()
    try:
        path.write_bytes(kept[:place] + "\n".join(lines).encode() + kept[place:])
        try:
            report = prepare(corpus, corpus.parent / "out", dry_run=True)
        except CorpusError:
            return
        facts = report.facts
        assert report.rows_read == report.kept + sum(report.dropped.values())
        assert report.rows_read == facts["lines"] - facts.get("lines_of_others", 0) - facts.get("pauses", 0) - facts["lines_joined"]
    finally:
        path.write_bytes(kept)
