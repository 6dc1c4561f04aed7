"""Preparation: what every script in data_prep/ shares, from the rows of a corpus to 16 kHz audio, manifests and a report.

A script reads its corpus' lists into `CorpusRow`s, counts what it had to drop or repair in an `Intake`, and hands both to `finish_corpus`.
"""

from speechadapt.preparation.accents import AccentLabels, split_accents
from speechadapt.preparation.archives import archive_stem, is_archive, is_junk, unpack
from speechadapt.preparation.corpus import Corpus, CorpusRow, PrepareOptions, Recipe, release
from speechadapt.preparation.finish import finish_corpus
from speechadapt.preparation.intake import Drop, Intake
from speechadapt.preparation.labels import accent_slug, gender_of, read_accent_map, speaker_key
from speechadapt.preparation.locate import find_file, locate_audio
from speechadapt.preparation.options import available_cores, read_settings
from speechadapt.preparation.report import PrepReport
from speechadapt.preparation.segments import Segment, merge_segments

__all__ = [
    "AccentLabels",
    "Corpus",
    "CorpusRow",
    "Drop",
    "Intake",
    "PrepReport",
    "PrepareOptions",
    "Recipe",
    "Segment",
    "accent_slug",
    "archive_stem",
    "available_cores",
    "find_file",
    "finish_corpus",
    "gender_of",
    "is_archive",
    "is_junk",
    "locate_audio",
    "merge_segments",
    "read_accent_map",
    "read_settings",
    "release",
    "speaker_key",
    "split_accents",
    "unpack",
]
