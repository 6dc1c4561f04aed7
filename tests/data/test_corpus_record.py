"""Corpus records: what cards and summaries say of the training data, from `corpus.json` files of every kind, also broken and hostile ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from speechadapt.data.corpus_record import LONGEST, PRIVACY, UNKNOWN, CorpusRecord, gather_records, list_terms, read_records
from speechadapt.errors import ManifestError, SpeechadaptError

SVARAH = {"name": "svarah", "title": "Svarah", "license": "CC BY 4.0", "commercial_use": "yes, with attribution", "home": "https://example.org"}


def write(folder: Path, value: Any) -> Path:
    folder.mkdir()
    (folder / "corpus.json").write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return folder


def test_a_prepared_folder_says_its_terms(tmp_path: Path) -> None:
    (record,) = read_records(write(tmp_path / "a", {**SVARAH, "source": "/home/me/svarah", "manifests": ["test.jsonl"]}))
    assert list_terms([record]) == [
        "Svarah (svarah): license CC BY 4.0; commercial use: yes, with attribution",
        "Attribution: the license asks to name Svarah and its owners wherever this is passed on.",
        "Privacy: Do not try to find out who the speakers are, and do not publish what could tell.",
    ]


@pytest.mark.parametrize(
    ("license_", "named"),
    [
        ("CC BY-NC-SA (see the corpus for the version)", True),
        ("cc-by-4.0", True),
        ("CC0-1.0", False),
        ("Apache-2.0", False),
        ("not stated", False),
        ("LDC user agreement (LDC93S1); the audio must not be redistributed", False),
    ],
)
def test_attribution_is_asked_for_by_some_licenses(license_: str, named: bool) -> None:
    record = CorpusRecord(name="a", license=license_)
    assert record.duties[-1] == f"Privacy: {PRIVACY}"
    assert [line.partition(":")[0] for line in record.duties] == (["Attribution", "Privacy"] if named else ["Privacy"])


def test_a_joined_folder_names_every_corpus_and_its_own_rules(tmp_path: Path) -> None:
    others = [{**SVARAH, "privacy": "Ask the owners first."}, {"name": "mine"}, "no record"]
    records = read_records(write(tmp_path / "a", {"name": "svarah+mine", "license": "CC BY 4.0; not stated", "corpora": others}))
    assert [(record.name, record.license, record.privacy) for record in records] == [
        ("svarah", "CC BY 4.0", "Ask the owners first."),
        ("mine", "not stated", PRIVACY),
    ]
    assert list_terms(records)[-2:] == ["mine: license not stated; commercial use: not stated", f"Privacy: {PRIVACY}"]


def test_several_folders_are_told_once_each_and_unknown_ones_too(tmp_path: Path) -> None:
    one, again = write(tmp_path / "a", SVARAH), write(tmp_path / "b", SVARAH)
    voices = write(tmp_path / "c", {"name": "synthetic_english", "title": "Synthetic English", "license": "Apache-2.0", "commercial_use": "yes"})
    records = gather_records([one, one, again, tmp_path, voices])
    assert [record.name for record in records] == ["svarah", "", "synthetic_english"]
    assert list_terms(records)[3:] == [
        "a folder without corpus.json: the license of its data is unknown",
        "Synthetic English (synthetic_english): license Apache-2.0; commercial use: yes",  # nobody speaks, so nobody can be found out
    ]
    assert gather_records([tmp_path]) == (UNKNOWN,)
    assert list_terms([UNKNOWN]) == []


def test_a_record_from_a_stranger_stays_in_its_line(tmp_path: Path) -> None:
    hostile = {"name": "a\n---\nlicense: mit", "title": "<script>x</script>\n# Heading", "license": ["mit"], "home": "x" * 10_000, "privacy": 7}
    (record,) = read_records(write(tmp_path / "a", hostile))
    assert record == CorpusRecord(name="a --- license: mit", title="‹script›x‹/script› # Heading", home="x" * LONGEST)
    (nameless,) = read_records(write(tmp_path / "mine", {}))
    assert nameless.sentence == "mine: license not stated; commercial use: not stated"


@pytest.mark.parametrize(
    ("home", "found"),
    [
        ("https://huggingface.co/datasets/google/fleurs", "google/fleurs"),
        ("https://huggingface.co/datasets/intronhealth/afrispeech-200/", "intronhealth/afrispeech-200"),
        ("https://huggingface.co/datasets/google/fleurs/tree/main", None),
        ("https://huggingface.co/google/fleurs", None),
        ("https://huggingface.co/datasets/../fleurs", None),
        ("https://ai4bharat.iitm.ac.in/datasets/indicvoices", None),
        ("", None),
    ],
)
def test_a_corpus_of_the_hub_is_known_by_its_home(home: str, found: str | None) -> None:
    assert CorpusRecord(name="a", home=home).hub_dataset == found


def test_a_file_that_is_no_record_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"a/corpus\.json: list, expected one JSON object\. Prepare the corpus again, or rename the file"):
        read_records(write(tmp_path / "a", [1]))
    with pytest.raises(SpeechadaptError, match=r"b/corpus\.json: not valid JSON"):
        read_records(write(tmp_path / "b", "{"))
