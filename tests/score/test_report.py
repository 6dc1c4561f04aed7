"""Joining by id, pooling, groups, what is dropped and what is refused."""

import dataclasses
import json
import random
from collections.abc import Callable
from pathlib import Path

import jiwer
import pytest

from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.data.reference import Reference, ReferenceSet
from speechadapt.data.utterance import Utterance
from speechadapt.errors import MisuseError, ScoreError, SpeechadaptError
from speechadapt.score.compare import compare
from speechadapt.score.counts import ErrorCounts, pool
from speechadapt.score.render import report_text
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
    assert list(report.groups["accent"]) == ["hindi", "mandarin", "(unknown)"]
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
        "gender, age, accent, accent_raw, l1, region, language, recording, split, audio_sha1, device, "
        "length, speaking_rate, snr, bandwidth. Check the spelling."
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


GOLDEN = Path(__file__).parent.parent / "golden" / "report_0_1_0.json"


def test_a_report_of_version_0_1_0_reads_as_it_was() -> None:
    old = json.loads(GOLDEN.read_text(encoding="utf-8"))
    report = ScoreReport.read(GOLDEN)
    assert (report.wer, report.cer, report.speakers, report.runaways) == (old["wer"], old["cer"], old["speakers"], ())
    assert (report.alignment, report.alternatives, report.several, report.repaired, report.empty_seconds) == ("levenshtein", False, 0, (), None)
    new = report.to_json()
    assert {key: new[key] for key in old if key not in ("groups", "interval")} == {key: old[key] for key in old if key not in ("groups", "interval")}
    for field, found in old["groups"].items():
        for value, group in found.items():
            assert {key: new["groups"][field][value][key] for key in group} == group
    assert ScoreReport.from_json(json.loads(json.dumps(new))) == report


def test_a_report_takes_a_tuple_and_prints_as_one(make_report: ReportMaker) -> None:
    report = make_report([("a", "s1", "one two", "one"), ("b", "s2", "three", "free")])
    assert dataclasses.replace(report, utterances=tuple(report.utterances)) == report
    assert dataclasses.replace(report, utterances=report.utterances[:1]) != report
    assert f"utterances={tuple(report.utterances)!r}, interval=" in repr(report)


def test_rates_are_those_of_jiwer(make_report: ReportMaker) -> None:
    rows = [("a", "s1", "one two three four", "one too three"), ("b", "s2", "five six", "five six seven eight"), ("c", "s3", "nine", "nine")]
    report = make_report(rows)
    theirs = jiwer.process_words([row[2] for row in rows], [row[3] for row in rows])
    assert (report.wer, report.match_error_rate) == (theirs.wer, theirs.mer)
    assert (report.words.information_lost, report.words.information_preserved) == (theirs.wil, theirs.wip)
    assert report.cer == jiwer.cer([row[2] for row in rows], [row[3] for row in rows])
    row = report.to_json()
    assert (row["substitution_rate"], row["deletion_rate"], row["insertion_rate"]) == (1 / 7, 1 / 7, 2 / 7)
    assert (row["match_error_rate"], row["information_lost"], row["information_preserved"]) == (theirs.mer, theirs.wil, theirs.wip)
    assert row["sentence_error_rate"] == report.sentence_error_rate == 2 / 3
    assert row["groups"]["speaker"]["s3"]["sentence_error_rate"] == 0.0
    assert row["groups"]["speaker"]["s1"]["match_error_rate"] == 2 / 4


def test_the_mixed_error_rate_counts_characters_of_chinese_and_words_of_english(make_report: ReportMaker) -> None:
    rows = [("a", "s1", "今天 天气 very good", "今天 天汽 very bad"), ("b", "s2", "all english", "all english")]
    report = make_report(rows)
    assert report.words == ErrorCounts(hits=4, substitutions=2)
    assert report.mixed == ErrorCounts(hits=6, substitutions=2)  # 今 天 天 气 very good all english
    assert report.mixed_error_rate == 2 / 8
    assert report.match_error_rate == 2 / 6  # the other one that is abbreviated MER
    assert report.groups["speaker"]["s1"].mixed == ErrorCounts(hits=4, substitutions=2)
    assert report.to_json()["mixed_error_rate"] == 0.25
    assert ScoreReport.from_json(json.loads(json.dumps(report.to_json()))).mixed == report.mixed
    words = make_report(rows, normalizer="basic:zh")
    assert words.words == words.mixed == report.mixed
    assert "mixed error rate 25.0 %" in report_text(report)
    assert "mixed" not in report_text(words)


