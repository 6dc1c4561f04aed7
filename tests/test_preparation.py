"""Preparation: what holds for every corpus, whatever its script."""

import dataclasses
import functools
import json
import os
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechadapt.data.manifest import Manifest
from speechadapt.data.table import LONGEST_LINE, read_table, stream_tsv, undo_quoting
from speechadapt.errors import AudioError, CorpusError, MisuseError, SpeechadaptError
from speechadapt.preparation import (
    Corpus,
    CorpusRow,
    Intake,
    PrepareOptions,
    PrepReport,
    accent_slug,
    finish_corpus,
    gender_of,
    locate_audio,
    read_accent_map,
    release,
    speaker_key,
    split_accents,
)
from speechadapt.preparation.accents import LABELS_FILE, AccentLabels, shipped_labels
from speechadapt.preparation.held import Held
from speechadapt.text.cleaning import clean_text, has_words

CORPUS = Corpus(
    name="mini", title="Mini", license="CC0", commercial_use="yes", home="nowhere", expects="a folder.", accent_label="none", language="en"
)


@pytest.fixture
def rows(tmp_path: Path, write_tone: Any) -> list[CorpusRow]:
    """Eight speakers of two accents with ten lines each."""
    return [
        CorpusRow(
            id=f"{s}-{n}",
            audio=write_tone(tmp_path / f"src/{s}-{n}.wav", 0.4 + n / 50, seed=10 * s + n),
            text=f"line {n} of speaker {s}",
            speaker=f"s{s}",
            accent_raw=("Fife", "Northern Irish")[s % 2],
        )
        for s in range(8)
        for n in range(10)
    ]


def finish(rows: Iterable[CorpusRow], tmp_path: Path, out: str = "out", **options: Any) -> PrepReport:
    given = PrepareOptions(**options)
    return finish_corpus(rows, corpus=CORPUS, source=tmp_path / "src", out=tmp_path / out, options=given, audio_roots=[tmp_path / "src"])


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "prep_report.json"
    }


def test_the_result_depends_on_neither_jobs_nor_order(rows: list[CorpusRow], tmp_path: Path) -> None:
    first = finish(rows, tmp_path, "one", splits="speaker", jobs=1)
    second = finish(rows[::-1], tmp_path, "two", splits="speaker", jobs=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert (first.splits, first.accents, first.overlap) == (second.splits, second.accents, second.overlap)


def test_a_second_run_keeps_the_audio_and_mends_what_was_broken(rows: list[CorpusRow], tmp_path: Path) -> None:
    finish(rows, tmp_path)
    before = contents(tmp_path / "out")
    files = sorted((tmp_path / "out/audio").iterdir())
    times = {path: path.stat().st_ctime_ns for path in files}
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:200])
    report = finish(rows, tmp_path)
    assert report.repairs == {"audio of an earlier run kept": 78}
    assert contents(tmp_path / "out") == before
    assert {path for path in files if path.stat().st_ctime_ns != times[path]} == set(files[:2])


def test_a_changed_source_is_converted_again(rows: list[CorpusRow], tmp_path: Path, write_tone: Any) -> None:
    finish(rows[:2], tmp_path)
    before = contents(tmp_path / "out")
    write_tone(tmp_path / "src/0-0.wav", 0.4, seed=999)
    finish(rows[:2], tmp_path)
    after = contents(tmp_path / "out")
    assert [name for name in before if before[name] != after[name]] == ["all.jsonl", "audio/mini-0-0.flac"]  # its digest stands in the manifest


def test_counts_add_up_and_the_report_is_written(rows: list[CorpusRow], tmp_path: Path) -> None:
    intake = Intake()
    intake.drop("lost", "not-in-text", "no text for it", "test")
    report = finish_corpus(
        [*rows, CorpusRow(id="0-0", audio=rows[1].audio, text="again")],
        corpus=CORPUS, source=tmp_path / "src", out=tmp_path / "out", options=PrepareOptions(limit=30), intake=intake,
    )  # fmt: skip
    assert report.rows_read == 82 == report.kept + report.not_chosen + sum(report.dropped.values())
    assert (report.kept, report.not_chosen, report.dropped) == (30, 50, {"duplicate-id": 1, "not-in-text": 1})
    assert [(drop.id, drop.split) for drop in report.test_dropped] == [("mini-lost", "test")]
    assert report.speakers == 8  # --limit spreads its choice
    assert json.loads((tmp_path / "out/prep_report.json").read_text()) == json.loads(json.dumps(report.to_json()))
    assert report.hours == pytest.approx(sum(u.duration for u in Manifest.read(tmp_path / "out/all.jsonl")) / 3600, abs=1e-4)
    assert report.accents["northern_irish"]["utterances"] + report.accents["fife"]["utterances"] == 30


