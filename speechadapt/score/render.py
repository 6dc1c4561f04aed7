"""Reports and comparisons as text: tables for the terminal, Markdown for the run folder. Every figure comes from the records."""

from collections.abc import Mapping, Sequence

from tabulate import tabulate

from speechadapt.score.align import picture
from speechadapt.score.compare import UNDECIDED, Change, Comparison, GroupChange
from speechadapt.score.gap import find_gaps
from speechadapt.score.intervals import Interval
from speechadapt.score.mistakes import MistakesChange
from speechadapt.score.phrases import listed, percent, percent_range, plural, points, points_range, printable
from speechadapt.score.render_mistakes import short_lines
from speechadapt.score.report import ScoreReport
from speechadapt.score.verdict import ComparisonSet, overall_verdict

MOST_GROUPS = 40
MOST_EXAMPLES = 5


def report_text(report: ScoreReport) -> str:
    """One report for the terminal: the rates, what they rest on, and the groups."""
    words = report.words
    lines = [
        f"{printable(report.system)} on {printable(report.manifest)}: {plural(len(report.utterances), 'utterance')}, "
        f"{_people(report.speakers)}, {plural(words.reference_length, 'reference word')}",
        f"normalizer {report.normalizer}, version {report.normalizer_version}",
        "",
    ]
    row = [percent(report.wer), percent_range(report.interval), percent(report.cer)]
    counts = [words.hits, words.substitutions, words.deletions, words.insertions]
    lines.append(tabulate([[*row, *counts]], headers=["WER", "95 % interval", "CER", "hits", "subst.", "del.", "ins."], disable_numparse=True))
    if further := _further_rates(report):
        lines += ["", *further]
    groups = report.groups
    rows = [
        [
            field,
            printable(value),
            group.utterances,
            group.speakers,
            group.words.reference_length,
            percent(group.words.wer),
            percent(group.characters.wer),
        ]
        for field, found in groups.items()
        for value, group in list(found.items())[:MOST_GROUPS]
    ]
    if rows:
        table = tabulate(rows, headers=["group", "", "utterances", "speakers", "words", "WER", "CER"], disable_numparse=True)
        lines += ["", table]
    lines += [f"({len(found) - MOST_GROUPS} more values of {field})" for field, found in groups.items() if len(found) > MOST_GROUPS]
    if gaps := find_gaps(report):
        lines += ["", *(part for gap in gaps for part in (gap.sentence, *([f"  {gap.note}"] if gap.note else [])))]
    notes = report_notes(report)
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def _further_rates(report: ScoreReport) -> list[str]:
    """What else the counts say, in a line or two; the mixed error rate only where a script without blanks makes it another one."""
    words, mixed = report.words, report.mixed
    if not words.reference_length:
        return []
    kinds = (
        f"{percent(words.substitution_rate)} substituted, {percent(words.deletion_rate)} deleted, {percent(words.insertion_rate)} inserted; "
        f"sentences with an error {percent(report.sentence_error_rate)}"
    )
    jiwers = f"match error rate {percent(words.match_error_rate)}, word information lost {percent(words.information_lost)}"
    text = f"mixed error rate {percent(mixed.wer)} (characters of scripts without blanks, words of all others)"
    return [f"{kinds}; {jiwers}", *([text] if mixed != words else [])]


def report_notes(report: ScoreReport) -> list[str]:
    """What a reader must know beside the rates: dropped, missing and extra ids, hints of invented text, speed, a weak interval."""
    notes = []
    if report.empty_references:
        text = f"Not counted, no word in the reference: {_ids(report.empty_references)}"
        rate = report.invented_per_minute
        pace = "" if rate is None else f" ({rate:.1f} per minute of audio)"
        notes.append(f"{text}; the system said {plural(report.words_on_empty, 'word')} there{pace}." if report.words_on_empty else f"{text}.")
    if report.missing:
        notes.append(f"No hypothesis, counted as empty: {_ids(report.missing)}.")
    if report.extra:
        notes.append(f"Hypotheses of no utterance, ignored: {_ids(report.extra)}.")
    if report.repaired:
        notes.append(f"Texts with half a character (a lone surrogate), which counts as U+FFFD: {_ids(report.repaired)}.")
    if report.several:
        notes.append(f"{plural(report.several, 'utterance')} with several accepted wordings: the one with the fewest errors counts.")
    if report.alignment == "nist":
        notes.append("Words aligned by the weights of sclite (substitution 4, deletion and insertion 3), not for the fewest errors.")
    if report.runaways:
        notes.append(f"Perhaps a loop or invented text (twice the words said, or more): {_ids(report.runaways)}.")
    if report.real_time_factor is not None:
        notes.append(f"Decoding took {report.real_time_factor:.3f} s per second of audio.")
    if report.interval is not None and report.interval.note:
        notes.append(report.interval.note)
    return notes