def test_without_words_no_rate(make_report: ReportMaker) -> None:
    report = make_report([("a", "s1", "", "what")])
    assert (report.mixed_error_rate, report.match_error_rate, report.sentence_error_rate, report.words.information_lost) == (None,) * 4
    assert (report.words_on_empty, report.empty_seconds, report.invented_per_minute) == (1, 2.0, 30.0)
    assert report_text(report).splitlines()[-1].endswith("the system said 1 word there (30.0 per minute of audio).")


def test_words_invented_per_minute_need_every_duration() -> None:
    hypotheses = [Hypothesis(id="a", text="thank you"), Hypothesis(id="b", text="hm")]
    durations: list[tuple[float | None, float | None]] = [(10.0, 20.0), (10.0, None)]
    rates = []
    for pair in durations:
        references = ReferenceSet(Reference(id=key, texts=("",), duration=duration) for key, duration in zip("ab", pair, strict=True))
        rates.append(score(references, hypotheses, system="x", normalizer="raw").invented_per_minute)
    assert rates == [6.0, None]


def test_references_without_audio() -> None:
    references = ReferenceSet(
        [Reference(id="a", texts=("one two",), speaker="s1", fields={"room": "big"}), Reference(id="b", texts=("three",))], name="dev", path="dev.stm"
    )
    report = score(
        references,
        [Hypothesis(id="a", text="one"), Hypothesis(id="b", text="three", seconds=1.0)],
        system="x",
        normalizer="raw",
        by=("room", "speaker"),
    )
    assert (report.words, report.manifest, report.manifest_path) == (ErrorCounts(hits=2, deletions=1), "dev", "dev.stm")
    assert (report.audio_seconds, report.real_time_factor, report.fingerprint) == (0.0, None, references.fingerprint)
    assert {field: list(found) for field, found in report.groups.items()} == {"room": ["big", "(unknown)"], "speaker": ["s1", "(unknown)"]}


def test_of_several_references_the_one_with_the_fewest_errors_counts() -> None:
    manifest = Manifest([utterance("a", "عايز ايه", references=["عاوز ايه", "عايز إيه"]), utterance("b", "one")], folder=Path())
    said = [Hypothesis(id="a", text="عاوز إيه"), Hypothesis(id="b", text="one")]
    report = score(manifest, said, system="x", normalizer="raw")
    assert report.utterances[0].reference == "عاوز ايه"  # one error, as against the third; the first has two
    assert report.words == ErrorCounts(hits=2, substitutions=1)
    assert report.utterances[0].characters == ErrorCounts(hits=7, substitutions=1)
    assert report.several == 1
    assert report.fingerprint == ReferenceSet.from_manifest(manifest).fingerprint != manifest.fingerprint
    assert score(ReferenceSet.from_manifest(manifest), said, system="x", normalizer="raw").words == report.words
    assert ScoreReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_a_reference_may_be_empty_if_another_is_not() -> None:
    references = ReferenceSet([Reference(id="a", texts=("hm", "...")), Reference(id="b", texts=("...", "!"))])
    report = score(references, [Hypothesis(id="a", text=""), Hypothesis(id="b", text="x")], system="x", normalizer="basic")
    assert (report.words, report.empty_references, report.words_on_empty) == (ErrorCounts(), ("b",), 1)
    assert report.utterances[0].reference == ""


def test_alternatives_are_read_only_when_asked_for(make_report: ReportMaker) -> None:
    rows = [("a", "s1", "{ going to / gonna } try", "gonna try"), ("b", "s2", "(uh) two words", "two words"), ("c", "s2", "three", "three")]
    report = make_report(rows, alternatives=True)
    assert report.words == ErrorCounts(hits=6)
    assert [entry.reference for entry in report.utterances] == ["gonna try", "two words", "three"]
    assert (report.several, report.alternatives) == (2, True)
    assert make_report(rows).words == ErrorCounts(hits=5, deletions=6)
    with pytest.raises(ScoreError, match=r'reference "b": "\{" is not closed'):
        make_report([rows[0], ("b", "s2", "{ two / words", "two")], alternatives=True)


def test_alignment_by_the_weights_of_sclite(make_report: ReportMaker) -> None:
    """Five substitutions weigh 20 and so are one error fewer than three deletions and three insertions, which weigh 18."""
    rows = [("a", "s1", "e d c e e e", "e b a d a c"), ("b", "s2", "same words", "same words")]
    assert make_report(rows).utterances[0].words == ErrorCounts(hits=1, substitutions=5)
    report = make_report(rows, alignment="nist")
    assert report.utterances[0].words == ErrorCounts(hits=3, deletions=3, insertions=3)
    assert report.utterances[1].words == ErrorCounts(hits=2)
    assert report.to_json()["alignment"] == "nist"
    assert "Words aligned by the weights of sclite" in report_text(report)
    with pytest.raises(MisuseError) as caught:
        make_report(rows, alignment="sclite")
    assert str(caught.value) == 'alignment is "sclite", must be one of levenshtein, nist. Correct it.'