def test_a_dry_run_writes_nothing(rows: list[CorpusRow], tmp_path: Path) -> None:
    report = finish(rows, tmp_path, dry_run=True, splits="speaker")
    assert not (tmp_path / "out").exists()
    assert (report.kept, report.out) == (80, None)
    assert report.splits["test"]["speakers"] == 2


def test_splits_can_be_asked_for_and_accents_are_mapped(rows: list[CorpusRow], tmp_path: Path) -> None:
    report = finish(rows, tmp_path, splits="speaker+sentence", accent_map={"fife": "en_scotland"})
    assert sorted(report.accents) == ["en_scotland", "northern_irish"]
    assert all(pair[what] == 0 for pair in report.overlap.values() for what in ("speakers", "sentences", "recordings", "audio"))
    with pytest.raises(CorpusError, match=r"this corpus names no official splits\. Choose --splits speaker"):
        finish(rows, tmp_path, splits="official")


def twelve_speakers(tmp_path: Path, write_tone: Any) -> list[CorpusRow]:
    """Twelve speakers of four accents with ten prompts each, of their own."""
    return [
        CorpusRow(
            id=f"{s:02d}-{n}",
            audio=write_tone(tmp_path / f"src/{s:02d}-{n}.wav", 0.4, seed=10 * s + n),
            text=f"prompt {n} of {s}",
            speaker=f"s{s:02d}",
            accent=("en_ireland", "en_scotland", "en_south_asia", "en_wales")[s % 4],
        )
        for s in range(12)
        for n in range(10)
    ]


def test_splits_leak_nothing_and_strict_names_both_sides_of_what_would(tmp_path: Path, write_tone: Any) -> None:
    rows = twelve_speakers(tmp_path, write_tone)
    report = finish(rows, tmp_path, splits="speaker", seed=1, strict=True)
    parts = {name: Manifest.read(tmp_path / f"out/{name}.jsonl") for name in ("train", "dev", "test")}
    speakers = [speaker for part in parts.values() for speaker in part.speakers]
    assert len(speakers) == len(set(speakers)) == 12
    accents = ["en_ireland", "en_scotland", "en_south_asia", "en_wales"]
    assert sorted({u.accent or "" for u in parts["test"]}) == accents
    assert list(report.coverage) == accents
    assert report.coverage["en_wales"] == {
        "test": {"utterances": 10, "hours": 0.001111, "speakers": 1},
        "train": {"utterances": 10, "hours": 0.001111, "speakers": 1},
        "zero_shot": False,
    }
    finish(rows, tmp_path, "again", splits="speaker", seed=1)
    assert contents(tmp_path / "again") == contents(tmp_path / "out")
    finish(rows, tmp_path, "other", splits="speaker", seed=2)
    assert contents(tmp_path / "other")["test.jsonl"] != contents(tmp_path / "out")["test.jsonl"]

    train, test = parts["train"][0].id.removeprefix("mini-"), parts["test"][0].id.removeprefix("mini-")
    (tmp_path / f"src/{train}.wav").write_bytes((tmp_path / f"src/{test}.wav").read_bytes())
    told = rf'1 rows repeat the audio of another part: row "mini-{train}" \(train\) holds the same samples as "mini-{test}" \(test\)\. No manifest'
    with pytest.raises(CorpusError, match=told):
        finish(rows, tmp_path, "strict", splits="speaker", seed=1, strict=True)
    assert finish(rows, tmp_path, "lenient", splits="speaker", seed=1).dropped == {"repeated-audio": 1}


