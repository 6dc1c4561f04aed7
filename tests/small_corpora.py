"""Miniatures of the corpora that recipes are about: real-shaped lists and tones, with as many speakers as it takes to divide them.

Each builder writes a corpus as it is downloaded and returns its folder. Their planted defects are in the tests of data_prep.
"""

import csv
import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile

SENTENCES = tuple(f"All read number {number}" for number in range(12))
CHINESE = ("他的声音很小", "今天天气好", "我们去北京", "你吃饭了吗", "山上有一座庙", "明天会下雨", "孩子在唱歌", "门口有条狗")
COMMON_VOICE_COLUMNS = "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant locale segment"
AFRISPEECH_COLUMNS = "idx user_ids accent age_group country transcript nchars audio_ids audio_paths duration origin domain split gender"
SWISS_REGIONS = {"Bern": "BE", "Wallis": "VS", "Basel": "BS"}


def write_sound(path: Path, seconds: float = 1.6) -> None:
    """A tone of its own for every path, 16 kHz, in the format its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(zlib.crc32(str(path).encode()))
    time = np.arange(round(seconds * 16_000)) / 16_000
    sound = sum(np.sin(2 * np.pi * frequency * time) for frequency in random.uniform(150, 2500, 3)) / 8 + random.normal(0, 0.003, len(time))
    soundfile.write(path, sound.astype(np.float32), 16_000, format={".flac": "FLAC", ".mp3": "MP3"}.get(path.suffix, "WAV"))


def copy_as_wav(source: Path, target: Path) -> None:
    sound, rate = soundfile.read(source, dtype="int16")
    soundfile.write(target, sound, rate, format="WAV")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_openslr(root: Path, zips: dict[str, tuple[str, int]], own: int = 4) -> Path:
    """Unpacked zips by name, with the beginning of their files' names and a number of speakers.

    Everyone reads two sentences that all read and `own` others.
    """
    for folder, (prefix, speakers) in zips.items():
        lines = []
        for speaker in range(speakers):
            texts = [*SENTENCES[:2], *(f"{prefix} {speaker} reads {number}" for number in range(own))]
            for number, text in enumerate(texts):
                stem = f"{prefix}_{speaker:05d}_{number:011d}"
                write_sound(root / folder / f"{stem}.wav")
                lines.append(f"EN{number:04d}, {stem}, {text}" if "english" in folder else f"{stem}\t{text}")
        write_lines(root / folder / ("line_index.csv" if "english" in folder else "line_index.tsv"), lines)
    return root


def write_svarah(root: Path, people: Sequence[str] = ("Hindi", "Hindi", "Hindi", "Hindi", "Tamil", "Tamil", "Tamil")) -> Path:
    """The tar file's lists, a speaker for each of the first languages named."""
    manifest, stats = [], ["speaker_id,duration,text,gender,age-group,primary_language,native_place_state"]
    for place, language in enumerate(people):
        for number in range(4):
            name, text = f"28{place}_f{place}_chunk_{number}.wav", f"order number {number} of {place}"
            write_sound(root / "audio" / name)
            manifest.append(json.dumps({"audio_filepath": f"audio/{name}", "duration": 1.6, "text": text}))
            stats.append(f"S{place},1.6,{text},{('Female', 'Male')[place % 2]},18-30,{language},Kerala")
    write_lines(root / "svarah_manifest.json", manifest)
    write_lines(root / "meta_speaker_stats.csv", stats)
    return root


def write_nisp(root: Path) -> Path:
    """Three training speakers and one test speaker of Hindi, one of each of Tamil; everyone reads the first sentence."""
    speakers = {"Hin_0001": "f", "Hin_0002": "m", "Hin_0003": "f", "Hin_0004": "m", "Tam_0001": "f", "Tam_0002": "m"}
    for speaker, gender in speakers.items():
        language = {"Hin": "Hindi", "Tam": "Tamil"}[speaker[:3]]
        stem = f"{speaker}_Eng_{gender}"
        texts = ["Everyone reads this.", *(f"{speaker} alone reads line {number}" for number in (1, 2))]
        lines = [f"item{number:04d}\t{text.replace('_', ' ')}" for number, text in enumerate(texts)]
        write_lines(root / f"{language}_master/scripts/English_{language.lower()}_txt/{stem}.txt", lines)
        for number in range(len(texts)):
            write_sound(root / f"{language}_master/English_{language}/RECS/{speaker[4:]}/{stem}_{number:04d}.wav")
    write_lines(root / "train_spkrID", [f"{name}___TRN" for name in speakers if name not in ("Hin_0004", "Tam_0002")])
    write_lines(root / "test_spkrID", ["Hin_0004___TST", "Tam_0002___TST"])
    return root


