"""Folds: everyone is tested once, nobody stands on two sides, and what might be of a held-out accent is not trained on."""

from pathlib import Path

import pytest

from speechadapt.data.folds import Fold, k_fold, leave_one_accent_out, leave_one_speaker_out
from speechadapt.data.manifest import Manifest
from speechadapt.data.splits import find_overlap
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError

ACCENTS = ("en_ireland", "en_scotland", "en_south_asia", "en_wales")


def row(key: str, speaker: str | None, **fields: str | None) -> Utterance:
    return Utterance(id=key, audio_filepath=f"audio/{key}.flac", duration=2.0, speaker=speaker, **{"text": f"sentence of {key}", **fields})  # type: ignore[arg-type]


def small(*more: Utterance, prompts: int = 10, shared: bool = False) -> Manifest:
    """Twelve speakers of four accents."""
    rows = [
        row(f"s{s:02d}-{n}", f"c:s{s:02d}", accent=ACCENTS[s % 4], text=f"prompt number {n}" if shared else f"prompt {n} of {s}")
        for s in range(12)
        for n in range(prompts)
    ]
    return Manifest([*rows, *more], folder=Path("data"), name="all")


def assert_disjoint(fold: Fold, *, sentences: bool = False) -> None:
    split = fold.split
    for first, second in ((split.train, split.dev), (split.train, split.test), (split.dev, split.test)):
        shared = find_overlap(first, second)
        assert not shared.speakers
        assert not shared.recordings
        if sentences:
            assert not shared.sentences
    assert [{u.split for u in part} for part in (split.train, split.dev, split.test)] == [{"train"}, {"dev"}, {"test"}]


def ids(fold: Fold) -> dict[str, list[str]]:
    return {name: [u.id for u in part] for name, part in fold.split.parts.items()}


def test_every_speaker_is_tested_alone() -> None:
    manifest = small()
    folds = list(leave_one_speaker_out(manifest, seed=1))
    assert [fold.name for fold in folds] == [f"s{s:02d}" for s in range(12)]
    assert [fold.held_out for fold in folds] == [(f"c:s{s:02d}",) for s in range(12)]
    for fold in folds:
        assert fold.split.test.speakers == fold.held_out
        assert (len(fold.split.test), len(fold.split.train) + len(fold.split.dev)) == (10, 110)
        assert len({u.accent for u in fold.split.dev}) == 3  # those accents that still have three speakers
        assert_disjoint(fold)
    assert sorted(u.id for fold in folds for u in fold.split.test) == sorted(u.id for u in manifest)


def test_speakers_of_one_recording_are_held_out_together() -> None:
    rows = [row(f"{s}-{n}", f"c:{s}", recording=f"c:talk{s // 2}") for s in range(8) for n in range(3)]
    folds = list(leave_one_speaker_out(Manifest(rows, folder=Path(), name="all")))
    assert [fold.held_out for fold in folds] == [("c:0", "c:1"), ("c:2", "c:3"), ("c:4", "c:5"), ("c:6", "c:7")]
    assert folds[0].name.startswith("0-and-1-more")
    for fold in folds:
        assert_disjoint(fold)


def test_k_folds_test_everyone_once_and_spread_the_accents() -> None:
    manifest = small(row("nobody-1", None))
    folds = list(k_fold(manifest, folds=3, seed=4))
    assert [fold.name for fold in folds] == ["fold-1", "fold-2", "fold-3"]
    for fold in folds:
        assert sorted({u.accent or "" for u in fold.split.test}) == list(ACCENTS)  # three speakers of each, one to every fold
        assert fold.split.left_out == {"no-speaker": ("nobody-1",)}
        assert_disjoint(fold)
    assert sorted(u.id for fold in folds for u in fold.split.test) == sorted(u.id for u in manifest if u.speaker)