def test_strict_names_two_ids_for_speakers_recordings_and_sentences(rows: list[CorpusRow], tmp_path: Path) -> None:
    """Official splits that share everything there is to share."""
    official = [dataclasses.replace(row, split=("train", "test")[number % 2], recording="talk") for number, row in enumerate(rows[:6])]
    official[5] = dataclasses.replace(official[5], text=official[0].text, speaker="alone")
    with pytest.raises(CorpusError) as caught:
        finish(official, tmp_path, strict=True)
    assert (
        'train and test share 1 speakers: "mini-0-0" (train) and "mini-0-1" (test) share a speaker; '
        'train and test share 1 recordings: "mini-0-0" (train) and "mini-0-1" (test) share a recording; '
        'train and test share 1 sentences: "mini-0-0" (train) and "mini-0-5" (test) share a sentence. No manifest was written'
    ) in str(caught.value)
    overlap = finish(official, tmp_path, "lenient").overlap["train-test"]
    assert (overlap["test_rows_with_shared_sentence"], overlap["share_of_seen_sentences"]) == (1, 0.3333)
    assert overlap["examples"] == {
        "speakers": ["mini-0-0", "mini-0-1"],
        "recordings": ["mini-0-0", "mini-0-1"],
        "sentences": ["mini-0-0", "mini-0-5"],
    }


def test_strict_accepts_what_was_left_out_by_choice(rows: list[CorpusRow], tmp_path: Path, write_tone: Any) -> None:
    def intake() -> Intake:
        made = Intake()
        made.leave_out("sa1", "read-by-all", 'row "sa1": all speakers read it.', "test")
        return made

    short = CorpusRow(id="short", audio=write_tone(tmp_path / "src/short.wav", 0.1, seed=999), text="short", speaker="s0")
    given = [*rows, short]
    where = {"corpus": CORPUS, "source": tmp_path / "src"}
    options = PrepareOptions(strict=True, splits="speaker", seed=3)
    report = finish_corpus(given, out=tmp_path / "out", options=options, intake=intake(), **where)  # type: ignore[arg-type]
    assert report.rows_read == 82 == report.kept + sum(report.dropped.values()) + report.not_chosen
    assert report.dropped == {"read-by-all": 1, "too-short": 1} == report.by_choice
    assert report.defects == {}
    assert [(drop.id, drop.by_choice) for drop in report.test_dropped] == [("mini-sa1", True)]
    Path(str(rows[0].audio)).unlink()
    with pytest.raises(CorpusError, match=r"--strict refuses this corpus: 1 rows dropped as missing\. row \"mini-0-0\""):
        finish_corpus(given, out=tmp_path / "out", options=options, intake=intake(), **where)  # type: ignore[arg-type]


def test_a_division_is_repeated_by_its_lists(rows: list[CorpusRow], tmp_path: Path) -> None:
    finish(rows, tmp_path, splits="speaker+sentence", seed=5)
    lists = tmp_path / "out/splits"
    assert sorted(path.name for path in lists.iterdir()) == ["dev.txt", "split.json", "test.txt", "train.txt"]
    about = json.loads((lists / "split.json").read_text())
    assert (about["rule"], about["seed"], about["corpus"]["name"]) == ("speaker+sentence", 5, "mini")
    report = finish(rows, tmp_path, "again", splits=str(lists), strict=True)
    assert contents(tmp_path / "again") == contents(tmp_path / "out")
    assert report.notes[-2:] == (
        f"divided by the lists in {lists} (speaker+sentence, seed 5)",
        "ids, times and texts of every part are those the lists were made of",
    )
    finish(rows, tmp_path, "out")  # without splits there are no lists either
    assert not lists.exists()


def test_lists_that_do_not_fit_are_told(rows: list[CorpusRow], tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "train.txt").write_text("".join(f"mini-0-{n}\n" for n in range(12)))
    (lists / "test.txt").write_text("".join(f"mini-1-{n}\n" for n in range(10)))
    report = finish(rows, tmp_path, splits=str(lists))
    assert (report.splits["train"]["utterances"], report.splits["test"]["utterances"]) == (10, 10)
    assert (report.dropped, report.by_choice) == ({"not-listed": 60}, {"not-listed": 60})
    assert report.facts["listed_ids_not_there"] == {"train": 2}
    assert f'{lists}/train.txt: 2 of 12 ids are not in the corpus: "mini-0-10", "mini-0-11"' in report.notes
    with pytest.raises(CorpusError, match=r'--strict refuses this corpus: 2 listed ids are not in it, the first is "mini-0-10" in .*/train\.txt'):
        finish(rows, tmp_path, "strict", splits=str(lists), strict=True)
    finish(rows[:20], tmp_path, "some", splits=str(lists), strict=True, limit=18)  # a part was asked for
    (lists / "test.txt").write_text("mini-0-0\n")
    with pytest.raises(CorpusError, match=r'id "mini-0-0": stands in .*/train\.txt and in .*/test\.txt'):
        finish(rows, tmp_path, "two", splits=str(lists))


