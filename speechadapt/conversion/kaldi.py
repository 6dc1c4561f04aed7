"""Kaldi: data directories that pass Kaldi's own validation, sorted as its tools expect, without a shell command in them.

Kaldi wants every list sorted byte by byte, and `utt2spk` sorted by utterance and by speaker at once. So an utterance is called
`SPEAKER-UTTERANCE`, and names of speakers hold letters, digits and `_` only, all of which come after `-`: sorting by one then is sorting by the
other. An unknown speaker is called as the utterance. What the names stand for is kept in `utt2id` and `spk2id`.

`utt2accent`, `utt2gender`, `utt2age` and the two maps are not Kaldi's, which leaves other files alone; `prepare kaldi` reads them.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

from speechadapt.conversion.clips import Clip, decimal, exact_seconds
from speechadapt.conversion.job import Job, one_line
from speechadapt.conversion.manifests import ALL, Part
from speechadapt.conversion.names import plain_name
from speechadapt.conversion.record import Record, write_card
from speechadapt.errors import ManifestError

CARRIED = ("speaker", "gender", "age", "accent", "language", "split")
UNKNOWN_LANGUAGE = "und"
"""ISO 639's word for an undetermined language; `utt2lang` must name one for every utterance."""
RESERVED = ("<s>", "</s>", "#0")
TABLE = """
CREATE TABLE {name} (utt TEXT PRIMARY KEY, spk TEXT, id TEXT, speaker TEXT, rec TEXT, path TEXT, start TEXT, stop TEXT, length TEXT, seconds TEXT,
    text TEXT, lang TEXT, accent TEXT, gender TEXT, age TEXT) WITHOUT ROWID
"""
LISTS = {
    "text": "utt, text",
    "utt2spk": "utt, spk",
    "utt2dur": "utt, seconds",
    "utt2id": "utt, id",
    "utt2accent": "utt, accent",
    "utt2gender": "utt, gender",
    "utt2age": "utt, age",
}
"""Lists of one line for each utterance that has a value."""


def write_kaldi(job: Job, corpora: list[Record]) -> None:
    """Write a data directory for each part, or one where the rows are not divided, and the recordings.

    Raises:
        ManifestError: a recording left in place has a name that Kaldi would take for a command.
    """
    for part in job.parts:
        table = f"lines_{part.name}"
        job.names.database.execute(TABLE.format(name=table))
        fill(job, part, table)
        folder = job.folder / ("" if part.name == ALL else part.name)
        folder.mkdir(exist_ok=True)
        write_lists(job, part, table, folder)
        job.names.database.execute(f"DROP TABLE {table}")
    if len(job.rates) > 1:
        job.notes.append(f"recordings have {len(job.rates)} sampling rates ({', '.join(map(str, sorted(job.rates)))} Hz); Kaldi's features want one")
    if job.options.audio != "copy":
        job.notes.append("Kaldi's own programs read 16-bit WAV only; ESPnet, icefall and WeNet read other forms too. Convert with --copy to get WAV")
    where = "start at this folder (run Kaldi in it)" if job.options.relative else "are absolute"
    facts = [
        f"Kaldi data directories; the paths of `wav.scp` {where}, and none is a command.",
        "Utterances are called `SPEAKER-UTTERANCE` in letters that sort as Kaldi needs; `utt2id` and `spk2id` say what for.",
        "An utterance whose speaker is not known is its own speaker.",
    ]
    shown = "" if job.parts[0].name == ALL else f"/{job.parts[0].name}"
    write_card(job, corpora, facts, load=f"utils/validate_data_dir.sh --no-feats {job.out.name}{shown}")


