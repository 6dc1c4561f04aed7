"""What the tests of reports are made of: small score reports and comparisons, and what strangers may write into them."""

from collections.abc import Sequence
from pathlib import Path

from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.score.report import ScoreReport, score
from speechadapt.score.verdict import ComparisonSet, comparison_set

HOSTILE = {
    "tag": "</script><script>window.ran=1</script>",
    "picture": "<img src=x onerror=window.ran=2> <svg onload=window.ran=3>",
    "template": "{{ 7*7 }} ${window.ran=4} {% raw %}",
    "quotes": '" onmouseover="window.ran=5" \' `',
    "lines": "one\u2028two\u2029three",
    "override": "\u202eevil\u202c \u2066x\u2069",
    "emoji": "👩\u200d👩\u200d👧 🏴\U000e0067\U000e007f",
    "arabic": "مرحبا بالعالم",
    "comment": "<!-- <script> --> ]]> &amp; &#60;",
    "control": "a\x00b\x07c\x1b[31m",
    "surrogate": "half \ud83d pair",
    "long": "x" * 150,
}
"""What a stranger may write into a transcript, an id or the name of a group."""


def make_report(rows: Sequence[tuple[str, str | None, str, str]], system: str, folder: Path = Path()) -> ScoreReport:
    """A report of (id, speaker, reference, hypothesis) rows; speakers of even rows are north, of odd ones south."""
    path = folder / "test.jsonl"
    manifest = Manifest(
        (
            Utterance(id=key, audio_filepath=f"audio/{place}.flac", duration=1.0, text=text, speaker=speaker, accent=("south", "north")[place % 2])
            for place, (key, speaker, text, _) in enumerate(rows)
        ),
        folder=folder,
        name="test",
    )
    if folder != Path():
        manifest.write(path)
    said = [Hypothesis(id=row[0], text=row[3]) for row in rows]
    return score(manifest, said, system=system, normalizer="raw", manifest_path=path, resamples=200)


def make_entry(base: ScoreReport, adapted: ScoreReport, name: str = "test", role: str = "test") -> ComparisonSet:
    return comparison_set(name, base.manifest_path or "test.jsonl", role, base, adapted, resamples=200)


BASE = ["the cat sat", "in the mat", "one two", "four five six six", "seven ate nine", "ten eleven"]
SAID = ["the cat sat", "on the mat", "one two three", "four five six", "seven eight nine", "ten eleven twelve"]
NEW = ["the cat sad", "on the mat", "one two three", "four five six", "seven eight nine", "ten eleven twelve"]