def test_too_much_missing_audio_is_an_error_unless_allowed(rows: list[CorpusRow], tmp_path: Path) -> None:
    for row in rows[:5]:
        Path(str(row.audio)).unlink()
    assert finish(rows, tmp_path).dropped == {"missing": 5}  # a handful is counted
    Path(str(rows[5].audio)).unlink()
    with pytest.raises(
        CorpusError, match=r"6 of 80 rows \(7\.5%\) have no usable audio, at most 5% are accepted; the first: row \"mini-0-0\": .*0-0\.wav"
    ):
        finish(rows, tmp_path)
    assert len(Manifest.read(tmp_path / "out/all.jsonl")) == 75  # what was there before is not lost
    assert finish(rows, tmp_path, allow_missing=True).dropped == {"missing": 6}


def test_nothing_left_is_an_error(rows: list[CorpusRow], tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none of 0 rows is left \(nothing was read\)"):
        finish([], tmp_path)
    for row in rows:
        Path(str(row.audio)).write_text("no")
    with pytest.raises(CorpusError, match=r"80 of 80 rows \(100\.0%\) have no usable audio.* mini expects: a folder\. Correct the corpus\."):
        finish(rows, tmp_path, allow_missing=True)


def test_an_output_folder_of_another_corpus_is_refused(rows: list[CorpusRow], tmp_path: Path) -> None:
    finish(rows[:1], tmp_path)
    (tmp_path / "out/corpus.json").write_text('{"name": "other"}')
    with pytest.raises(MisuseError, match=r'out: holds the prepared corpus "other", not "mini"\. Choose another folder\.'):
        finish(rows[:1], tmp_path)
    with pytest.raises(MisuseError, match="is the corpus itself"):
        finish(rows[:1], tmp_path, "src")


def chirp(seconds: float, seed: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * 16_000))).astype(np.float32)


