"""Prepared folders as users have them, made of tones: one that stands alone, and one left in place whose rows point into long recordings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance

ODD_RATE = 22_050
RECORD = {
    "name": "mine",
    "title": "My corpus",
    "license": "CC BY 4.0",
    "commercial_use": "yes, with attribution",
    "home": "https://example.org/mine",
    "privacy": "Speakers agreed to research.",
    "source": "/home/somebody/corpora/mine",
    "expects": "a folder",
    "manifests": ["train.jsonl"],
}
ROWS: dict[str, list[dict[str, Any]]] = {
    "train": [
        {
            "id": "mine-007", "text": "Put the kettle on, please.", "text_raw": "Put  the kettle on, please.", "speaker": "mine:b",
            "gender": "female", "age": "30 to 39", "accent": "en_scotland", "accent_raw": "Scottish English", "l1": "gd", "region": "Fife",
            "language": "en", "recording": "mine:tape 1", "split": "train", "meta": {"votes": 2, "domain": "home", "scores": {"fluency": 7}},
        },
        {"id": "mine-a b|c", "text": "NA", "speaker": "mine:b", "gender": "female", "language": "en", "split": "train"},
        {"id": "mine-A b|c", "text": "لا أعرف", "speaker": "mine:b-1", "gender": "male", "accent": "ar_masri", "language": "ar", "split": "train"},
        {"id": "mine-zh", "text": "你好，世界", "gender": "other", "language": "zh", "split": "train", "meta": {"votes": None}},
        {"id": "mine-ab", "text": "first line\nsecond\tpart", "split": "train"},
    ],
    "dev": [{"id": "mine-0", "text": "007", "speaker": "mine:b_1", "language": "en", "split": "dev"}],
    "test": [{"id": "mine-9", "text": "On 2020-01-02", "speaker": "mine:a", "gender": "male", "language": "en", "split": "test"}],
}  # fmt: skip


def make_manifest(folder: Path, name: str, rows: list[dict[str, Any]]) -> Manifest:
    utterances = [Utterance(**{"duration": 1.0, "audio_filepath": f"audio/{row['id']}.flac", **row}) for row in rows]
    manifest = Manifest(utterances, folder=folder, name=name)
    manifest.write(folder / f"{name}.jsonl")
    return manifest


def make_prepared(folder: Path, write_tone: Any) -> Path:
    """Three splits; speakers whose names are beginnings of each other, unknown ones, ids with blanks and ids that differ in case only."""
    for name, rows in ROWS.items():
        placed = []
        for number, row in enumerate(rows):
            path = f"audio/{name}{number}.flac"
            write_tone(folder / path, 0.5 + number / 8, seed=sum(map(ord, row["id"])) + number)
            placed.append({**row, "audio_filepath": path, "duration": 0.5 + number / 8})
        make_manifest(folder, name, placed)
    (folder / "corpus.json").write_text(json.dumps(RECORD))
    return folder


def make_pointing(folder: Path, write_tone: Any) -> Path:
    """One `all.jsonl` left in place: pieces of a long recording at an odd rate, and a whole short recording whose file has the same name."""
    tapes = folder.parent / "tapes"
    (tapes / "a").mkdir(parents=True)
    samples = (np.arange(5 * ODD_RATE) * 7919 % 60_000 - 30_000).astype(np.int16)
    soundfile.write(tapes / "a/tape.wav", samples, ODD_RATE, subtype="PCM_16")
    write_tone(tapes / "b/tape.wav", 0.7, seed=3, sampling_rate=ODD_RATE)
    long, short = str(tapes / "a/tape.wav"), str(tapes / "b/tape.wav")
    rows = [
        {
            "id": "left-2",
            "text": "in the middle",
            "audio_filepath": long,
            "offset": 1.234567,
            "duration": 0.5,
            "speaker": "left:x",
            "recording": "left:tape",
        },
        {"id": "left-1", "text": "at the start", "audio_filepath": long, "duration": 0.29, "speaker": "left:x", "recording": "left:tape"},
        {"id": "left-3", "text": "to the end", "audio_filepath": long, "offset": 4.1, "duration": 0.9, "speaker": "left:y", "recording": "left:tape"},
        {"id": "left-4", "text": "all of it", "audio_filepath": short, "duration": 0.7, "speaker": "left:y"},
    ]
    folder.mkdir()
    make_manifest(folder, "all", rows)
    about = {"name": "left", "license": "CC BY-NC 4.0", "commercial_use": "no", "audio_roots": [str(tapes)]}
    (folder / "corpus.json").write_text(json.dumps(about))
    return folder


PIECES = {"left-1": (0, 6394), "left-2": (27222, 11025), "left-3": (90405, 19845)}
"""The samples of the long recording that the rows of `make_pointing` mean, as counted by hand: first, and how many."""
