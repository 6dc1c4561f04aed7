"""Splits: nobody and nothing on both sides, the same seed the same split, test rows untouched."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechadapt.data.manifest import Manifest
from speechadapt.data.splits import (
    Split,
    carve_dev,
    drop_leaks,
    find_overlap,
    separate_audio,
    split_by_speaker,
    split_by_speaker_and_sentence,
)
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError
from speechadapt.text.sentence import sentence_key

ACCENTS = ("en_ireland", "en_scotland", "en_south_asia", "en_wales")


def row(
    key: str,
    speaker: str | None,
    *,
    text: str = "",
    accent: str | None = None,
    recording: str | None = None,
    duration: float = 2.0,
    audio_sha1: str | None = None,
) -> Utterance:
    return Utterance(
        id=key, audio_filepath=f"audio/{key}.flac", duration=duration, text=text or f"sentence of {key}",
        speaker=speaker, accent=accent, recording=recording, audio_sha1=audio_sha1,
    )  # fmt: skip


def twelve_speakers(prompts: int = 10, *, shared: bool = False) -> Manifest:
    rows = [
        row(f"s{speaker:02d}-{prompt}", f"c:s{speaker:02d}", accent=ACCENTS[speaker % 4], text=f"prompt number {prompt}" if shared else "")
        for speaker in range(12)
        for prompt in range(prompts)
    ]
    return Manifest(rows, folder=Path("data"), name="all")


def speakers_of(split: Split) -> tuple[set[str], set[str], set[str]]:
    return set(split.train.speakers), set(split.dev.speakers), set(split.test.speakers)


def test_no_speaker_stands_in_two_parts_and_every_accent_is_tested() -> None:
    split = split_by_speaker(twelve_speakers(), seed=1)
    train, dev, test = speakers_of(split)
    assert not train & dev
    assert not train & test
    assert not dev & test
    assert len(train | dev | test) == 12
    assert {u.accent for u in split.test} == set(ACCENTS)
    assert {u.split for u in split.dev} == {"dev"}
    assert len(split.train) + len(split.dev) + len(split.test) == 120


def test_the_seed_decides_and_the_order_of_the_rows_does_not() -> None:
    manifest = twelve_speakers()
    backwards = Manifest(reversed(manifest.utterances), folder=manifest.folder, name="all")
    assert speakers_of(split_by_speaker(manifest, seed=1)) == speakers_of(split_by_speaker(backwards, seed=1))
    assert list(split_by_speaker(manifest, seed=1).test) == list(split_by_speaker(manifest, seed=1).test)
    assert len({tuple(split_by_speaker(manifest, seed=seed).test.speakers) for seed in range(5)}) > 1


def test_five_speakers_of_an_accent_give_two_to_the_test_and_two_stay_in_train_with_a_note() -> None:
    rows = [
        row(f"{accent}{speaker}-{n}", f"c:{accent}{speaker}", accent=accent)
        for accent, count in (("x", 5), ("y", 2))
        for speaker in range(count)
        for n in range(4)
    ]
    split = split_by_speaker(Manifest(rows, folder=Path(), name="all"))
    assert sum(speaker.startswith("c:x") for speaker in split.test.speakers) == 2
    assert sum(speaker.startswith("c:y") for speaker in split.train.speakers) == 2
    assert split.notes == ("accent y: 2 separate speakers, at least 3 are needed to test it; all stay in train",)


def test_accents_with_few_speakers_may_be_tested_unheard() -> None:
    rows = [row(f"{s}-{n}", f"c:{s}", accent="xxy"[s // 3] if s < 9 else None) for s in range(11) for n in range(4)]
    split = split_by_speaker(Manifest(rows, folder=Path(), name="all"), few="test")  # x: six speakers, y: three, two without a label
    assert split.notes == ("rows without an accent label: 2 separate speakers, at least 3 are needed to test it; all stay in train",)
    few = Manifest([u for u in rows if u.speaker not in ("c:6",)], folder=Path(), name="all")  # y has two left
    split = split_by_speaker(few, few="test")
    assert {u.speaker for u in split.test if u.accent == "y"} == {"c:7", "c:8"}
    assert "accent y: 2 separate speakers, at least 3 are needed to test it and train on it; all are in test, unheard in training" in split.notes
    with pytest.raises(ManifestError, match='speakers of accents with few of them: "dev", must be one of train, test'):
        split_by_speaker(few, few="dev")


def test_every_accent_that_is_tested_is_trained_on_too() -> None:
    """Two speakers of a minute and one of an hour: hours alone would send both of the short ones to test and the long one to dev."""
    rows = [row(f"{s}-{n}", f"c:{s}", accent="x", duration=(1.0, 1.0, 200.0)[s]) for s in range(3) for n in range(10)]
    for seed in range(6):
        split = split_by_speaker(Manifest(rows, folder=Path(), name="all"), seed=seed)
        assert [len(part.speakers) for part in (split.train, split.dev, split.test)] == [1, 1, 1]


def test_hours_follow_the_shares_when_speakers_differ() -> None:
    rows = [row(f"{s}-{n}", f"c:{s:02d}", duration=1.0 + s % 5) for s in range(60) for n in range(5)]
    split = split_by_speaker(Manifest(rows, folder=Path(), name="all"), seed=3, dev_share=0.1, test_share=0.2)
    total = split.train.hours + split.dev.hours + split.test.hours
    assert split.test.hours / total == pytest.approx(0.2, abs=0.02)  # one speaker is at most 25 of 900 seconds, so half of that is the error
    assert split.dev.hours / total == pytest.approx(0.1, abs=0.02)


def test_speakers_who_share_a_recording_stay_together() -> None:
    rows = [row(f"{s}-{n}", f"c:{s}", recording=f"c:talk{s // 2}") for s in range(12) for n in range(3)]
    split = split_by_speaker(Manifest(rows, folder=Path(), name="all"))
    for first, second in ((split.train, split.test), (split.train, split.dev), (split.dev, split.test)):
        assert not find_overlap(first, second).ids


def test_rows_without_a_speaker_fit_no_part() -> None:
    manifest = Manifest([*twelve_speakers(), row("nobody-1", None)], folder=Path(), name="all")
    assert split_by_speaker(manifest).left_out == {"no-speaker": ("nobody-1",)}
    with pytest.raises(ManifestError, match=r'manifest "all": none of its 1 rows names a speaker'):
        split_by_speaker(Manifest([row("nobody-1", None)], folder=Path(), name="all"))


@pytest.mark.parametrize(("dev", "test"), [(0.0, 0.1), (0.1, 0.0), (0.5, 0.5)])
def test_impossible_shares_are_refused(dev: float, test: float) -> None:
    with pytest.raises(ManifestError, match=rf"dev share {dev:g} and test share {test:g} must both be above 0 and together below 1"):
        split_by_speaker(twelve_speakers(), dev_share=dev, test_share=test)


def test_a_sentence_of_the_test_leaves_train_and_never_the_test() -> None:
    manifest = twelve_speakers()
    plain = split_by_speaker(manifest, seed=1)
    victim, stolen = plain.train[0], plain.test[0]
    rows = [row(u.id, u.speaker, accent=u.accent, text=stolen.text.upper() + "!" if u.id == victim.id else u.text) for u in manifest]
    split = split_by_speaker_and_sentence(Manifest(rows, folder=Path("data"), name="all"), seed=1)
    assert split.left_out == {"sentence-in-test": (victim.id,)}
    assert [u.id for u in split.test] == [u.id for u in plain.test]
    assert len(split.train) == len(plain.train) - 1


def test_a_script_everyone_read_is_divided_too() -> None:
    manifest = twelve_speakers(prompts=50, shared=True)
    split = split_by_speaker_and_sentence(manifest, seed=2)
    for first, second in ((split.train, split.test), (split.train, split.dev), (split.dev, split.test)):
        assert len(first)
        assert len(second)
        assert not find_overlap(first, second).ids
    lost = len(manifest) - len(split.train) - len(split.dev) - len(split.test)
    assert len(split.left_out["other-sentence-part"]) == lost
    assert split.notes[-1] == f"most sentences are read by everyone, so the sentences were divided too; {lost} rows fit no part and were left out"


@pytest.mark.parametrize("seed", range(12))
def test_a_short_script_still_gives_every_part_a_sentence(seed: int) -> None:
    """Twelve speakers and ten prompts: a tenth of the prompts may be none of them by its hash alone."""
    split = split_by_speaker_and_sentence(twelve_speakers(shared=True), seed=seed)
    assert min(len({u.text for u in part}) for part in (split.train, split.dev, split.test)) >= 1
    assert {u.accent for u in split.test} == set(ACCENTS)
    for first, second in ((split.train, split.test), (split.train, split.dev), (split.dev, split.test)):
        assert not find_overlap(first, second).ids


def test_one_passage_read_by_everyone_cannot_be_divided_and_stays_in_train() -> None:
    rows = [row(f"s{s}", f"c:s{s}", text="Please call Stella.") for s in range(12)]
    split = split_by_speaker_and_sentence(Manifest(rows, folder=Path(), name="all"))
    assert (len(split.dev), len(split.test)) == (0, 0)
    assert len(split.train) + len(split.left_out["other-sentence-part"]) == 12


def test_an_accent_that_loses_all_its_tested_rows_is_named() -> None:
    rows = [row(f"s{s}-{n}", f"c:s{s}", accent="x", text=f"prompt {n}") for s in range(5) for n in range(40)]
    rows += [row(f"y{s}", f"c:y{s}", accent="y", text="prompt 0") for s in range(3)]
    manifest = Manifest(rows, folder=Path(), name="all")
    lost = "accent y: no row of it is left in test, as its speakers there read none of the sentences of test"
    told = [lost in split_by_speaker_and_sentence(manifest, seed=seed).notes for seed in range(8)]
    tested = ["y" in {u.accent for u in split_by_speaker_and_sentence(manifest, seed=seed).test} for seed in range(8)]
    assert told == [not here for here in tested]
    assert True in told


def test_the_same_samples_leave_the_later_part() -> None:
    manifest = twelve_speakers()
    place = {u.id: u.split or "" for part in split_by_speaker(manifest, seed=1).parts.values() for u in part}
    train, dev, test = ([key for key in place if place[key] == name] for name in ("train", "dev", "test"))
    same = {test[0]: "a", dev[0]: "a", train[0]: "a", dev[1]: "b", train[1]: "b", train[2]: "c", train[3]: "c", test[1]: "d", test[2]: "d"}
    rows = (dataclasses.replace(u, audio_sha1=same.get(u.id)) for u in manifest)
    split = separate_audio(split_by_speaker(Manifest(rows, folder=Path("data"), name="all"), seed=1))
    assert split.left_out == {"repeated-audio": (dev[0], train[0], train[1])}  # within a part nothing goes
    assert len(split.test) == len(test)
    assert split.notes[-1] == f'3 rows hold samples of another part and were left out: "{dev[0]}" (dev) those of "{test[0]}" (test)'


def test_dev_takes_whole_speakers_of_every_accent() -> None:
    manifest = twelve_speakers()
    train, dev = carve_dev(manifest, share=0.25, seed=0)
    assert len(train) + len(dev) == len(manifest)
    assert not set(train.speakers) & set(dev.speakers)
    assert {u.accent for u in dev} == set(ACCENTS)  # three speakers each, so each can give one
    with pytest.raises(ManifestError, match=r'manifest "all": 2 separate speakers, a dev set by speaker needs at least 3'):
        carve_dev(manifest.filter(lambda u: u.speaker in ("c:s00", "c:s01")))


def test_dev_is_carved_even_where_no_accent_has_three_speakers() -> None:
    rows = [row(f"{s}-{n}", f"c:{s}", accent=f"accent{s}") for s in range(4) for n in range(3)]
    train, dev = carve_dev(Manifest(rows, folder=Path(), name="train"))
    assert (len(train.speakers), len(dev.speakers)) == (3, 1)


def leaky() -> tuple[Manifest, Manifest, Manifest]:
    test = Manifest([row("t1", "c:anna", text="The kettle is on."), row("t2", "c:ben", recording="c:talk7")], folder=Path("a"), name="test")
    guard = Manifest([row("g1", None, text="Good morning")], folder=Path("b"), name="guard")
    train = Manifest(
        [
            row("by-speaker", "c:anna"),
            row("by-recording", "c:carl", recording="c:talk7"),
            row("by-sentence", "c:carl", text="the KETTLE is on"),
            row("by-guard-sentence", "c:carl", text="good morning!"),
            row("by-two", "c:ben", text="Good morning."),
            row("clean", "c:carl", text="something else"),
            row("unknown", None, text="nothing shared"),
            row("no-words", None, text="…"),
        ],
        folder=Path("c"),
        name="train",
    )
    return train, test, guard


def test_leaks_are_dropped_from_training_and_counted_by_cause() -> None:
    train, test, guard = leaky()
    before = (test.fingerprint, guard.fingerprint)
    kept, report = drop_leaks(train, [test, guard])
    assert [u.id for u in kept] == ["clean", "unknown", "no-words"]
    assert report.dropped == {
        "speaker": ("by-speaker", "by-two"),
        "recording": ("by-recording",),
        "sentence": ("by-sentence", "by-guard-sentence", "by-two"),
        "audio": (),
    }
    assert report.pairs == {"speaker": ("by-speaker", "t1"), "recording": ("by-recording", "t2"), "sentence": ("by-sentence", "t1")}
    assert report.example == '"by-speaker" and "t1" share a speaker'
    assert (report.rows, report.kept, report.total, report.against) == (8, 3, 5, ("test", "guard"))
    assert str(report) == "5 of 8 rows dropped because they share something with test, guard: 2 by speaker, 1 by recording, 3 by sentence"
    assert report.to_json()["dropped"] == 5
    assert (test.fingerprint, guard.fingerprint) == before


def test_without_a_leak_everything_stays() -> None:
    train, test, _ = leaky()
    kept, report = drop_leaks(train.filter(lambda u: u.id == "clean"), [test])
    assert len(kept) == 1
    assert str(report) == "0 of 1 rows share a speaker, recording or sentence with test"


def test_the_same_samples_under_another_id_and_in_another_corpus_are_a_leak() -> None:
    train = Manifest([row("globe-1", "globe:x", audio_sha1="aa"), row("globe-2", "globe:x", audio_sha1="bb")], folder=Path("a"), name="train")
    test = Manifest([row("common_voice-9", "common_voice:y", text="other words", audio_sha1="bb")], folder=Path("b"), name="test")
    kept, report = drop_leaks(train, [test])
    assert [u.id for u in kept] == ["globe-1"]
    assert str(report) == "1 of 2 rows dropped because they share something with test: 1 by audio"
    assert report.to_json()["pairs"] == {"audio": ["globe-2", "common_voice-9"]}
    assert report.example == '"globe-2" and "common_voice-9" share all their samples'
    old = Manifest([row("common_voice-9", "common_voice:y", text="other words")], folder=Path("b"), name="test")  # from before there were digests
    assert len(drop_leaks(train, [old])[0]) == 2


def test_one_file_by_two_ways_is_one_recording(tmp_path: Path) -> None:
    (tmp_path / "data/audio").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    here = Manifest([row("a", None, text="one")], folder=tmp_path / "data", name="train")
    for folder, path in (
        (tmp_path / "link", "audio/a.flac"),
        (tmp_path, f"{tmp_path}/data/audio/a.flac"),
        (tmp_path / "data", "audio/../audio/a.flac"),
    ):
        there = Manifest([Utterance(id="b", audio_filepath=path, duration=1.0, text="two")], folder=folder, name="test")
        assert find_overlap(here, there).pairs == {"recording": ("a", "b")}


def test_one_file_in_two_manifests_is_one_recording() -> None:
    train = Manifest([row("a", None, text="one")], folder=Path("data"), name="train")
    test = Manifest([Utterance(id="b", audio_filepath="audio/a.flac", duration=1.0, offset=3.0, text="two")], folder=Path("data"), name="test")
    assert drop_leaks(train, [test])[1].dropped["recording"] == ("a",)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(0, 8), st.floats(0.3, 30)), min_size=1, max_size=40),
    st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_no_split_ever_leaks(lines: list[tuple[int, int, int, float]], seed: int) -> None:
    rows = [row(f"u{n}", f"c:{s}", recording=f"c:r{r}" if r else None, text=f"text {t}", duration=d) for n, (s, r, t, d) in enumerate(lines)]
    split = split_by_speaker_and_sentence(Manifest(rows, folder=Path(), name="all"), seed=seed)
    for first, second in ((split.train, split.test), (split.train, split.dev), (split.dev, split.test)):
        assert not find_overlap(first, second).ids
    kept = [u.id for part in (split.train, split.dev, split.test) for u in part]
    left = [key for ids in split.left_out.values() for key in ids]
    assert sorted(kept + left) == sorted(u.id for u in rows)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("We call it bear", "WE CALL IT BEAR.", True),
        ("don’t stop", "Dont stop!", True),
        ("ﬁve  ﬁsh", "five fish", True),
        ("Straße", "STRASSE", True),
        ("नमस्ते", "नमसत", False),  # vowel signs are letters
        ("room 7", "room 8", False),
        ("yes—no", "yes no", True),
    ],
)
def test_sentence_keys(one: str, other: str, same: bool) -> None:
    assert (sentence_key(one) == sentence_key(other)) is same


def test_no_words_have_no_key() -> None:
    assert sentence_key("… !") == ""
    assert len(sentence_key("a")) == 16