def test_a_corrected_list_gets_other_audio(rows: list[CorpusRow], tmp_path: Path) -> None:
    """Two recordings of one length that were mixed up: both are older than what was made of them."""
    finish(rows, tmp_path)
    mixed = {"0-0": rows[10].audio, "1-0": rows[0].audio}
    corrected = [dataclasses.replace(row, audio=mixed.get(row.id, row.audio)) for row in rows]
    assert finish(corrected, tmp_path).repairs == {"audio of an earlier run kept": 78}
    finish(corrected, tmp_path, out="fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("name", ["train.jsonl", "all.jsonl"])
def test_manifests_that_nobody_prepared_are_not_overwritten(name: str, rows: list[CorpusRow], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine\n")
    with pytest.raises(MisuseError, match=rf"out/{name}: is there already, and without corpus\.json beside it no preparation wrote it\."):
        finish(rows, tmp_path)
    with pytest.raises(MisuseError, match=rf"{name}: lies in .*out, where it would be overwritten\. Choose another folder\."):
        finish_corpus(rows, corpus=CORPUS, source=tmp_path / "out" / name, out=tmp_path / "out", options=PrepareOptions())
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {name: "mine\n"}


def test_a_record_that_is_none_is_refused(rows: list[CorpusRow], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/corpus.json").write_text("[]")
    with pytest.raises(MisuseError, match=r"out/corpus\.json: list, so it is not the record of a prepared corpus\. Choose another folder\."):
        finish(rows, tmp_path)


def test_audio_that_an_earlier_run_left_is_told_and_stays(rows: list[CorpusRow], tmp_path: Path) -> None:
    finish(rows, tmp_path)
    report = finish(rows[10:], tmp_path)
    told = f"10 files in {tmp_path}/out/audio are of an earlier run and of no row of this one, the first is mini-0-0.flac; remove them if"
    assert [note for note in report.notes if note.startswith(told)]
    assert (tmp_path / "out/audio/mini-0-0.flac").is_file()
    assert not [note for note in finish(rows, tmp_path).notes if "earlier run" in note]
    report = finish(rows, tmp_path, in_place=True)
    assert [note for note in report.notes if note.startswith(f"80 files in {tmp_path}/out/audio are of an earlier run")]


def test_a_folder_with_a_report_is_a_finished_one(rows: list[CorpusRow], tmp_path: Path) -> None:
    """The disk is full when the manifest is written, in a folder that was prepared before."""
    finish(rows, tmp_path)
    assert (tmp_path / "out/prep_report.json").is_file()
    long = [dataclasses.replace(row, text=f"{row.text} {'and so on ' * 200}") for row in rows]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(SpeechadaptError, match=r"\.jsonl: could not be written \(File too large\)"):
            finish(long, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "out/prep_report.json").exists()
    finish(long, tmp_path, resume=True)
    assert (tmp_path / "out/prep_report.json").is_file()


def test_a_list_is_let_go_of_while_its_rows_are_taken(rows: list[CorpusRow], tmp_path: Path) -> None:
    finish(rows, tmp_path, "whole")
    assert len(rows) == 80
    left = []

    def counted(given: list[CorpusRow]) -> Iterator[CorpusRow]:
        for row in release(given):
            left.append(len(given))
            yield row

    finish(counted(rows), tmp_path)
    assert left == list(range(79, -1, -1))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_audio_may_be_made_instead_of_read(tmp_path: Path) -> None:
    rows = [CorpusRow(id=f"{n}", audio=functools.partial(chirp, 0.5 + n / 10, n), text=f"made {n}", speaker="v") for n in range(3)]
    report = finish(rows, tmp_path)
    assert [u.duration for u in Manifest.read(tmp_path / "out/all.jsonl")] == [0.5, 0.6, 0.7]
    assert report.kept == 3
    with pytest.raises(MisuseError, match="--in-place: this corpus makes its audio"):
        finish(rows, tmp_path, "two", in_place=True)


def test_a_process_that_dies_is_told(tmp_path: Path) -> None:
    rows = [CorpusRow(id=f"{n}", audio=functools.partial(os._exit, 3), text=f"made {n}") for n in range(64)]  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match=r"a preparation process died after 0 of 64 rows, .* Run the same command again with --resume --jobs 1"):
        finish(rows, tmp_path, jobs=2)


def test_narrow_and_clipped_recordings_are_flagged(tmp_path: Path, write_tone: Any) -> None:
    narrow = CorpusRow(id="n", audio=write_tone(tmp_path / "src/n.wav", sampling_rate=8000), text="telephone")
    loud = CorpusRow(id="l", audio=write_tone(tmp_path / "src/l.wav", level=9.0), text="loud")
    report = finish([narrow, loud], tmp_path)
    assert report.warnings == {"clipped": 1, "narrow-band": 1}
    rows = {u.id: u for u in Manifest.read(tmp_path / "out/all.jsonl")}
    assert rows["mini-n"].meta == {"bandwidth": "narrow"}
    assert rows["mini-n"].duration == 1.0


def test_a_recording_that_was_never_cut_is_not_decoded(tmp_path: Path, write_tone: Any) -> None:
    data = bytearray(write_tone(tmp_path / "src/a.flac", 1.0).read_bytes())
    data[21:26] = bytes([data[21] & 0xF0, 0x04, 0x00, 0x00, 0x00])  # the header now says 67,108,864 samples: 70 minutes
    (tmp_path / "src/a.flac").write_bytes(data)
    good = CorpusRow(id="g", audio=write_tone(tmp_path / "src/g.wav"), text="good")
    report = finish([CorpusRow(id="a", audio=tmp_path / "src/a.flac", text="long"), good], tmp_path)
    assert report.dropped == {"too-long": 1}
    assert "70 min in one row, at most 60 min" in report.dropped_examples["too-long"][0]


def test_ids_that_are_no_file_names_still_get_files_of_their_own(tmp_path: Path, write_tone: Any) -> None:
    ids = ["a/b", "a_b", "a:b", "A_B", "ü", "../up", "x" * 300]
    rows = [CorpusRow(id=key, audio=write_tone(tmp_path / f"src/{n}.wav", seed=n), text=f"line {n}") for n, key in enumerate(ids)]
    finish(rows, tmp_path)
    manifest = Manifest.read(tmp_path / "out/all.jsonl")
    paths = [manifest.audio_path(u) for u in manifest]
    assert len({str(path).casefold() for path in paths}) == len(ids)
    assert {path.parent for path in paths} == {(tmp_path / "out/audio").resolve()}
    assert {u.id for u in manifest} == {f"mini-{key}" for key in ids}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"case": "upper"}, r'--case "upper": must be one of lower, sentence, keep'),
        ({"splits": "random"}, r'--splits "random": must be one of official, speaker, speaker\+sentence'),
        ({"engine": "spark"}, r'--engine "spark": must be one of local, ray'),
        ({"ray_address": "10.0.0.1:6379"}, r"--ray-address 10\.0\.0\.1:6379: is for --engine ray only"),
        ({"jobs": 0}, r"--jobs 0: must be 1 or more"),
        ({"limit": -1}, r"--limit -1: must be 1 or more"),
        ({"min_duration": 31.0}, r"shortest duration 31 s is not below the longest, 30 s"),
        ({"splits": "."}, r'--splits "\.": .*, or a folder that holds train\.txt, dev\.txt or test\.txt\. .* speechadapt split'),
        ({"few_speakers": "dev"}, r'--few-speakers "dev": must be one of train, test'),
        ({"dev_share": 0.6, "test_share": 0.5}, r"dev share 0\.6 and test share 0\.5 must both be above 0 and together below 1"),
        ({"max_duration": 0.2}, r"shortest duration 0\.3 s is not below the longest, 0\.2 s"),
    ],
)
def test_options_outside_their_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        PrepareOptions(**options)


