"""Kaldi's `text`: an id and words in each line, with what the files beside it say of speakers and durations."""

from pathlib import Path

from speechadapt.data.transcript_line import TranscriptLine, read_lines
from speechadapt.errors import ManifestError
from speechadapt.units import Seconds

BESIDE = {"utt2spk": "speaker", "utt2dur": "duration", "utt2lang": "language"}


def read_kaldi_text(path: Path) -> list[TranscriptLine]:
    """Read `text` (or any file of lines `id words`).

    Args:
        path: the file. Of the files beside one that is called `text`, `utt2spk`, `spk2gender`, `utt2dur` and `utt2lang` are read where they are.

    Raises:
        ManifestError: a file is not UTF-8, or a duration is no number.
    """
    beside = {field: _pairs(path.with_name(name)) for name, field in BESIDE.items()} if path.name == "text" else {}
    genders = _pairs(path.with_name("spk2gender")) if path.name == "text" else {}
    lines = []
    for number, line in read_lines(path):
        key, _, text = line.strip().replace("\t", " ").partition(" ")
        speaker = beside.get("speaker", {}).get(key)
        fields = {name: value for name, value in (("language", beside.get("language", {}).get(key)), ("gender", _gender(genders, speaker))) if value}
        duration = _duration(beside.get("duration", {}).get(key), key, path)
        lines.append(TranscriptLine(id=key, text=text.strip(), speaker=speaker, duration=duration, fields=fields, place=f"{path}, line {number}"))
    return lines


def _pairs(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    return {parts[0]: parts[1].strip() for _, line in read_lines(path) if len(parts := line.split(maxsplit=1)) == 2}


def _gender(genders: dict[str, str], speaker: str | None) -> str | None:
    value = genders.get(speaker or "", "").lower()
    return {"m": "male", "f": "female"}.get(value, value or None)


def _duration(value: str | None, key: str, path: Path) -> Seconds | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise ManifestError(f'{path.with_name("utt2dur")}: the duration of "{key}" is "{value[:40]}", must be seconds above 0. Correct the line.')
    return seconds
