"""Labels of people as corpora publish them, made comparable: speaker keys, accent slugs, genders."""

import re
import unicodedata
from pathlib import Path

from speechadapt.errors import MisuseError
from speechadapt.files import read_json
from speechadapt.preparation.corpus import Corpus
from speechadapt.preparation.intake import Intake


def speaker_key(corpus: Corpus, native: str | None) -> str | None:
    """`corpus:native`, or the value itself where it already names a corpus; blank means unknown."""
    if native is None or not native.strip():
        return None
    return native if ":" in native else f"{corpus.name}:{native.strip()}"


def accent_slug(label: str) -> str:
    """NFKD, ASCII, lower-case, anything else an underscore: `Northern Irish` becomes `northern_irish`; other scripts keep their letters."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    return slug or re.sub(r"\W+", "_", label.casefold()).strip("_")


GENDERS = {
    **dict.fromkeys(("male", "m", "man", "male_masculine"), "male"),
    **dict.fromkeys(("female", "f", "woman", "female_feminine", "famale"), "female"),
    **dict.fromkeys(("other", "o", "transgender", "non-binary", "nonbinary", "intersex"), "other"),
}
UNSTATED = ("", "na", "n/a", "none", "null", "nan", "unknown", "unk", "do_not_wish_to_say")


def gender_of(label: str | None, intake: Intake) -> str | None:
    """male, female, other, or None; a spelling that is not understood is counted as a repair, not guessed."""
    told = (label or "").strip().casefold()
    if told in UNSTATED:
        return None
    if told not in GENDERS:
        intake.repair("gender label not understood, left empty")
    return GENDERS.get(told)


def read_accent_map(path: Path) -> dict[str, str]:
    """Read `{"label as published": "slug"}` from a JSON file.

    Raises:
        MisuseError: not an object of texts.
    """
    table = read_json(path)
    if not isinstance(table, dict) or not all(isinstance(slug, str) for slug in table.values()):
        raise MisuseError(f'{path}: an accent map is one JSON object such as {{"Scottish English": "en_scotland"}}. Correct the file.')
    return {label.strip().casefold(): slug for label, slug in table.items()}