def test_located_audio_stays_under_its_roots(tmp_path: Path, write_tone: Any) -> None:
    root = tmp_path / "root"
    sound = write_tone(root / "Clips/A.WAV")
    outside = write_tone(tmp_path / "outside.wav")
    assert locate_audio("Clips/a.wav", [root]) == sound
    assert locate_audio("Clips\\A.WAV", [root]) == sound
    assert locate_audio(str(sound), [root]) == sound
    (root / "link.wav").symlink_to(outside)
    for given in ("../outside.wav", str(outside), "Clips/../../outside.wav", "link.wav"):
        with pytest.raises(AudioError, match="leaves the folder of the corpus") as caught:
            locate_audio(given, [root])
        assert caught.value.reason == "outside-corpus"
    with pytest.raises(AudioError, match=r'no file "Clips/b\.wav" under') as caught:
        locate_audio("Clips/b.wav", [root])
    assert caught.value.reason == "missing"
    with pytest.raises(AudioError, match=rf'"{outside}" leaves the folder of the corpus: an absolute path must lie under {root}\.'):
        locate_audio(str(outside), [root, tmp_path])  # and not under another one, which is not named then
    with pytest.raises(AudioError, match=rf'no file "{root}/b\.wav" under {root}\. '):
        locate_audio(f"{root}/b.wav", [root, tmp_path])


@pytest.mark.parametrize(
    ("label", "slug"),
    [("Northern Irish", "northern_irish"), ("  Español (México)", "espanol_mexico"), ("粤语", "粤语"), ("en-GB/London", "en_gb_london")],
)
def test_accent_slugs(label: str, slug: str) -> None:
    assert accent_slug(label) == slug


def test_genders_and_speakers() -> None:
    intake = Intake()
    labels = ["M", "male_masculine", "Female", "famale", "non-binary", "", None, "do_not_wish_to_say", "robot"]
    assert [gender_of(label, intake) for label in labels] == ["male", "male", "female", "female", "other", None, None, None, None]
    assert intake.repairs == {"gender label not understood, left empty": 1}
    assert [speaker_key(CORPUS, native) for native in ("007", "other:7", " ", None)] == ["mini:007", "other:7", None, None]


def test_accent_maps(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text('{" Fife ": "en_scotland"}')
    assert read_accent_map(tmp_path / "map.json") == {"fife": "en_scotland"}
    (tmp_path / "map.json").write_text("[1]")
    with pytest.raises(MisuseError, match="an accent map is one JSON object"):
        read_accent_map(tmp_path / "map.json")


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("", ()),
        ("England English", ("England English",)),
        (
            "United States English,southern United States,New Orleans dialect",
            ("United States English", "southern United States", "New Orleans dialect"),
        ),
        ("India and South Asia (India, Pakistan, Sri Lanka)", ("India and South Asia (India, Pakistan, Sri Lanka)",)),
        ("Southern African (South Africa, Zimbabwe, Namibia), Dutch ,", ("Southern African (South Africa, Zimbabwe, Namibia)", "Dutch")),
        ("Irish English|a little, they say|", ("Irish English", "a little, they say")),
        ("mine (never closed, so all, of it", ("mine (never closed, so all, of it",)),
        ("closed) too often), here", ("closed) too often)", "here")),
        (" , |", (",",)),
    ],
)
def test_fields_of_several_accents(value: str, parts: tuple[str, ...]) -> None:
    assert split_accents(value) == parts