def write_common_voice(root: Path, language: str, clients: dict[str, str], column: str = "accents") -> Path:
    """A release of one language: every client, with what they say of their accent, reads three sentences; the last two are dev and test."""
    columns = COMMON_VOICE_COLUMNS.split()
    tables: dict[str, list[str]] = {"train": [], "dev": [], "test": [], "validated": []}
    names = list(clients)
    for place, (client, accent) in enumerate(clients.items()):
        split = "test" if client == names[-1] else "dev" if client == names[-2] else "train"
        for number in range(3):
            clip = f"common_voice_{language}_{place}{number}.mp3"
            write_sound(root / "clips" / clip)
            values = {"client_id": client, "path": clip, "sentence": f"Line {number} of client {place}.", "locale": language, column: accent}
            row = "\t".join({"up_votes": "2", "down_votes": "0", **values}.get(name, "") for name in columns)
            tables["validated"].append(row)
            if split != "train" or number == 0:  # one recording of a client is official, the others are validated only
                tables[split].append(row)
    for name, lines in tables.items():
        write_lines(root / f"{name}.tsv", ["\t".join(columns), *lines])
    return root


def write_l2_arctic(root: Path, speakers: Sequence[str]) -> Path:
    """All read the same twelve sentences."""
    for speaker in speakers:
        for number, text in enumerate(SENTENCES):
            write_sound(root / speaker / f"wav/arctic_a{number:04d}.wav")
            write_lines(root / speaker / f"transcript/arctic_a{number:04d}.txt", [text])
    return root


def write_stt4sg(root: Path) -> Path:
    """Two speakers of each region to train on, one in dev and one in test, whose sentences are the same in every region."""
    columns = ("path", "duration", "sentence", "sentence_source", "client_id", "dialect_region", "canton", "zipcode", "age", "gender")
    for table, people in {"train_all": 2, "valid": 1, "test": 1}.items():
        lines = ["\t".join(columns)]
        for region, canton in SWISS_REGIONS.items():
            for person in range(people):
                client = f"{table[:2]}{canton}{person}".lower()
                for number in range(3):
                    text = f"Satz {number} hören alle." if table == "test" else f"{table[:2]} {region} {person} sagt {number}."
                    path = f"{client}/{client}x{number}.flac"
                    write_sound(root / ("clips__test" if table == "test" else "clips__train_valid") / path)
                    lines.append("\t".join([path, "1.6", text, "news", client, region, canton, "3000", "thirties", "female"]))
        write_lines(root / f"{table}.tsv", lines)
    return root


def write_kespeech(root: Path) -> Path:
    """Two Jiang-Huai speakers to train on, and one of it and one of Mandarin in dev and test."""
    folders = {
        "train_phase1": {"1001": "Jiang-Huai", "1002": "Jiang-Huai", "1003": "Mandarin"},
        "dev_phase1": {"1004": "Jiang-Huai", "1005": "Mandarin"},
        "test": {"1006": "Jiang-Huai", "1007": "Mandarin"},
    }
    for folder, people in folders.items():
        lists: dict[str, list[str]] = {name: [] for name in ("wav.scp", "text", "utt2spk", "utt2subdialect")}
        for speaker, dialect in people.items():
            for number, text in enumerate(CHINESE[:4] if folder == "test" else CHINESE[3:]):  # one sentence of test is read in train too
                key, path = f"{speaker}_{number}", f"Audio/{speaker}/phase1/{speaker}_{number}.wav"
                write_sound(root / path)
                for name, value in zip(lists, (path, text, speaker, dialect), strict=True):
                    lists[name].append(f"{key} {value}")
        for name, lines in lists.items():
            write_lines(root / "Tasks/ASR" / folder / name, lines)
    return root


def write_afrispeech(root: Path) -> Path:
    """Yoruba and Zulu are trained on, Twi stands in test only."""
    header = AFRISPEECH_COLUMNS.split()
    people = {"train": ("yoruba", "yoruba", "zulu"), "dev": ("yoruba", "zulu"), "test": ("yoruba", "isizulu", "twi", "twi")}
    for split, accents in people.items():
        rows = []
        for place, accent in enumerate(accents):
            for number in range(3):
                key = f"{split}{place}{number}"
                text = f"Take {number} tablets" if number == 0 else f"{split} patient {place} line {number}"
                audio = f"session-{split}-{place}/{key}.wav"
                write_sound(root / "audio" / accent / split / audio)
                given = {"user_ids": f"{split}-{place}", "accent": accent, "transcript": text, "audio_ids": key, "audio_paths": audio}
                rows.append({"country": "NG", "domain": "clinical", "split": split, "gender": "Female", **given})
        path = root / "transcripts" / f"{split}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, header, restval="")
            table.writeheader()
            table.writerows(rows)
    return root
