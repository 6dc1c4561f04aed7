"""Joining by id, pooling, groups, what is dropped and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import MisuseError, ScoreError, SpeechadaptError
from speechadapt.score.counts import ErrorCounts, pool
from speechadapt.score.report import ScoreReport, score

ManifestMaker = Callable[..., Manifest]
ReportMaker = Callable[..., ScoreReport]


def utterance(key: str, text: str, **fields: object) -> Utterance:
    return Utterance.from_json({"id": key, "audio_filepath": f"{key}.flac", "duration": 2.0, "text": text, **fields}, "test")


def test_rates_are_pooled_and_joined_by_id_in_any_order(make_manifest: ManifestMaker) -> None:
    manifest = make_manifest([("a", "s1", "one two three four five six seven eight nine ten"), ("b", "s2", "yes")])
    hypotheses = [Hypothesis(id="b", text="no"), Hypothesis(id="a", text="one two three four five six seven eight nine ten")]
    report = score(manifest, hypotheses, system="x", normalizer="raw")
    assert report.wer == 1 / 11  # the mean over utterances would be 0.5
    assert [entry.id for entry in report.utterances] == ["a", "b"]
    assert report.words == ErrorCounts(hits=10, substitutions=1)
    assert (report.manifest, report.fingerprint, report.speakers) == ("test", manifest.fingerprint, 2)


def test_both_sides_go_through_the_same_normalizer(make_manifest: ManifestMaker) -> None:
    manifest = make_manifest([("a", "s1", "It's twenty-one, Mr. Colour!")])
    hypotheses = [Hypothesis(id="a", text="it is 21 mister color")]
    assert score(manifest, hypotheses, system="x").wer == 0.0
    assert score(manifest, hypotheses, system="x", normalizer="raw").wer == 1.25  # four reference words, five heard, none the same
    report = score(manifest, hypotheses, system="x")
    assert report.normalizer == "english"
    assert report.normalizer_version.startswith("whisper-normalizer ")


def test_empty_references_are_dropped_named_and_what_was_said_there_counted(make_manifest: ManifestMaker) -> None:
    manifest = make_manifest([("a", "s1", "hello there"), ("b", "s1", "..."), ("c", "s2", "")])
    hypotheses = [Hypothesis(id="a", text="hello there"), Hypothesis(id="b", text="thank you for watching"), Hypothesis(id="c", text="")]
    report = score(manifest, hypotheses, system="x", normalizer="basic")
    assert report.empty_references == ("b", "c")
    assert report.words_on_empty == 4
    assert report.words == ErrorCounts(hits=2)
    assert report.audio_seconds == 2.0


def test_an_empty_hypothesis_is_never_dropped(make_report: ReportMaker) -> None:
    report = make_report([("a", "s1", "one two", ""), ("b", "s2", "three", "three")])
    assert report.words == ErrorCounts(hits=1, deletions=2)
    assert report.wer == 2 / 3


def test_a_manifest_without_words_has_no_rate(make_report: ReportMaker) -> None:
    report = make_report([("a", "s1", "", "what"), ("b", "s2", "", "")])
    assert report.wer is None
    assert report.cer is None
    assert report.interval is None
    assert ScoreReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_missing_hypotheses_are_refused_and_named(make_manifest: ManifestMaker) -> None:
    manifest = make_manifest([(f"u{number}", "s1", "word") for number in range(8)])
    with pytest.raises(ScoreError) as caught:
        score(manifest, [Hypothesis(id="u0", text="word")], system="tiny")
    assert str(caught.value) == (
        '7 of the 8 utterances of "test" have no hypothesis from "tiny": "u1", "u2", "u3", "u4", "u5" and 2 more. '
        "Transcribe them too, or count them as empty with --missing-as-empty (in Python missing_as_empty=True)."
    )


def test_missing_hypotheses_count_as_empty_when_asked_and_extra_ones_are_named(make_manifest: ManifestMaker) -> None:
    manifest = make_manifest([("a", "s1", "one"), ("b", "s1", "two three")])
    hypotheses = [Hypothesis(id="a", text="one"), Hypothesis(id="z", text="stray")]
    report = score(manifest, hypotheses, system="x", normalizer="raw", missing_as_empty=True)
    assert (report.missing, report.extra) == (("b",), ("z",))
    assert report.words == ErrorCounts(hits=1, deletions=2)


def test_an_id_that_stands_twice_is_refused(make_manifest: ManifestMaker) -> None:
    with pytest.raises(ScoreError) as caught:
        score(make_manifest([("a", "s1", "one")]), [Hypothesis(id="a", text="one"), Hypothesis(id="a", text="two")], system="x")
    assert str(caught.value) == 'hypothesis "a" stands twice; every utterance is scored once. Keep one of them.'


def test_groups_by_any_field_or_meta_key_add_up_to_the_whole() -> None:
    manifest = Manifest(
        [
            utterance("a", "one two", accent="hindi", speaker="s1", device="phone"),
            utterance("b", "three four", accent="mandarin", speaker="s2", device="studio"),
            utterance("c", "five six", speaker="s2"),
        ],
        folder=Path(),
    )
    hypotheses = [Hypothesis(id="a", text="one two"), Hypothesis(id="b", text="three"), Hypothesis(id="c", text="x y")]
    report = score(manifest, hypotheses, system="x", normalizer="raw", by=("accent", "device", "gender", "speaker"))
    assert list(report.groups) == ["accent", "device", "speaker"]  # nobody's gender is known
    assert list(report.groups["accent"]) == ["(unknown)", "hindi", "mandarin"]
    assert report.groups["device"]["studio"].words == ErrorCounts(hits=1, deletions=1)
    assert report.groups["speaker"]["s2"].utterances == 2
    for found in report.groups.values():
        assert pool(group.words for group in found.values()) == report.words
        assert pool(group.characters for group in found.values()) == report.characters
    assert report.macro_wer("accent") == pytest.approx((1 + 0 + 0.5) / 3)
    assert report.macro_wer("gender") is None


def test_an_unknown_field_lists_the_fields(make_manifest: ManifestMaker) -> None:
    manifest = make_manifest([("a", "s1", "one")], meta={"device": "phone"})
    with pytest.raises(ScoreError) as caught:
        score(manifest, [Hypothesis(id="a", text="one")], system="x", by=("acent", "speaker"))
    assert str(caught.value) == (
        'cannot group by "acent": no utterance of "test" has it. There are: id, audio_filepath, duration, text, offset, text_raw, speaker, '
        "gender, age, accent, accent_raw, l1, region, language, recording, split, audio_sha1, device. Check the spelling."
    )


def test_an_unknown_normalizer_is_misuse(make_manifest: ManifestMaker) -> None:
    with pytest.raises(MisuseError, match='no normalizer is called "englisch"'):
        score(make_manifest([("a", "s1", "one")]), [Hypothesis(id="a", text="one")], system="x", normalizer="englisch")


def test_real_time_factor_counts_only_clips_whose_time_is_known(make_manifest: ManifestMaker) -> None:
    manifest = make_manifest([("a", "s1", "one"), ("b", "s1", "two"), ("c", "s1", "three")])  # two seconds each
    hypotheses = [Hypothesis(id="a", text="one", seconds=0.5), Hypothesis(id="b", text="two", seconds=0.1), Hypothesis(id="c", text="three")]
    assert score(manifest, hypotheses, system="x").real_time_factor == pytest.approx(0.6 / 4)
    assert score(manifest, [Hypothesis(id=key, text="") for key in "abc"], system="x").real_time_factor is None


def test_loops_and_invented_text_are_hinted_at(make_report: ReportMaker) -> None:
    report = make_report([("loop", "s1", "thank you", "thank you " * 6), ("fine", "s1", "one two three", "one two three four five six")])
    assert report.runaways == ("loop",)
    assert report.words.insertion_rate == 13 / 5
    assert report.to_json()["length_ratio"] == 18 / 5


def test_characters_without_blanks_for_scripts_without_them(make_report: ReportMaker) -> None:
    report = make_report([("a", "s1", "你好世界", "你好 世")], normalizer="basic:zh")
    assert report.words == report.characters == ErrorCounts(hits=3, deletions=1)


def test_the_interval_resamples_speakers(make_report: ReportMaker) -> None:
    rows = [(f"u{number}", f"s{number // 2}", "a b c d", "a b c d" if number % 4 else "a x y d") for number in range(20)]
    report = make_report(rows)
    assert report.interval is not None
    assert (report.interval.unit, report.interval.units) == ("speakers", 10)
    assert report.interval.low <= report.wer <= report.interval.high  # type: ignore[operator]


def test_an_interval_of_a_rate_never_begins_below_zero(make_report: ReportMaker) -> None:
    report = make_report([("a", "s1", "a b c d", "a b c d"), ("b", "s2", "a b c d", "a b c x"), ("c", "s3", "a b c d", "a b c d")])
    assert report.interval is not None
    assert report.interval.low == 0.0


def test_write_and_read(make_report: ReportMaker, tmp_path: Path) -> None:
    report = make_report([("a", "s1", "one two", "one"), ("b", "s2", "three", "free"), ("c", None, "", "x")], decode={"window": "full", "beam": 1})
    path = tmp_path / "report.json"
    report.write(path)
    assert ScoreReport.read(path) == report
    row = json.loads(path.read_text(encoding="utf-8"))
    assert row["wer"] == 2 / 3
    assert row["words"] == {"hits": 1, "substitutions": 1, "deletions": 1, "insertions": 0}
    assert row["groups"]["speaker"]["s1"]["wer"] == 0.5
    assert row["ci95"] == [row["interval"]["low"], row["interval"]["high"]]
    assert row["provenance"]["packages"]["jiwer"]
    assert row["decode"] == {"window": "full", "beam": 1}


def test_reading_what_is_no_report(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text('{"system": "x"}', encoding="utf-8")
    with pytest.raises(ScoreError) as caught:
        ScoreReport.read(path)
    assert str(caught.value) == f"{path}: not a score report (KeyError('manifest')). Make one with: speechadapt score REFS HYPS --out FILE"
    with pytest.raises(SpeechadaptError, match="no such file"):
        ScoreReport.read(tmp_path / "none.json")