@pytest.mark.parametrize(
    ("corpus", "language", "label", "slug"),
    [
        ("common_voice", "en", "us", "en_us"),
        ("common_voice", "en-GB", " SouthAtlandtic ", "en_south_atlantic"),
        ("common_voice", "en", "indian", "en_india"),
        ("common_voice", "en", "Northern Irish", "en_northern_ireland"),
        ("common_voice", "en", "Southern African (South Africa, Zimbabwe, Namibia)", "en_southern_africa"),
        ("common_voice", "en", "West Indies and Bermuda (Bahamas, Bermuda, Jamaica, Trinidad)", "en_west_indies"),
        ("common_voice", "fr", "canada", "canada"),  # a code of another language
        ("common_voice", None, "us", "us"),
        ("table", "en", "us", "us"),  # of another corpus
        ("table", "en", "scottish english", "en_scotland"),
        ("table", "en", "not Scottish English", "not_scottish_english"),  # never in part
        ("table", "en", "French English", "en_l2_french"),
        ("vctk", "en", "NorthernIrish", "en_northern_ireland"),
        ("vctk", "en", "English", "en_england"),
        ("afrispeech", "en", "isizulu", "zulu"),
        ("afrispeech", "en", "hausa/fulani", "mixed"),
        ("edacc", "en", "Jamaican English", "en_jamaica"),
        ("table", "en", "  ", None),
        ("table", "en", "|", None),
        ("table", "en", None, None),
    ],
)
def test_accent_labels_of_the_shipped_map(corpus: str, language: str | None, label: str | None, slug: str | None) -> None:
    assert AccentLabels(corpus, {}).slug_of(label, language) == slug


def test_the_shipped_map_holds_what_it_promises() -> None:
    table = json.loads(LABELS_FILE.read_text(encoding="utf-8"))
    for language, by_corpus in table.items():
        for corpus, labels in by_corpus.items():
            assert labels
            assert len({label.strip().casefold() for label in labels}) == len(labels), corpus
            assert all(slug == accent_slug(slug) for slug in labels.values())
            assert labels.items() <= {label: shipped_labels(corpus, language)[label.casefold()] for label in labels}.items()
    assert "us" not in shipped_labels("table", "en")
    assert shipped_labels("common_voice", "ka") == {}


def test_of_several_accents_the_known_ones_decide() -> None:
    labels = AccentLabels("common_voice", {"new orleans dialect": "en_us_new_orleans", "a, b": "en_ab"})
    cases = {
        "United States English,southern drawl": "en_us",
        "United States English,American English": "en_us",
        "United States English,England English": "mixed",
        "United States English,New Orleans dialect": "mixed",
        "German English,Non native speaker": "en_l2_german",
        "southern drawl": "southern_drawl",
        "southern drawl,northern drawl": "mixed",
        "A, B": "en_ab",
    }
    assert {label: labels.slug_of(label, "en", parts=split_accents(label)) for label in cases} == cases
    intake = Intake()
    labels.tell(intake)
    assert intake.notes == [
        'accent labels that no map knows, with their rows: "southern drawl" (3), "Non native speaker" (1), "northern drawl" (1); alone they are '
        "kept as slugs. Name them with --accent-map FILE."
    ]


def test_unknown_accent_labels_are_listed_and_known_ones_mapped(rows: list[CorpusRow], tmp_path: Path) -> None:
    report = finish(rows, tmp_path, dry_run=True)
    note = 'accent labels that no map knows, with their rows: "Fife" (40), "Northern Irish" (40); alone they are kept as slugs. '
    assert report.notes == (note + "Name them with --accent-map FILE.",)
    named = [dataclasses.replace(row, accent_raw=("Scottish English", "Welsh English")[number % 2]) for number, row in enumerate(rows)]
    report = finish(named, tmp_path, dry_run=True, accent_map={"welsh english": "cymru"})
    assert (sorted(report.accents), report.notes) == (["cymru", "en_scotland"], ())
    many = [dataclasses.replace(row, accent_raw=f"valley {number:02d}") for number, row in enumerate(rows)]
    (note,) = finish(many, tmp_path, dry_run=True).notes
    assert '"valley 00" (1), "valley 01" (1), ' in note
    assert '"valley 19" (1) and 60 more; alone' in note


def test_what_is_tested_is_held_back() -> None:
    held = Held()
    held.add("test", "1", "anna", "It is so.")
    held.add("dev", "2", "anna", "It​ is so!")
    held.add("dev", "3", "", "…")
    assert held.clips == {"1", "2", "3"}
    assert held.leak("anna", "Anything") == ("speaker", "test")
    assert held.leak("bert", "IT IS SO") == ("sentence", "test")
    assert held.leak("", "") is None
    assert held.leak("bert", "?!") is None