def comparison_text(comparison: Comparison) -> str:
    """One comparison for the terminal: the verdict first, then the figures, the groups and the caveats."""
    head = ["", "WER", "95 % interval", "CER", "errors", "words"]
    rows = [_rates_row(comparison, "base"), _rates_row(comparison, "adapted")]
    lines = [comparison.sentence, "", tabulate(rows, headers=head, disable_numparse=True), ""]
    if comparison.tests:
        lines += [f"{_relative_line(comparison)}.", "", tabulate(_test_rows(comparison), headers=TEST_HEAD, disable_numparse=True)]
        if _unit(comparison.interval) == "speakers":
            lines.append("Those over speakers answer for other speakers; the others for other sentences of the same speakers.")
    else:
        lines.append(_tests_line(comparison))
    if sentence := power_sentence(comparison):
        lines += ["", sentence]
    groups = _group_rows(comparison.groups[:MOST_GROUPS])
    if groups:
        lines += ["", tabulate(groups, headers=GROUP_HEAD, disable_numparse=True)]
    if len(comparison.groups) > MOST_GROUPS:
        lines.append(f"({len(comparison.groups) - MOST_GROUPS} more groups: see them with --json)")
    if comparison.gaps:
        lines += ["", *_gap_lines(comparison)]
    lines += ["", f"{plural(len(comparison.improvements), 'utterance')} got better, {len(comparison.regressions)} got worse."]
    return "\n".join([*lines, *map(printable, _remarks(comparison))]) + "\n"


def _gap_lines(comparison: Comparison) -> list[str]:
    """The change of each gap, and below it what was left out."""
    return [part for gap in comparison.gaps for part in (gap.sentence, *([f"  {gap.base.note}"] if gap.base.note else []))]


def run_text(sets: Sequence[ComparisonSet]) -> str:
    """The verdict of a whole run for the terminal: sentences, and one row per set."""
    rows, head = _set_table(sets)
    table = tabulate(rows, headers=head, disable_numparse=True)
    remarks = [f"{entry.name}: {remark}" for entry in sets for remark in _remarks(entry.comparison)]
    return "\n".join([*map(printable, overall_verdict(sets)), "", table, *([""] if remarks else []), *map(printable, remarks)]) + "\n"


def run_markdown(
    sets: Sequence[ComparisonSet],
    *,
    title: str,
    plot: str | None = None,
    notes: Sequence[str] = (),
    mistakes: Mapping[str, MistakesChange] | None = None,
) -> str:
    """The run folder's `summary.md`: the verdict first, then tables, examples with their alignments, and caveats.

    Args:
        sets: the comparisons of the run.
        title: its heading.
        plot: file name of the plot beside it, if there is one.
        notes: further lines for the end, such as what was trained and on what.
        mistakes: what went wrong, by the name of the set.
    """
    parts = [f"# {_cell(title)}", "\n".join(f"- {_cell(sentence)}" for sentence in overall_verdict(sets))]
    parts.append(_markdown_table(*_set_table(sets)))
    if plot:
        parts.append(f"![WER by group, base against adapted]({plot})")
    for entry in sets:
        parts += _set_section(entry)
        if mistakes and entry.name in mistakes:
            parts += ["### What went wrong", "\n".join(f"- {_cell(line)}" for line in short_lines(mistakes[entry.name]))]
    if notes:
        parts += ["## How it was made", "\n".join(f"- {_cell(note)}" for note in notes)]
    return "\n\n".join(parts) + "\n"


SET_HEAD = [
    "set",
    "role",
    "utterances",
    "speakers",
    "base WER",
    "adapted WER",
    "change (points)",
    "95 % interval",
    "relative",
    "verdict",
]
SHORT_HEAD = "short window"
GROUP_HEAD = ["group", "", "speakers", "words", "base", "adapted", "change (points)", "95 % interval", "p", "p (Holm)", "verdict"]
TEST_HEAD = ["test", "over", "n", "statistic", "p"]
TEST_NAMES = {
    "permutation": "permutation",
    "student": "Student's t",
    "wilcoxon": "Wilcoxon signed rank",
    "sign": "sign",
    "mapsswe": "MAPSSWE",
    "matched_pairs": "matched pairs",
    "mcnemar": "McNemar",
}


def _set_table(sets: Sequence[ComparisonSet]) -> tuple[list[list[str]], list[str]]:
    """Rows and head; the short window has a column where any set was decoded in it (CTC models have none)."""
    rows = []
    any_short = any(entry.short_window for entry in sets)
    for entry in sets:
        found = entry.comparison
        short = f"{percent(entry.short_window.wer)}, {entry.short_window.verdict}" if entry.short_window else "-"
        size = [printable(entry.name), entry.role, str(found.utterances), str(found.speakers) if found.speakers else "unknown"]
        change = [points(found.delta), points_range(found.interval), _relative(found)]
        rows.append([*size, percent(found.base.wer), percent(found.adapted.wer), *change, found.verdict, *([short] if any_short else [])])
    return rows, [*SET_HEAD, *([SHORT_HEAD] if any_short else [])]


def _rates_row(comparison: Comparison, side: str) -> list[str]:
    rates = comparison.base if side == "base" else comparison.adapted
    system = comparison.base_system if side == "base" else comparison.adapted_system
    return [
        f"{side}: {printable(system)}",
        percent(rates.wer),
        percent_range(rates.interval),
        percent(rates.cer),
        str(rates.errors),
        str(rates.words),
    ]


