"""The page as a file: what is in it, what is not, how large it is, and where sound comes from. No browser is needed."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from report_documents import make_entry, make_report

from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.report import browser, clips
from speechadapt.report.browser import browser_data, lines_of, worth_hearing
from speechadapt.report.charts import evened
from speechadapt.report.clips import find_clips
from speechadapt.report.conditions import check_conditions, parse_condition
from speechadapt.report.document import Document, ReportSet, comparison_document, read_document, report_document
from speechadapt.report.junit import junit_xml
from speechadapt.report.markdown import document_markdown
from speechadapt.report.page import html_page
from speechadapt.report.tables_csv import utterances_csv
from speechadapt.score.report import ScoreReport, score


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    value: dict[str, Any] = json.loads(found[1])
    return value


def test_it_stands_alone(run_html: str) -> None:
    assert not re.findall(r"(?:src|href)=[\"'](?!#)[^\"']*", run_html)
    assert not re.findall(r"url\((?!#)[^)]*\)", run_html)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', run_html)
    assert policy
    assert policy[1].startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "http:" not in policy[1]
    assert '<html lang="en">' in run_html


def test_the_verdict_comes_first(run_html: str) -> None:
    assert run_html.index('id="verdict"') < run_html.index('id="groups"') < run_html.index('id="utterances"') < run_html.index('id="provenance"')
    assert "27.8\N{NO-BREAK SPACE}% \N{RIGHTWARDS ARROW} 5.6\N{NO-BREAK SPACE}%" in run_html
    assert "Losses are means of neighboring steps" in run_html
    assert "settings.TRAIN.steps" in run_html


def test_the_same_document_is_the_same_file(run_folder: Path, run_html: str) -> None:
    assert html_page(read_document(run_folder)).html == run_html


def test_strangers_leave_no_markup(hostile_html: str) -> None:
    assert "<script>window" not in hostile_html
    assert "<img" not in hostile_html
    assert "\u202e" not in hostile_html
    assert hostile_html.count("<script") == 2
    hostile_html.encode("utf-8")


def test_a_report_without_groups_or_base(many: Document) -> None:
    html = html_page(many).html
    assert len(data_of(html)["rows"]) == 60
    assert "base against adapted" not in html


def test_one_utterance_of_nobody_knows_whom() -> None:
    html = html_page(report_document(make_report([("u1", None, "yes", "no")], "tiny"))).html
    assert "1 utterance, speakers unknown" in html
    assert "no interval" in html


def test_no_utterance_at_all() -> None:
    document = report_document(make_report([("u1", "s1", "", "invented")], "tiny"))
    html = html_page(document).html
    assert "0 utterances, speakers unknown" in html
    assert "Not counted, no word in the reference" in html
    assert 'id="data"' not in html
    assert utterances_csv(document).count("\n") == 1
    (finding,) = check_conditions(document, [parse_condition("wer > 0.2")])
    assert finding.failed  # nothing was measured, so nothing passed
    assert document_markdown(document).startswith("# tiny on test")
    assert "<failure" not in junit_xml(document)


def test_a_comparison_alone_shows_what_changed(run_folder: Path, tmp_path: Path) -> None:
    shutil.copy(run_folder / "comparison.json", tmp_path / "c.json")
    html = html_page(read_document(tmp_path / "c.json")).html
    assert "The 6 utterances whose number of errors changed" in html
    assert [row[1] for row in data_of(html)["rows"]] == ["u1", "u2", "u3", "u4", "u5", "u0"]


def test_alignments(document: Document) -> None:
    rows = data_of(html_page(document).html)["rows"]
    assert [row[4][0][1] for row in rows[:3]] == ["e3", "s1e2", "e2d1"]
    assert [row[6] for row in rows] == [3] * 6


def test_long_texts_are_cut_and_counted() -> None:
    report = make_report([("u1", "s1", "word " * 100_000, "word " * 50_000 + "x" * 5000), ("u2", "s2", "a", "b")], "tiny")
    row = data_of(html_page(report_document(report)).html)["rows"][0]
    assert row[6] == 100_000
    assert len(row[2].split()) == browser.MOST_WORDS
    assert row[4][0][1:3] == ["e400", 50_000]
    long = make_report([("u1", "s1", "x" * 100_000, "y")], "tiny")
    assert len(data_of(html_page(report_document(long)).html)["rows"][0][2]) == browser.MOST_LETTERS + 1


def test_another_reading_is_told(reports: tuple[ScoreReport, ScoreReport]) -> None:
    lines = lines_of(ReportSet(name="x", role="test", manifest=None, report=reports[0]))
    systems = (("colour it", 0, False, "colour it"), ("color it", 0, False, "color it"))
    other = [browser.Line(id="u", reference="color it", systems=systems, groups={})]
    one = ReportSet(name="x", role="test", manifest=None, report=reports[0])
    document = Document(title="x", sets=(one,))
    assert browser_data(document, [other], [{}])["rows"][0][4] == [["colour it", "e2", 0, 0, "colour it"], ["color it", "e2", 0, 0]]
    assert all(len(system) == 4 for row in browser_data(document, [lines], [{}])["rows"] for system in row[4])


def test_too_many_utterances_are_chosen_by_what_there_is_to_see(document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "MOST_UTTERANCES", 2)
    html = html_page(document).html
    assert len(data_of(html)["rows"]) == 2
    assert data_of(html)["all"] == 6
    assert "The 2 of 6 utterances with the largest change or the most errors" in html


def test_what_is_worth_hearing(document: Document) -> None:
    assert worth_hearing(lines_of(document.sets[0]), 2) == ["u0", "u1"]


def test_clips_lie_where_the_manifest_says(document: Document, corpus: Path, tmp_path: Path) -> None:
    found = find_clips(document.sets[0], corpus)
    assert found.by_id["u3"].source == "audio/3.flac"
    assert found.notes == ()
    inside = corpus / "pages"
    assert find_clips(document.sets[0], inside).by_id["u3"].source == "../audio/3.flac"


def test_names_of_files_are_encoded(corpus: Path, tmp_path: Path) -> None:
    one, path = _with_audio(corpus, tmp_path, 'a b#?"<&.flac')
    assert find_clips(one, path).by_id["u0"].source == "./a%20b%23%3F%22%3C%26.flac"


def test_segments_of_a_recording_have_times(corpus: Path, tmp_path: Path) -> None:
    one, path = _with_audio(corpus, tmp_path, "talk.flac", offset=0.25, duration=0.5)
    assert find_clips(one, path).by_id["u0"].source == "./talk.flac#t=0.250,0.750"
    found = find_clips(one, path, embed=["u0"])
    assert found.embedded == 1
    assert found.by_id["u0"].source.startswith("data:audio/flac;base64,ZkxhQ")
    assert found.bytes == len(found.by_id["u0"].source)


def _with_audio(corpus: Path, folder: Path, name: str, **times: float) -> tuple[ReportSet, Path]:
    shutil.copy(corpus / "audio" / "0.flac", folder / name)
    first = next(iter(Manifest.read(corpus / "test.jsonl")))
    manifest = Manifest([dataclasses.replace(first, audio_filepath=name, **times)], folder=folder, name="one")  # type: ignore[arg-type]
    manifest.write(folder / "one.jsonl")
    report = score(manifest, [Hypothesis(id="u0", text="x")], system="s", normalizer="raw", manifest_path=folder / "one.jsonl")
    return ReportSet(name="one", role="test", manifest=str(folder / "one.jsonl"), report=report), folder


def test_sound_that_does_not_fit_is_told(document: Document, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "LONGEST_CLIP", 0.5)
    page = html_page(document, folder=corpus, embed_audio=2)
    assert page.notes == (
        "0 clips embedded, 0.0 MiB.",
        "2 clips could not be embedded: longer than 0 s, not decodable, or beyond the 24 MiB a page takes.",
    )
    assert "could not be embedded" in page.html


def test_recordings_that_are_gone_are_counted(corpus: Path, document: Document, tmp_path: Path) -> None:
    folder = shutil.copytree(corpus, tmp_path / "corpus")
    (folder / "audio" / "0.flac").unlink()
    one = document.sets[0]
    moved = ReportSet(name=one.name, role=one.role, manifest=str(folder / "test.jsonl"), report=one.report)
    found = find_clips(moved, folder)
    assert sorted(found.by_id) == ["u1", "u2", "u3", "u4", "u5"]
    assert found.notes == ("The recordings of 1 utterance were not found where the manifest says.",)


def test_a_manifest_that_is_gone_or_another(corpus: Path, document: Document, tmp_path: Path) -> None:
    one = document.sets[0]
    gone = ReportSet(name="x", role="test", manifest=str(tmp_path / "none.jsonl"), report=one.report)
    assert find_clips(gone, tmp_path).notes == (f"The manifest {tmp_path}/none.jsonl cannot be read here as a manifest, so no clip can be played.",)
    text = (corpus / "test.jsonl").read_text().replace("the cat sat", "the cat stood")
    (tmp_path / "changed.jsonl").write_text(text)
    other = ReportSet(name="x", role="test", manifest=str(tmp_path / "changed.jsonl"), report=one.report)
    assert find_clips(other, tmp_path).notes == (
        f"The manifest {tmp_path}/changed.jsonl is not the one that was scored: it has changed since. No clip can be played.",
    )
    unknown = ReportSet(name="x", role="test", manifest=None, report=one.report)
    assert find_clips(unknown, tmp_path).notes == ("The report does not say where its manifest lies, so no clip can be played.",)


def test_a_manifest_may_not_reach_out_of_its_folder(corpus: Path, document: Document, tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    shutil.copy(corpus / "audio" / "0.flac", tmp_path / "secret.flac")
    (folder / "test.jsonl").write_text((corpus / "test.jsonl").read_text().replace("audio/0.flac", "../secret.flac"))
    one = ReportSet(name="x", role="test", manifest=str(folder / "test.jsonl"), report=document.sets[0].report)
    assert "u0" not in find_clips(one, folder, embed=["u0"]).by_id


def test_losses_are_evened_out() -> None:
    assert evened([1, 2, 3], [3.0, 2.0, 1.0]) == ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    steps, losses = evened(range(1, 10_001), [2.0] * 10_000)
    assert len(steps) == 300
    assert set(losses) == {2.0}
    assert steps[0] == pytest.approx(17.5)


def test_ten_thousand_utterances_stay_small() -> None:
    words = [f"word{place % 97}" for place in range(10)]
    rows = [(f"corpus-speaker{place % 50:03d}-{place:05d}", f"speaker{place % 50:03d}", " ".join(words)) for place in range(10_000)]
    sides = [[(*row, row[2].replace("word3", heard)) for row in rows] for heard in ("ward3", "word3")]
    base, adapted = (make_report(side, system) for side, system in zip(sides, ("base", "adapted"), strict=True))
    html = html_page(comparison_document(make_entry(base, adapted), base, adapted)).html
    assert len(data_of(html)["rows"]) == 10_000
    assert len(html.encode()) < 5_000_000