@pytest.mark.parametrize(
    ("published", "text"),
    [
        ('""word""', '"word"'),
        ('"""Yes,"" he said"', '"Yes," he said'),
        ('"""word"""', '"word"'),
        ('"Yes," he said', '"Yes," he said'),
        ('He said "yes and left.', 'He said "yes and left.'),
        ('a \\"b\\" \\\\ c\\\td \\n', 'a "b" \\ c\td \\n'),
        ('""', '"'),
        ("", ""),
    ],
)
def test_quoting_is_undone(published: str, text: str) -> None:
    assert undo_quoting(published) == text


def test_a_large_table_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    lines = ["a	b	a", '1	"2	3', "", "4\\\t5	6	7", "8	9", "x" * (LONGEST_LINE + 1), "y" * (3 * LONGEST_LINE), "NA	007	"]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n\xff\t1\t2")
    read = list(stream_tsv(path, required=("a", "b"), repeated="first"))
    good = [(line.number, line.values) for line in read if not line.defect]
    assert good == [(2, {"a": "1", "b": '"2'}), (4, {"a": "4\\\t5", "b": "6"}), (8, {"a": "NA", "b": "007"})]
    assert [(line.number, line.defect) for line in read if line.defect] == [
        (5, "wrong-columns"), (6, "line-too-long"), (7, "line-too-long"), (9, "not-utf-8"),
    ]  # fmt: skip
    assert [line.found for line in read if line.defect][::3] == ["2 values for 3 columns", "byte 0xff at character 1 is not UTF-8"]
    with pytest.raises(CorpusError, match=r'a\.tsv: the column "a" stands 2 times in the header\. Rename one of them\.'):
        next(stream_tsv(path))
    with pytest.raises(CorpusError, match=r"a\.tsv: no column c, d; found a, b\. Check that this is the right table\."):
        next(stream_tsv(path, required=("a", "c", "d"), repeated="first"))
    with pytest.raises(CorpusError, match=r"none\.tsv: no such table"):
        next(stream_tsv(tmp_path / "none.tsv"))


def test_a_repeated_column_is_refused_or_the_first_one_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id, text ,text\n1,first,second\n2,short\n3,a\u2028b,c\n")
    table = read_table(tmp_path / "a.csv", repeated="first")
    assert table.header == ("id", "text")
    assert table.rows == ((2, {"id": "1", "text": "first"}), (4, {"id": "3", "text": "a\u2028b"}))
    assert (table.broken, table.physical_lines) == (((3, 2),), 4)
    with pytest.raises(CorpusError, match=r'the column "text" stands 2 times in the header'):
        read_table(tmp_path / "a.csv")
    with pytest.raises(CorpusError, match=r'repeated "last", must be one of refuse, first'):
        read_table(tmp_path / "a.csv", repeated="last")


@pytest.mark.parametrize(
    ("raw", "case", "language", "text"),
    [
        ("WE CALL IT BEAR", "sentence", "en", "We call it bear."),
        ("I THINK I'M RIGHT AND I'LL GO", "sentence", "en", "I think I'm right and I'll go."),
        ("IS IT SO?", "sentence", "en", "Is it so?"),
        ("all lower i said", "sentence", "en", "All lower I said."),
        ("HI-FI AND WI-FI", "sentence", "en", "Hi-fi and wi-fi."),
        ("Already Mixed by Ann", "sentence", "en", "Already Mixed by Ann"),
        ("ICH BIN HIER", "sentence", "de", "Ich bin hier."),
        ("IĞDIR VE İZMİR", "lower", "tr", "ığdır ve izmir"),
        ("İZMİR GÜZEL", "sentence", "tr", "İzmir güzel."),
        ("नमस्ते दुनिया", "sentence", "hi", "नमस्ते दुनिया"),
        ("ბიჭი წიგნს კითხულობს", "sentence", "ka", "ბიჭი წიგნს კითხულობს"),
        ("  two\t words\n ", "keep", "en", "two words"),
        ("It\u2019s \u201cfine\u201d\u00a0now", "keep", "en", 'It\'s "fine" now'),
        ("cafe\u0301", "keep", None, "café"),
        ("…", "sentence", "en", "…"),
    ],
)
def test_cleaning(raw: str, case: str, language: str | None, text: str) -> None:
    assert clean_text(raw, case=case, language=language) == text


def test_words_are_letters_or_digits() -> None:
    assert [has_words(text) for text in ("", " … !", "7", "a", "न", "…ß")] == [False, False, True, True, True, True]
