"""Relatives: known pairs are named whichever way round, strangers are not."""

import json
from pathlib import Path

import pytest

from speechadapt.data.checks import check_manifest
from speechadapt.data.manifest import Manifest
from speechadapt.data.relatives import corpora_of, relations_among, relations_between
from speechadapt.data.utterance import Utterance


def manifest(corpus: str, folder: Path = Path(), **meta: object) -> Manifest:
    row = Utterance(id=f"{corpus}-1", audio_filepath=f"{corpus}.flac", duration=2.0, text=f"said by {corpus}", speaker=f"{corpus}:x", meta=dict(meta))
    return Manifest([row], folder=folder, name=corpus)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("globe", "common_voice", "GLOBE and CommonAccent consist of clips of Common Voice"),
        ("common_accent", "common_voice", "GLOBE and CommonAccent consist of clips of Common Voice"),
        ("common_accent", "globe", "both consist of clips of Common Voice"),
        ("cmu_arctic", "l2_arctic", "other speakers read the same prompts of CMU ARCTIC"),
        ("vctk", "speech_accent_archive", "have passages in common"),
        ("librispeech", "libritts", "both are made of LibriVox recordings"),
        ("libri_light", "mls_english", "both are made of LibriVox recordings"),
        ("fleurs", "flores", "FLEURS reads the sentences of FLoRes"),
        ("vctk", "librispeech", ""),
        ("globe", "globe", ""),
        ("timit", "l2_arctic", ""),
    ],
)
def test_known_pairs(one: str, other: str, told: str) -> None:
    for first, second in ((one, other), (other, one)):
        notes = relations_between(manifest(first), manifest(second))
        assert len(notes) == bool(told)
        if told:
            assert notes[0].startswith(f"{min(one, other)} and {max(one, other)} are related corpora: ")
            assert told in notes[0]
            assert notes[0].endswith("Speakers cannot be matched across the two; only equal sentences and equal samples are found.")


def test_of_the_sets_of_openslr_only_the_british_one_is_related() -> None:
    assert corpora_of(manifest("openslr", slr=83)) == {"slr83"}
    assert corpora_of(manifest("openslr", slr=71)) == frozenset()
    assert len(relations_between(manifest("openslr", slr=83), manifest("vctk"))) == 1


def test_the_corpus_is_known_by_its_record_too(tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_text(json.dumps({"name": "Libri-Light"}))
    mine = manifest("mine", tmp_path)
    assert corpora_of(mine) == {"libri_light"}
    assert len(relations_among([mine, manifest("vctk")], [manifest("librispeech"), manifest("librispeech")])) == 1
    (tmp_path / "corpus.json").write_text("{")
    assert corpora_of(mine) == frozenset()


def test_check_tells_it_as_a_note() -> None:
    findings = check_manifest([manifest("globe"), manifest("common_voice")], files=False)
    assert [finding.severity for finding in findings if finding.check == "related-corpora"] == ["note"]