def test_reports_counted_in_different_ways_are_not_compared(make_report: ReportMaker) -> None:
    rows = [("a", "s1", "(uh) one", "one"), ("b", "s2", "two", "two")]
    with pytest.raises(ScoreError) as caught:
        compare(make_report(rows), make_report(rows, alternatives=True, system="new"))
    assert str(caught.value) == (
        '"base" was counted with alignment levenshtein and "new" with alignment levenshtein, alternatives read: '
        "their errors are not the same errors. Score both hypotheses again with the same --alignment and --alternatives."
    )


def test_a_change_is_that_of_the_two_rates_where_readings_differ_in_length(make_report: ReportMaker) -> None:
    text = "{ going to go to / gonna go } now"
    base = make_report([("a", "s1", text, "gonna go no"), ("b", "s2", "three words here", "three words here")], alternatives=True)
    adapted = make_report(
        [("a", "s1", text, "going to go to no"), ("b", "s2", "three words here", "three words her")], alternatives=True, system="new"
    )
    found = compare(base, adapted)
    assert (base.wer, adapted.wer) == (1 / 6, 2 / 8)
    assert found.delta == pytest.approx(2 / 8 - 1 / 6)
    assert {group.value: (group.base, group.adapted) for group in found.groups} == {"s1": (1 / 3, pytest.approx(1 / 5)), "s2": (0.0, 1 / 3)}


def test_half_characters_are_replaced_named_and_can_be_written(tmp_path: Path) -> None:
    manifest = Manifest([utterance("a", "ok \ud83d"), utterance("b", "fine"), utterance("c", "é")], folder=Path())
    said = [
        Hypothesis(id="a", text="ok \ud83e"),
        Hypothesis(id="b", text="fine\udc00"),
        Hypothesis(id="c", text="é"),
        Hypothesis(id="\ud800", text=""),
    ]
    report = score(manifest, said, system="x\udcff", normalizer="raw")
    assert report.repaired == ("a", "b")
    assert [entry.hypothesis for entry in report.utterances] == ["ok \ufffd", "fine\ufffd", "é"]
    assert report.words == ErrorCounts(hits=3, substitutions=1)
    assert (report.system, report.extra) == ("x\ufffd", ("\ufffd",))
    report.write(tmp_path / "report.json")
    assert ScoreReport.read(tmp_path / "report.json") == report
    assert 'Texts with half a character (a lone surrogate), which counts as U+FFFD: 2 ("a", "b").' in report_text(report)


def test_right_to_left_texts_are_counted_in_the_order_of_their_letters(make_report: ReportMaker) -> None:
    report = make_report([("a", "s1", "السلام عليكم ورحمة الله", "\u200fالسلام عليكم الله\u200f")], normalizer="basic:ar")
    assert report.words == ErrorCounts(hits=3, deletions=1)


def test_ids_that_stand_in_any_order_or_only_on_one_side(make_manifest: ManifestMaker) -> None:
    manifest = make_manifest([(f"u{number}", "s1", "word") for number in range(4)])
    said = [Hypothesis(id=key, text="word") for key in ("z2", "u3", "z1", "u0")]
    report = score(manifest, said, system="x", normalizer="raw", missing_as_empty=True)
    assert (report.missing, report.extra) == (("u1", "u2"), ("z2", "z1"))
    assert report.words == ErrorCounts(hits=2, deletions=2)


def test_a_key_of_meta_called_like_a_field_does_not_replace_it() -> None:
    odd = {"duration": "long", "speaker": 7, "text": "other", "references": None}
    manifest = Manifest([utterance("a", "one", speaker="s1", meta=odd), utterance("b", "two", speaker="s2")], folder=Path())
    report = score(manifest, [Hypothesis(id="a", text="one"), Hypothesis(id="b", text="two")], system="x", by=("speaker", "duration"))
    assert (report.words, report.audio_seconds) == (ErrorCounts(hits=2), 4.0)
    assert list(report.groups["speaker"]) == ["s1", "s2"]
    assert sum(group.utterances for group in report.groups["duration"].values()) == 2


@pytest.mark.slow
def test_a_line_of_a_hundred_thousand_words() -> None:
    chance = random.Random(0)
    words = [f"w{chance.randint(0, 5000)}" for _ in range(100_000)]
    references = ReferenceSet([Reference(id="a", texts=(" ".join(words),))])
    report = score(references, [Hypothesis(id="a", text=" ".join(word for word in words if chance.random() > 0.05))], system="x", normalizer="basic")
    assert report.words.reference_length == 100_000
    assert 4_700 < report.words.deletions < 5_300
    assert report.words.errors == report.words.deletions
