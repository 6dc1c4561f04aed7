"""Mistakes as text: tables for the terminal and a short part of a run's summary. Every figure comes from the records."""

from tabulate import tabulate

from speechadapt.score.mistakes import ClipEdges, Confusion, Mistakes, MistakesChange, WordChange
from speechadapt.score.phrases import listed, percent, plural, printable

MOST_GROUPS = 3
MOST_LETTERS = 100
"""Of a text in a table."""


def mistakes_text(mistakes: Mistakes, *, most: int = 10) -> str:
    """What went wrong, for the terminal; at most `most` rows of each table."""
    parts = [f"What {printable(mistakes.system)} got wrong"]
    for name, several in (("substitutions", mistakes.substitutions), ("deletions", mistakes.deletions), ("insertions", mistakes.insertions)):
        if several:
            shown = several[:most]
            kinds = mistakes.distinct[several[0].kind]
            table = tabulate([_confusion_row(one) for one in shown], headers=_confusion_head(several[0]), disable_numparse=True)
            parts.append(f"{name[0].upper()}{name[1:]} ({len(shown)} of {kinds} different ones)\n{table}")
    if mistakes.worst:
        rows = [[printable(one.id), one.errors, one.words, percent(one.rate), _clipped(one.hypothesis)] for one in mistakes.worst[:most]]
        parts.append("Most errors\n" + tabulate(rows, headers=["utterance", "errors", "words", "rate", "hypothesis"], disable_numparse=True))
    if len(parts) == 1:
        parts.append("Nothing: every word was recognized.")
    parts.append("\n".join(invention_lines(mistakes)))
    if mistakes.hallucinations:
        rows = [
            [printable(one.id), one.kind, one.words, _repeated(one.phrase, one.repeats), _clipped(one.hypothesis)]
            for one in mistakes.hallucinations[:most]
        ]
        parts.append(tabulate(rows, headers=["utterance", "looks invented", "words", "what", "hypothesis"], disable_numparse=True))
    if lines := edge_lines(mistakes.edges):
        parts.append("\n".join(lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def mistakes_change_text(change: MistakesChange, *, most: int = 10) -> str:
    """What the adapted system gets wrong, and what came and went against the base, for the terminal."""
    parts = [mistakes_text(change.adapted, most=most).rstrip("\n"), "\n".join(change_lines(change))]
    for name, several in (("Words gained", change.gained), ("Words lost", change.lost)):
        if several:
            parts.append(f"{name}\n" + tabulate([_word_row(word) for word in several[:most]], headers=WORD_HEAD, disable_numparse=True))
    return "\n\n".join(parts) + "\n"


def change_lines(change: MistakesChange) -> list[str]:
    """Words and inventions that came and went, in two sentences."""
    lines = [
        f"{plural(change.gained_words, 'word')} that the base got wrong are right now, and {change.lost_words} the other way round "
        f"(net {change.gained_words - change.lost_words:+d})."
    ]
    if change.new_hallucinations or change.gone_hallucinations:
        new = f" ({printable(listed(change.new_hallucinations, 3))})" if change.new_hallucinations else ""
        lines.append(f"Utterances that look invented: {len(change.gone_hallucinations)} no longer do, {len(change.new_hallucinations)} do now{new}.")
    return lines


def short_lines(change: MistakesChange, *, most: int = 5) -> list[str]:
    """What matters of the mistakes of a comparison, in a few sentences for a summary."""
    lines = change_lines(change)
    confused = [f'"{one.reference}" as "{one.hypothesis}" ({_times(one)})' for one in change.adapted.substitutions[:most]]
    if confused:
        lines.append(f"Most frequent confusions left: {printable(', '.join(confused))}.")
    for name, several in (("gained", change.gained), ("lost", change.lost)):
        if several:
            lines.append(f"Words {name} most often: {printable(', '.join(f'{one.word} ({one.net:+d} of {one.said})' for one in several[:most]))}.")
    return [*lines, *invention_lines(change.adapted), *edge_lines(change.adapted.edges)]


def invention_lines(mistakes: Mistakes) -> list[str]:
    """How many utterances look invented, by kind; nothing where none does and nothing was said into silence."""
    kinds = [f"{count} {kind}" for kind, count in mistakes.hallucinated.items() if count]
    lines = [f"Utterances that look invented: {', '.join(kinds)} ({percent(mistakes.hallucination_rate)} of all)."] if kinds else []
    if mistakes.words_on_silence:
        words = plural(mistakes.words_on_silence, "word")
        lines.append(f"{words} said where nothing was said ({plural(mistakes.silent, 'utterance')} without a word in the reference).")
    return lines


def edge_lines(edges: ClipEdges | None) -> list[str]:
    """A warning for each end of the clips where words are lost much more often than elsewhere."""
    if edges is None:
        return []
    found = []
    for name, word, share, ratio, suspicious in (
        ("start", "first", edges.start, edges.start_ratio, edges.start_suspicious),
        ("end", "last", edges.end, edges.end_ratio, edges.end_suspicious),
    ):
        if suspicious:
            times = f", {ratio:.1f} times as often as a word between" if ratio is not None else ", and no word between"
            found.append(
                f"The {word} word is deleted in {percent(share)} of the clips{times}: they may be cut at the {name}, or the window may be too short "
                f"(most words lost: {printable(listed(edges.examples, 3))})."
            )
    return found


WORD_HEAD = ["word", "said", "right before", "right now", "net", "p (sign test)"]


def _word_row(word: WordChange) -> list[str]:
    p_value = "< 0.0001" if word.p_value < 0.0001 else f"{word.p_value:.4f}"
    return [printable(word.word), str(word.said), str(word.base), str(word.adapted), f"{word.net:+d}", p_value]


def _confusion_head(one: Confusion) -> list[str]:
    words = [name for name, word in (("said", one.reference), ("heard", one.hypothesis)) if word is not None]
    return [*words, "times", "utterances", "speakers", "more often by"]


def _confusion_row(one: Confusion) -> list[str]:
    words = [printable(word) for word in (one.reference, one.hypothesis) if word is not None]
    return [*words, _times(one), str(one.utterances), str(one.speakers) if one.speakers else "unknown", _groups(one)]


def _times(one: Confusion) -> str:
    return str(one.count) if one.reference is None else f"{one.count} of {one.chances}"


def _groups(one: Confusion) -> str:
    told = [
        f"{printable(group.field)} {printable(group.value)} ({f'{group.ratio:.1f} times' if group.ratio is not None else 'only there'})"
        for group in one.groups[:MOST_GROUPS]
    ]
    more = len(one.groups) - MOST_GROUPS
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")


def _repeated(phrase: str, repeats: int) -> str:
    return f"{repeats} times: {_clipped(phrase, 40)}" if repeats else _clipped(phrase, 40)


def _clipped(text: str, most: int = MOST_LETTERS) -> str:
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
