"""Vocabulary: the letters a CTC model writes, one output row each, with its blank and its word separator."""

import dataclasses
import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from speechadapt.errors import LabelError, ModelError
from speechadapt.files import write_json
from speechadapt.text.spelling import has_case

VOCABULARY_FILE = "vocab.json"
BLANK, SEPARATOR = "<pad>", "|"
SPECIAL = re.compile(r"<[^<>]+>|\[(?:PAD|UNK|CLS|SEP|MASK)\]")
"""Rows that stand for no letters, beside those that the tokenizer's files name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Which token each row of the output layer stands for.

    Attributes:
        tokens: in id order, one per row.
        blank: id of CTC's blank, which Hugging Face calls the padding token.
        separator: id of the token written between words; None where a base writes none.
        unknown: id of the token for other characters; it is never learned and never written.
    """

    tokens: tuple[str, ...]
    blank: int
    separator: int | None
    unknown: int | None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def letters(self) -> dict[str, int]:
        """The tokens that write text, with their ids; neither blank, separator nor special tokens."""
        named = {self.blank, self.separator, self.unknown}
        return {token: number for number, token in enumerate(self.tokens) if number not in named and not SPECIAL.fullmatch(token)}

    @property
    def case(self) -> str | None:
        """`upper` or `lower` where all letters with a case are, else None: what text must be turned into before `encode`."""
        letters = [token for token in self.letters if has_case(token)]
        if letters and all(token != token.lower() for token in letters):
            return "upper"
        return "lower" if letters and all(token == token.lower() for token in letters) else None

    def encode(self, text: str) -> list[int]:
        """Ids of a text in the vocabulary's own spelling and case; blanks are the separator, or nothing where there is none.

        Raises:
            LabelError: the text has characters that no token writes; the message lists them.
        """
        known, pattern = _reader(self)
        ids, outside = [], []
        for piece in pattern.findall(text):
            if piece == " ":
                ids += [] if self.separator is None else [self.separator]
            elif piece in known:
                ids.append(known[piece])
            else:
                outside.append(piece)
        if outside:
            raise LabelError(
                "characters outside the vocabulary",
                f'the text has {_listed(Counter(outside))}, which the vocabulary has no token for: "{text[:60]}". '
                "Extend the vocabulary (vocabulary=extend), or correct the text.",
            )
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids in which repeats and blanks are gone already; special tokens write nothing."""
        written = {number: token for token, number in self.letters.items()}
        if self.separator is not None:
            written[self.separator] = " "
        return " ".join("".join(written.get(number, "") for number in ids).split())

    def missing(self, texts: Iterable[str]) -> Counter[str]:
        """Characters of texts (in the vocabulary's case) that no token writes, with the number of times they occur."""
        known, pattern = _reader(self)
        found = Counter(piece for text in texts for piece in pattern.findall(text) if piece not in known)
        if self.separator is not None:
            del found[" "]
        return found

    def extend(self, characters: Sequence[str]) -> "Vocabulary":
        """The same rows, and behind them one for each new character; a blank (" ") becomes the separator."""
        new = [SEPARATOR if character == " " else character for character in characters]
        separator = len(self) + new.index(SEPARATOR) if SEPARATOR in new else self.separator
        return dataclasses.replace(self, tokens=(*self.tokens, *new), separator=separator)

    def write(self, folder: Path) -> None:
        """Write the files that transformers' `Wav2Vec2CTCTokenizer.from_pretrained(folder)` reads, ids unchanged."""
        write_json(folder / VOCABULARY_FILE, {token: number for number, token in enumerate(self.tokens)})
        write_json(
            folder / "tokenizer_config.json",
            {
                "tokenizer_class": "Wav2Vec2CTCTokenizer",
                "pad_token": self.tokens[self.blank],
                "unk_token": None if self.unknown is None else self.tokens[self.unknown],
                # named although they may be absent, None, or the tokenizer adds rows of its own for them
                "bos_token": "<s>" if "<s>" in self.tokens else None,
                "eos_token": "</s>" if "</s>" in self.tokens else None,
                "word_delimiter_token": SEPARATOR if self.separator is None else self.tokens[self.separator],
                "replace_word_delimiter_char": " ",
                "do_lower_case": False,
            },
        )


@functools.lru_cache(maxsize=8)
def _reader(vocabulary: Vocabulary) -> tuple[dict[str, int], re.Pattern[str]]:
    """The letters, and a pattern that cuts a text into them, longest first (tokens may have several characters)."""
    known = vocabulary.letters
    long = sorted((token for token in known if len(token) > 1), key=lambda token: -len(token))
    return known, re.compile("|".join([*map(re.escape, long), "."]), re.DOTALL)


def build_vocabulary(characters: Iterable[str]) -> Vocabulary:
    """A new vocabulary: blank, separator, and the characters in code point order."""
    letters = sorted(set(characters) - {" ", SEPARATOR})
    return Vocabulary(tokens=(BLANK, SEPARATOR, *letters), blank=0, separator=1, unknown=None)


def read_vocabulary(folder: Path, rows: int, language: str | None = None) -> Vocabulary:
    """Read the files of a `Wav2Vec2CTCTokenizer`.

    Args:
        folder: holds `vocab.json`, and perhaps `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json`.
        rows: of the output layer. Rows without a token never write anything; special tokens behind the last row are left out.
        language: of a vocabulary with one table per language (MMS).

    Raises:
        ModelError: missing, broken, without a blank, or with letters behind the last row.
    """
    path = folder / VOCABULARY_FILE
    table = read_table(folder)
    if any(isinstance(value, dict) for value in table.values()):
        table = table.get(language, {}) if language is not None else {}
    names = _named_tokens(folder)
    ids = {**_added_tokens(folder), **table}
    if not all(isinstance(number, int) and number >= 0 for number in ids.values()) or len(set(table.values())) != len(table):
        raise ModelError(f"{path}: must map each token to an id of its own, 0 or more. Copy it from the original model.")
    if names["pad_token"] not in ids:
        raise ModelError(
            f'{path}: has no token "{names["pad_token"]}", which tokenizer_config.json names as the padding token, CTC\'s blank. '
            "Copy both files from the original model."
        )
    behind = [token for token, number in ids.items() if number >= rows and not SPECIAL.fullmatch(token)]
    if behind or ids[names["pad_token"]] >= rows:
        raise ModelError(
            f"{path}: gives ids up to {max(ids.values())}, but the output layer has {rows} rows. Copy the vocabulary that belongs to the model."
        )
    tokens = {number: token for token, number in ids.items()}
    return Vocabulary(
        tokens=tuple(tokens.get(number, f"<row {number}>") for number in range(rows)),
        blank=ids[names["pad_token"]],
        separator=ids.get(names["word_delimiter_token"]),
        unknown=ids.get(names["unk_token"]) if ids.get(names["unk_token"], rows) < rows else None,
    )


def read_table(folder: Path) -> dict[str, Any]:
    """`vocab.json` as it is: tokens to ids, or languages to such tables (MMS).

    Raises:
        ModelError: it is missing or no JSON object.
    """
    table = _json(folder / VOCABULARY_FILE)
    if not table:
        raise ModelError(
            f"{folder}: its {VOCABULARY_FILE} is missing or empty, so nobody can tell what its output means. Copy it from the original model."
        )
    return table


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: is not JSON ({error}). Copy it from the original model.") from error
    if not isinstance(table, dict):
        raise ModelError(f"{path}: must hold a JSON object. Copy it from the original model.")
    return table


def _named_tokens(folder: Path) -> dict[str, str]:
    """The tokens with a role, as the files name them; a token may be written as an object with its `content`."""
    names: dict[str, Any] = {"pad_token": BLANK, "unk_token": "<unk>", "word_delimiter_token": SEPARATOR}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        names |= {key: value for key, value in _json(folder / file).items() if key in names}
    return {key: value["content"] if isinstance(value, dict) else str(value) for key, value in names.items()}


def _added_tokens(folder: Path) -> dict[str, int]:
    added = dict(_json(folder / "added_tokens.json"))
    for number, token in _json(folder / "tokenizer_config.json").get("added_tokens_decoder", {}).items():
        added.setdefault(token["content"], int(number))
    return added


def _listed(characters: Counter[str]) -> str:
    return ", ".join(f'"{character}"' for character in sorted(characters)[:10]) + (", …" if len(characters) > 10 else "")