@pytest.mark.parametrize("rule", [leave_one_speaker_out, leave_one_accent_out, k_fold])
def test_the_seed_decides(rule: object) -> None:
    assert callable(rule)
    manifest = small()
    one, again, other = ([ids(fold) for fold in rule(manifest, seed=seed)] for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_ten_folds_are_numbered_so_that_they_sort() -> None:
    assert [fold.name for fold in k_fold(small(), folds=12)][::11] == ["fold-01", "fold-12"]


def test_an_accent_is_held_out_with_all_that_might_be_of_it() -> None:
    manifest = small(
        row("other-line", "c:s00", accent="en_wales"),  # s00 is of en_ireland
        row("unlabelled", "c:s20"),
        row("unlabelled-too", "c:s01"),
        row("both", "c:s21", accent="mixed"),
    )
    folds = {fold.name: fold for fold in leave_one_accent_out(manifest)}
    assert list(folds) == list(ACCENTS)
    ireland = folds["en_ireland"].split
    assert {u.accent for u in ireland.test} == {"en_ireland"}
    assert len(ireland.test) == 30
    assert ireland.left_out == {"speaker-in-test": ("other-line",), "no-accent": ("unlabelled", "unlabelled-too"), "mixed-accent": ("both",)}
    for accent, fold in folds.items():
        assert accent not in {u.accent for part in (fold.split.train, fold.split.dev) for u in part}
        assert_disjoint(fold)
        kept = [u.id for part in fold.split.parts.values() for u in part]
        left = [key for gone in fold.split.left_out.values() for key in gone]
        assert sorted(kept + left) == sorted(u.id for u in manifest)


@pytest.mark.parametrize("rule", [leave_one_speaker_out, leave_one_accent_out, k_fold])
@pytest.mark.parametrize("shared", [True, False])
def test_sentences_can_be_kept_apart_too(rule: object, shared: bool) -> None:
    assert callable(rule)
    for fold in rule(small(shared=shared), disjoint_sentences=True):
        assert_disjoint(fold, sentences=True)
        assert ("other-sentence-part" in fold.split.left_out) is shared


def test_names_are_fit_for_folders() -> None:
    speakers = ["c:a/b", "c:A_B", "d:a b", "c:ü", "c:..", "c:" + "x" * 90, "c:plain"]
    rows = [row(f"{s}-{n}", speaker) for s, speaker in enumerate(speakers) for n in range(2)]
    names = [fold.name for fold in leave_one_speaker_out(Manifest(rows, folder=Path(), name="all"))]
    assert len({name.casefold() for name in names}) == 7
    assert all(Path(name).name == name and name.strip(".") and len(name) < 80 for name in names)
    assert "plain" in names


@pytest.mark.parametrize(
    ("rule", "rows", "options", "message"),
    [
        (
            leave_one_speaker_out,
            3,
            {},
            r'manifest "all": 3 separate speakers \(those who share a recording count as one\), leave-one-speaker-out needs',
        ),
        (k_fold, 3, {}, "k-fold needs at least 4"),
        (k_fold, 6, {"folds": 7}, "7 folds, must be from 2 to 6, as it has 6 separate speakers"),
        (k_fold, 6, {"folds": 1}, "1 folds, must be from 2 to 6"),
        (k_fold, 5, {"folds": 2}, "2 folds of 5 separate speakers leave 2 beside the largest test set, at least 3 are needed"),
        (k_fold, 6, {"dev_share": 1.5}, "dev share 1.5"),
        (leave_one_accent_out, 6, {}, r"1 accents \(x\), leave-one-accent-out needs from 2"),
        (leave_one_accent_out, 0, {}, r"0 accents \(no row names one\)"),
    ],
)
def test_what_cannot_be_folded_is_said(rule: object, rows: int, options: dict[str, float], message: str) -> None:
    assert callable(rule)
    manifest = Manifest([row(f"r{s}", f"c:{s}", accent="x") for s in range(rows)], folder=Path(), name="all")
    with pytest.raises(ManifestError, match=message):
        rule(manifest, **options)


def test_too_few_speakers_beside_an_accent() -> None:
    rows = [row(f"r{s}", f"c:{s}", accent="xxxyy"[s]) for s in range(5)]
    with pytest.raises(ManifestError, match="2 separate speakers of other accents than x, at least 3 are needed"):
        leave_one_accent_out(Manifest(rows, folder=Path(), name="all"))
