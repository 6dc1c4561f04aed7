"""Prompts: the sentences that people are asked to read aloud, one a line, each with the part of the corpus that it belongs to."""

import dataclasses
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from speechadapt.errors import MisuseError
from speechadapt.text.cleaning import has_words
from speechadapt.text.sentence import sentence_key

LISTS = Path(__file__).parent / "prompt_lists"
MOST_PROMPTS = 10_000
LONGEST_PROMPT = 400
"""Characters: about half a minute of speech."""
LARGEST_FILE = 8 << 20
JOINERS = "\u200c\u200d"
"""Persian, Indic scripts and emoji are spelled with them; every other invisible character is taken out."""

TEST_SHARE = 0.2
"""Of a list of a hundred prompts, a tenth would be too little to prove anything."""
DEV_SHARE = 0.1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One sentence to be read.

    Attributes:
        id: ten hex digits of the sentence, so that it stays the same wherever in the list the sentence stands.
        text: as shown, and as it goes into the corpus.
        split: train, dev or test; all readings of a sentence go to one part, so what is tested was never trained on.
    """

    id: str
    text: str
    split: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PromptList:
    """Prompts in their order; `name` is the file's or the shipped list's, `notes` say what was left out or changed while reading."""

    name: str
    prompts: tuple[Prompt, ...]
    notes: tuple[str, ...] = ()


def shipped_lists() -> list[str]:
    """The names of the lists that come with the package."""
    return sorted(path.stem for path in LISTS.glob("*.txt"))


def read_prompts(source: str, *, test_share: float = TEST_SHARE, dev_share: float = DEV_SHARE) -> PromptList:
    """Read a text file with one prompt a line, UTF-8, or a shipped list by its name.

    Blank lines are passed over; a sentence that stands twice is taken once, as is what differs only in case or punctuation. The parts are spread
    evenly over the list, so that whoever stops early has all three; see `divide`.

    Args:
        source: a path, or the name of a shipped list.
        test_share, dev_share: of the prompts, 0 or more and together at most 0.8.

    Raises:
        MisuseError: the file is missing, empty, not UTF-8 or too large, a prompt is too long, or the shares cannot be.
    """
    for name, share in (("test-share", test_share), ("dev-share", dev_share)):
        if not 0 <= share <= 0.8 or test_share + dev_share > 0.8:
            raise MisuseError(f"--{name} {share:g}: must be 0 or more, and both shares together at most 0.8. Correct it.")
    path = Path(source)
    if not path.is_file() and source in shipped_lists():
        path = LISTS / f"{source}.txt"
    lines = _read_lines(path, source)
    repairs = {"no words in it": 0, "the same sentence as an earlier line": 0, "invisible characters taken out": 0}
    sentences: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        text = _visible(line)
        repairs["invisible characters taken out"] += text != " ".join(line.split())
        if len(text) > LONGEST_PROMPT:
            raise MisuseError(f"{path}, line {number}: {len(text)} characters, a prompt has at most {LONGEST_PROMPT}. Cut it into sentences.")
        key = sentence_key(text) if has_words(text) else ""
        if not key or key[:10] in sentences:
            repairs["the same sentence as an earlier line" if key else "no words in it"] += 1
            continue
        sentences[key[:10]] = text
        if len(sentences) > MOST_PROMPTS:
            raise MisuseError(f"{path}: more than {MOST_PROMPTS} prompts, more than anyone reads. Give a shorter list.")
    if not sentences:
        raise MisuseError(f"{path}: no prompt in it. Write one sentence a line.")
    notes = [f"{path}: {_lines_said(count)}: {what}" for what, count in repairs.items() if count]
    places = divide(len(sentences), test_share=test_share, dev_share=dev_share)
    prompts = tuple(Prompt(id=key, text=text, split=split) for (key, text), split in zip(sentences.items(), places, strict=True))
    return PromptList(name=path.stem if path.parent == LISTS else path.name, prompts=prompts, notes=tuple(notes))


def divide(count: int, *, test_share: float, dev_share: float) -> list[str]:
    """The part of each of `count` prompts: the first trains, the second tests, the third is dev, then each part comes as often as its share says.

    A longer list leaves the parts of its beginning as they are.
    """
    places = []
    test, dev = 1 - 2 * test_share, 1 - 3 * dev_share
    for _ in range(count):
        test += test_share
        dev += dev_share
        # a hair above, as ten times 0.1 is a little less than 1
        if test_share and test >= 1 - 1e-9:
            test -= 1
            places.append("test")
        elif dev_share and dev >= 1 - 1e-9:
            dev -= 1
            places.append("dev")
        else:
            places.append("train")
    return places


def _read_lines(path: Path, source: str) -> Iterable[str]:
    if path.is_dir():
        raise MisuseError(f"{path}: a folder, expected a text file with one prompt a line. Give the file.")
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise MisuseError(f"{path}: not a file. Give a text file with one prompt a line.")
        if size > LARGEST_FILE:
            raise MisuseError(f"{path}: {size / 2**20:.0f} MiB, a list of prompts has at most {LARGEST_FILE >> 20} MiB. Check that it is one.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MisuseError(f"{path}: not UTF-8 text (byte {error.start}). Save the list as UTF-8.") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise MisuseError(
            f"{source}: no such list of prompts ({reason}). Give a text file with one prompt a line, or one of: {', '.join(shipped_lists())}."
        ) from error
    return text.splitlines()


def _visible(line: str) -> str:
    """The line without controls, direction marks and the like, blanks made single."""
    kept = [" " if letter.isspace() else letter for letter in line if letter.isspace() or letter in JOINERS or unicodedata.category(letter)[0] != "C"]
    return " ".join("".join(kept).split())


def _lines_said(count: int) -> str:
    return f"{count} line" if count == 1 else f"{count} lines"