def fill(job: Job, part: Part, table: str) -> None:
    """Put the rows of a part into the table that sorts them."""
    for clip in job.clips(part):
        u = clip.utterance
        spk, utt = names_of(job, clip)
        path = job.listed(job.place_recording(clip, form="WAV"))
        refuse_command(path, u.id)
        text = one_line(u.text)
        if text != u.text:
            job.repairs["texts with line breaks, tabs, unusual or repeated blanks, written with single ones"] += 1
        if any(word in text for word in RESERVED):
            job.repairs[f"texts with {', '.join(RESERVED)}, which Kaldi's validation refuses, left as they are"] += 1
        rec, _ = job.names.name("kaldi recording", str(clip.source), plain_name(clip.source.stem))
        ends = (exact_seconds(clip.start, clip.rate), exact_seconds(clip.start + clip.count, clip.rate))
        told = (u.language and one_line(u.language), u.accent and one_line(u.accent), u.gender, u.age and one_line(u.age))
        row = (utt, spk, u.id, u.speaker, rec, path, *map(decimal, (*ends, clip.length / clip.rate, clip.duration)), text, *told)
        job.names.database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def names_of(job: Job, clip: Clip) -> tuple[str, str]:
    """What Kaldi calls the speaker and the utterance of a clip."""
    u = clip.utterance
    if u.speaker is None:
        spk, _ = job.names.name("kaldi speaker", f"utterance {u.id}", plain_name(u.id, ""))
        return spk, spk
    spk, _ = job.names.name("kaldi speaker", f"speaker {u.speaker}", plain_name(u.speaker, ""))
    utt, _ = job.names.name("kaldi utterance", u.id, f"{spk}-{plain_name(u.id)}")
    return spk, utt


def refuse_command(path: str, row: str) -> None:
    """Kaldi runs what begins or ends with a pipe, and reads an offset behind a colon.

    Raises:
        ManifestError: the path would not be taken for a file.
    """
    head, colon, tail = path.rpartition(":")
    if path != path.strip() or path.startswith("|") or path.endswith("|") or "\n" in path or (colon and head and tail.isdigit()):
        raise ManifestError(f'utterance "{row}": Kaldi would not take "{path}" for the name of a file. Rename the file, or use --copy.')


def write_lists(job: Job, part: Part, table: str, folder: Path) -> None:
    """Write the lists of a filled table, each sorted byte by byte."""
    database = job.names.database
    segmented = job.surveys[part.name].pieces > 0
    columns = dict(LISTS)
    if segmented:
        columns["segments"] = "utt, rec || ' ' || start || ' ' || stop"
        keyed = {"wav.scp": "path", "reco2dur": "length"}
        queries = {name: f"SELECT rec, {value} FROM {table} GROUP BY rec ORDER BY rec" for name, value in keyed.items()}
    else:
        columns["wav.scp"] = "utt, path"
        queries = {}
    queries |= {name: f"SELECT {chosen} FROM {table} ORDER BY utt" for name, chosen in columns.items()}
    if database.execute(f"SELECT COUNT(lang) FROM {table}").fetchone()[0]:
        queries["utt2lang"] = f"SELECT utt, COALESCE(lang, '{UNKNOWN_LANGUAGE}') FROM {table} ORDER BY utt"
    queries["spk2id"] = f"SELECT spk, speaker FROM {table} GROUP BY spk ORDER BY spk"
    for name, query in queries.items():
        write_list(folder / name, ((key, value) for key, value in database.execute(query) if value is not None))
    speakers = database.execute(f"SELECT spk, utt FROM {table} ORDER BY utt")
    with (folder / "spk2utt").open("w", encoding="utf-8", newline="\n") as lines:
        for speaker, rows in itertools.groupby(speakers, key=lambda row: row[0]):
            lines.write(speaker)
            lines.writelines(f" {utterance}" for _, utterance in rows)
            lines.write("\n")
    write_genders(job, part, table, folder)


def write_list(path: Path, rows: Iterator[tuple[str, str]]) -> None:
    """Write `KEY VALUE` lines; no file where there is none, as Kaldi refuses empty ones."""
    first = next(rows, None)
    if first is not None:
        with path.open("w", encoding="utf-8", newline="\n") as lines:
            lines.writelines(f"{key} {value}".rstrip() + "\n" for key, value in itertools.chain([first], rows))


def write_genders(job: Job, part: Part, table: str, folder: Path) -> None:
    """Write `spk2gender`, which Kaldi accepts only if it says m or f of every speaker; `utt2gender` says what is known in any case."""
    query = f"SELECT spk, CASE WHEN COUNT(DISTINCT gender) = 1 THEN MIN(gender) END FROM {table} GROUP BY spk ORDER BY spk"
    letters = {"male": "m", "female": "f"}
    if all(gender in letters for _, gender in job.names.database.execute(query)):
        write_list(folder / "spk2gender", ((speaker, letters[gender]) for speaker, gender in job.names.database.execute(query)))
    elif job.surveys[part.name].fields["gender"]:
        job.notes.append(f"{part.name}: no spk2gender, which must say m or f of every speaker; what is known stands in utt2gender")
