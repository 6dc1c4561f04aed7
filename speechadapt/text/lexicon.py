"""Lexicon: a user's own file of words that count as others, such as the spellings of a dialect that has none."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

from speechadapt.errors import MisuseError

MOST_ENTRIES = 200_000
LONGEST_FILE = 1 << 25
LONGEST_VARIANT = 16
"""Words of one variant."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """Variants and what they count as.

    Attributes:
        path: where it was read.
        entries: (line, variant, standard) as written; an empty standard leaves the word out.
        digest: hex sha256 of the entries, so that a report says which ones it was made with.
    """

    path: Path
    entries: tuple[tuple[int, str, str], ...]
    digest: str

    def function(self, normalize: Callable[[str], str]) -> Callable[[str], str]:
        """A rule for normalized texts: the longest variant that fits is replaced, from left to right, once.

        Args:
            normalize: what the texts have gone through; the entries go through it, too.

        Raises:
            MisuseError: a variant has no word after it, or stands twice and counts as different words.
        """
        table: dict[tuple[str, ...], tuple[int, str]] = {}
        for line, variant, standard in self.entries:
            words, replacement = tuple(normalize(variant).split()), normalize(standard)
            if not words or len(words) > LONGEST_VARIANT:
                raise MisuseError(
                    f'{self.path}, line {line}: the variant "{variant[:60]}" has {len(words)} words after normalizing, '
                    f"must be 1 to {LONGEST_VARIANT}. Correct the line."
                )
            if words in table and table[words][1] != replacement:
                raise MisuseError(
                    f'{self.path}, line {line}: "{" ".join(words)}" counts as "{replacement}" here and as "{table[words][1]}" in line '
                    f"{table[words][0]}. Keep one of them."
                )
            table.setdefault(words, (line, replacement))
        longest: dict[str, int] = {}
        for words in table:
            longest[words[0]] = max(len(words), longest.get(words[0], 0))
        return functools.partial(_replace, table={words: standard for words, (_, standard) in table.items()}, longest=longest)


def read_lexicon(path: Path) -> Lexicon:
    """Read a lexicon: `variant<TAB>standard` in each line, UTF-8; lines that begin with `#` are comments.

    Raises:
        MisuseError: no such file, too large, not UTF-8, no entry, or a line without a tab.
    """
    if not path.is_file():
        raise MisuseError(f"{path}: no such lexicon. Give a file with a variant, a tab and its standard form in each line.")
    if path.stat().st_size > LONGEST_FILE:
        raise MisuseError(f"{path}: {path.stat().st_size} bytes, at most {LONGEST_FILE}. Is this a lexicon?")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MisuseError(f"{path}: byte {error.start + 1} is not UTF-8. Save the lexicon as UTF-8.") from error
    entries = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        variant, tab, standard = line.rstrip("\r").partition("\t")
        if not tab or "\t" in standard:
            raise MisuseError(f"{path}, line {number}: must be a variant, one tab and its standard form: {line[:60]!r}. Correct the line.")
        entries.append((number, variant.strip(), standard.strip()))
    if not 0 < len(entries) <= MOST_ENTRIES:
        raise MisuseError(f"{path}: {len(entries)} entries, must be 1 to {MOST_ENTRIES}. Check the file.")
    digest = hashlib.sha256("".join(f"{variant}\t{standard}\n" for _, variant, standard in sorted(entries, key=lambda one: one[1:])).encode())
    return Lexicon(path=path, entries=tuple(entries), digest=digest.hexdigest())


def _replace(text: str, table: dict[tuple[str, ...], str], longest: dict[str, int]) -> str:
    words = text.split()
    kept: list[str] = []
    place = 0
    while place < len(words):
        for length in range(longest.get(words[place], 0), 0, -1):
            standard = table.get(tuple(words[place : place + length]))
            if standard is not None and place + length <= len(words):
                kept.append(standard)
                place += length
                break
        else:
            kept.append(words[place])
            place += 1
    return " ".join(kept)