def _group_rows(groups: Sequence[GroupChange]) -> list[list[str]]:
    return [
        [
            group.field,
            printable(group.value),
            str(group.speakers),
            str(group.words),
            percent(group.base),
            percent(group.adapted),
            points(group.delta),
            points_range(group.interval),
            _probability(group.p_value).removeprefix("= "),
            _probability(group.p_value_holm).removeprefix("= "),
            _group_verdict(group),
        ]
        for group in groups
    ]


def _group_verdict(group: GroupChange) -> str:
    if group.holds is False:
        return f"{group.verdict}, not after Holm"
    return f"{group.verdict} (WER rose)" if group.worse and group.verdict != "worse" else group.verdict


def power_sentence(comparison: Comparison) -> str:
    """What the test set could have shown, where that matters: the verdict is "not enough evidence", or it was asked for; else nothing."""
    power = comparison.power
    return power.sentence if power is not None and (comparison.verdict == UNDECIDED or power.asked) else ""


def _test_rows(comparison: Comparison) -> list[list[str]]:
    return [
        [
            TEST_NAMES.get(name, name),
            test.compared,
            str(test.n),
            "-" if test.statistic is None else f"{test.statistic:.3f}".removesuffix(".000"),
            _probability(test.p_value).removeprefix("= "),
        ]
        for name, test in comparison.tests.items()
    ]


def _relative_line(comparison: Comparison) -> str:
    return f"relative change {_relative(comparison)} (95 % interval {points_range(comparison.relative_interval)} %)"


def _tests_line(comparison: Comparison) -> str:
    pieces = [_relative_line(comparison)]
    pieces += [f"matched-pairs test over utterances p {_probability(comparison.p_value)}"]
    if _unit(comparison.interval) == "speakers":
        pieces += [f"permutation test over speakers p {_probability(comparison.p_value_speakers)}"]
    return "; ".join(pieces)


def _remarks(comparison: Comparison) -> list[str]:
    """For whom it got worse, and the caveats."""
    worse = [f"{group.field} {group.value} ({points(group.delta)} points, {group.verdict})" for group in comparison.worse_groups]
    more = f" and {plural(len(worse) - MOST_EXAMPLES, 'more group')}" if len(worse) > MOST_EXAMPLES else ""
    return [*([f"WER rose for {', '.join(worse[:MOST_EXAMPLES])}{more}."] if worse else []), *comparison.caveats]


def _set_section(entry: ComparisonSet) -> list[str]:
    found = entry.comparison
    parts = [f"## {_cell(entry.name)} ({entry.role})", _cell(found.sentence), _cell(_tests_line(found)) + "."]
    if sentence := power_sentence(found):
        parts.append(_cell(sentence))
    rows = [_rates_row(found, "base"), _rates_row(found, "adapted")]
    parts.append(_markdown_table(rows, ["", "WER", "95 % interval", "CER", "errors", "words"]))
    if found.groups:
        parts.append(_markdown_table(_group_rows(found.groups), GROUP_HEAD))
    if found.gaps:
        parts.append("\n".join(f"- {_cell(gap.sentence)}" for gap in found.gaps))
    if remarks := _remarks(found):
        parts.append("\n".join(f"- {_cell(remark)}" for remark in remarks))
    for heading, changes in (("Most improved", found.improvements), ("Got worse", found.regressions)):
        if changes:
            shown = changes[:MOST_EXAMPLES]
            parts += [f"### {heading} ({len(shown)} of {len(changes)})", *map(_example, shown)]
    return parts


def _example(change: Change) -> str:
    before = picture(printable(change.reference), printable(change.base))
    after = picture(printable(change.reference), printable(change.adapted))
    head = f"`{_cell(change.id)}`: {plural(change.base_errors, 'error')} -> {change.adapted_errors}"
    return f"{head}\n\n~~~text\nbase\n{before}\n\nadapted\n{after}\n~~~"


def _markdown_table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    return tabulate([[_cell(value) for value in row] for row in rows], headers=list(head), tablefmt="github", disable_numparse=True)


def _cell(text: str) -> str:
    """Text of strangers inside Markdown: no line may end, no table column, tag, link or picture may open."""
    return printable(text).replace("|", "\\|").replace("<", "&lt;").replace("`", "'").replace("](", "]\\(")


def _ids(ids: tuple[str, ...]) -> str:
    return f"{len(ids)} ({printable(listed(ids))})"


def _people(speakers: int) -> str:
    return plural(speakers, "speaker") if speakers else "speakers unknown"


def _relative(comparison: Comparison) -> str:
    return "-" if comparison.relative is None else f"{points(comparison.relative)} %"


def _probability(value: float | None) -> str:
    if value is None:
        return "-"
    return "< 0.0001" if value < 0.0001 else f"= {value:.4f}"


def _unit(interval: Interval | None) -> str:
    return interval.unit if interval else ""
