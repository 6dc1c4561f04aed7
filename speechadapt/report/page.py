"""Page: a document as one HTML file that needs nothing else, runs nothing of others and fetches nothing. Jinja2 fills it, matplotlib draws."""

import base64
import dataclasses
import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from speechadapt.provenance import package_version
from speechadapt.report.browser import MOST_UTTERANCES, Line, browser_data, lines_of, worth_hearing
from speechadapt.report.charts import Rate, Row, group_chart, speaker_chart, training_chart
from speechadapt.report.clips import MOST_BYTES, Clips, find_clips
from speechadapt.report.document import Document, ReportSet, Training
from speechadapt.report.inert import inert, script_json
from speechadapt.score.compare import GroupChange
from speechadapt.score.gap import Gap, GapChange, compare_gaps, find_gaps
from speechadapt.score.mistakes import ClipEdges, Confusion, Mistakes, WordChange, compare_mistakes, find_mistakes
from speechadapt.score.phrases import percent, percent_range, plural, points, points_range
from speechadapt.score.render import TEST_NAMES, power_sentence, report_notes
from speechadapt.score.report import group_members, wer_interval

Member = TypeVar("Member")
MOST_ROWS = 200
MOST_CHART_ROWS = 40
MOST_CARDS = 24
LONG_PREFIX = 8
MOST_MISTAKES = 10
MOST_EXCESS = 3
TWICE = 2
"""What happened once is no habit: it is in the list of utterances."""
MOST_SPEAKERS = 2000
GOOD, BAD, OPEN = "good", "bad", "open"
MARKS = {
    "better": GOOD,
    "narrower": GOOD,
    "worse": BAD,
    "wider": BAD,
    "not enough evidence": OPEN,
    "better, not after Holm": OPEN,
    "worse, not after Holm": OPEN,
}
"""How a verdict looks; each is also written out."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table of text: `numbers` are the columns set flush right."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing with its caption, and the same figures as a table."""

    svg: Markup
    caption: str
    table: Grid
    legend: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A part of a section; a `pair` of tables stands side by side where there is room, what is `folded` opens under `folded_title`."""

    title: str = ""
    texts: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Grid] = ()
    pair: Sequence[Grid] = ()
    folded: Sequence[Grid] = ()
    folded_title: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A chapter of the page; `key` is its anchor."""

    key: str
    title: str
    lead: str
    blocks: Sequence[Block]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The finished page: its `html`, and `notes` for who made it, such as how much sound went in."""

    html: str
    notes: tuple[str, ...]


def html_page(document: Document, *, folder: Path | str = ".", embed_audio: int = 0) -> Page:
    """Make the page.

    Args:
        document: what it tells.
        folder: where the page will lie; recordings that are not embedded are named relative to it.
        embed_audio: of how many utterances the sound goes into the file itself, those with the largest change or most errors first; at most
            60 s each and 24 MiB in all.
    """
    lines = [lines_of(one) for one in document.sets]
    clips, notes = _sound(document.sets, lines, Path(folder), embed_audio)
    found = (_groups(document.sets), _gaps(document.sets), _speakers(document.sets), _mistakes(document.sets), _training(document.training))
    parts = [section for section in found if section]
    if len(document.sets) == 1:  # its name stands in the verdict
        parts = [dataclasses.replace(part, blocks=[dataclasses.replace(block, title="") for block in part.blocks]) for part in parts]
    total = sum(map(len, lines))
    browser = None
    if total:
        data = browser_data(document, lines, [found.by_id for found in clips])
        shown = len(data["rows"])
        browser = {
            "data": Markup(script_json(data)),
            "lead": _browser_lead(document, shown, total),
            "notes": tuple(dict.fromkeys(note for found in clips for note in found.notes)),
        }
    names = [("verdict", "Verdict"), *((section.key, section.title) for section in parts)]
    names += [*([("utterances", "Utterances")] if browser else []), ("provenance", "Provenance")]
    style, script = _text("report.css"), _text("report.js")
    html = _template().render(
        title=inert(document.title),
        subtitle=inert(_subtitle(document)),
        version=package_version("speechadapt") or "",
        policy=_policy(script),
        style=Markup(style),
        script=Markup(script),
        sections=names,
        marks=MARKS,
        cards=[{name: said(value) for name, value in _card(one).items()} for one in document.sets[:MOST_CARDS]],
        sentences=[said(sentence) for sentence in document.sentences],
        tables=[_grid(table.title, table.head, table.rows, table.note) for table in document.tables],
        caveats=_caveats(document),
        rates=[grid for one in document.sets for grid in (_rates(one), _tests(one)) if grid],
        parts=parts,
        browser=browser,
        facts=[(inert(name), inert(value)) for name, value in document.provenance],
        settings=[(inert(name), inert(value)) for name, value in document.settings],
    )
    return Page(html=html, notes=tuple(notes))


def said(text: str) -> str:
    """Our own sentences and figures as a page sets them: `−19.2`, `24.4 %` unbroken, `→`; made inert, as names of strangers stand in them."""
    text = re.sub(r"(?<![^\s(])-(?=\d)", "\N{MINUS SIGN}", inert(text))
    return text.replace(" -> ", " \N{RIGHTWARDS ARROW} ").replace(" %", "\N{NO-BREAK SPACE}%")


def _policy(script: str) -> str:
    """Nothing from elsewhere: our one script by its digest, our style, sound from the page itself or from beside it."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = ["default-src 'none'", f"script-src 'sha256-{digest}'", "style-src 'unsafe-inline'", "img-src data:", "media-src data: file: 'self'"]
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("speechadapt.report", "page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html")


def _text(name: str) -> str:
    return (Path(__file__).parent / "page" / name).read_text(encoding="utf-8")


def _sound(sets: Sequence[ReportSet], lines: Sequence[Sequence[Line]], folder: Path, embed: int) -> tuple[list[Clips], list[str]]:
    """The clips of every set; what is embedded is shared out among the sets by what there is to hear in them."""
    wanted: list[tuple[tuple[int, int], int, str]] = []
    for place, rows in enumerate(lines):
        chosen = set(worth_hearing(rows, embed))
        wanted += [(line.weight, place, line.id) for line in rows if line.id in chosen]
    wanted.sort(key=lambda item: item[0], reverse=True)
    room, clips, count, size = MOST_BYTES, [], 0, 0
    for place, one in enumerate(sets):
        found = find_clips(one, folder, embed=[key for _, where, key in wanted[:embed] if where == place], room=room)
        room -= found.bytes
        count, size = count + found.embedded, size + found.bytes
        clips.append(found)
    notes = [f"{plural(count, 'clip')} embedded, {size / 2**20:.1f} MiB."] if embed else []
    return clips, [*notes, *dict.fromkeys(note for found in clips for note in found.notes)]


def _subtitle(document: Document) -> str:
    normalizers = {found.normalizer for one in document.sets if (found := one.report or one.comparison)}
    pieces = [plural(len(document.sets), "set"), f"normalizer {', '.join(sorted(normalizers))}"] if normalizers else []
    time = dict(document.provenance).get("time")
    return " · ".join([*pieces, *([time[:16].replace("T", " ")] if time else [])])


def _card(one: ReportSet) -> dict[str, str]:
    found, report = one.comparison, one.report
    card = {"name": inert(one.name), "role": one.role.capitalize(), "base": "", "verdict": ""}
    if found is not None:
        change = f"{points(found.delta)} points" + (f", 95 % interval {points_range(found.interval)}" if found.interval else ", no interval")
        card |= {"base": percent(found.base.wer), "rate": percent(found.adapted.wer), "verdict": found.verdict, "change": change}
        return {**card, "size": _size(found.utterances, found.speakers)}
    if report is None:
        return {**card, "rate": "-", "change": "", "size": ""}
    interval = f"95 % interval {percent_range(report.interval)}" if report.interval else "no interval"
    size = _size(len(report.utterances), report.speakers)
    return {**card, "rate": percent(report.wer), "change": f"{interval}, CER {percent(report.cer)}", "size": size}


def _size(utterances: int, speakers: int) -> str:
    people = f"{_whole(speakers)} speaker{'s' * (speakers != 1)}" if speakers else "speakers unknown"
    return f"{_whole(utterances)} utterance{'s' * (utterances != 1)}, {people}"


def _caveats(document: Document) -> list[str]:
    several = len(document.sets) > 1
    found = []
    for one in document.sets:
        notes = (
            [*one.comparison.caveats, *filter(None, [power_sentence(one.comparison)])]
            if one.comparison
            else report_notes(one.report)
            if one.report
            else []
        )
        found += [said(f"{one.name}: {note}" if several else note) for note in notes]
    return found


def _rates(one: ReportSet) -> Grid | None:
    head = ["system", "WER", "95 % interval", "CER", "words", "errors", "substituted", "deleted", "inserted"]
    rows = []
    found = one.comparison
    for system, report, rates in (
        ("base", one.base, found.base if found else None),
        ("adapted" if found else "", one.report, found.adapted if found else None),
    ):
        if report is not None:
            words = report.words
            counts = [words.reference_length, words.errors, words.substitutions, words.deletions, words.insertions]
            rows.append([system or report.system, percent(report.wer), percent_range(report.interval), percent(report.cer), *map(_whole, counts)])
        elif rates is not None:
            counted = [_whole(rates.words), _whole(rates.errors), "-", "-", "-"]
            rows.append([system, percent(rates.wer), percent_range(rates.interval), percent(rates.cer), *counted])
    note = ""
    if found is not None and found.interval is not None and found.interval.units:
        how = found.interval
        note = f"Interval of the change: {how.method} over {how.units} {how.unit}, {_whole(how.resamples)} resamples."
    return _grid(f"{one.name}: rates and counts", head, rows, note, range(1, 9)) if rows else None


def _tests(one: ReportSet) -> Grid | None:
    """Every test of the two systems; files of version 0.1.0 have only two p-values."""
    found = one.comparison
    if found is None:
        return None
    head = ["test", "compared", "number", "statistic", "p"]
    rows = [
        [TEST_NAMES.get(name, name), test.compared, _whole(test.n), "-" if test.statistic is None else f"{test.statistic:.3f}", _chance(test.p_value)]
        for name, test in found.tests.items()
    ]
    if not rows:
        rows = [
            ["matched pairs", "utterances", _whole(found.utterances), "-", _chance(found.p_value)],
            ["permutation", "speakers", _whole(found.speakers), "-", _chance(found.p_value_speakers)],
        ]
    return _grid(f"{one.name}: tests of base against adapted", head, rows, power_sentence(found), range(2, 5))


def _chance(value: float | None) -> str:
    if value is None:
        return "-"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


GROUP_HEAD = ["group", "field", "utterances", "speakers", "words", "base", "adapted", "change (points)", "95 % interval", "p (Holm)", "verdict"]
HOLM = "not after Holm: told from chance alone, but no longer once the number of groups looked at is allowed for (Holm 1979)."
SINGLE_HEAD = ["group", "field", "utterances", "speakers", "words", "WER", "95 % interval", "CER"]


def _groups(sets: Sequence[ReportSet]) -> Section | None:
    blocks = []
    for place, one in enumerate(sets):
        block = _changes(one, place) if one.comparison else _group_scores(one, place)
        if block:
            blocks.append(block)
    lead = "Word error rate of each group, with 95 % intervals. A wide interval means few speakers: it says how other people of that group may fare."
    return Section(key="groups", title="Groups", lead=lead, blocks=blocks) if blocks else None


def _changes(one: ReportSet, place: int) -> Block | None:
    found = one.comparison
    if found is None or not found.groups:
        return None
    fields = _told_fields({field: [group for group in found.groups if group.field == field] for field in {g.field: 0 for g in found.groups}})
    rows = [
        Row(
            label="all",
            rates=tuple(Rate(value=side.wer, interval=side.interval) for side in (found.base, found.adapted)),
        )
    ]
    for field, groups in fields.items():
        rows.append(Row(label=field))
        groups.sort(key=lambda group: -group.base)
        rows += [
            Row(
                label=label,
                rates=(Rate(value=group.base, interval=group.base_interval), Rate(value=group.adapted, interval=group.adapted_interval)),
            )
            for label, group in zip(_distinct([group.value for group in groups]), groups, strict=True)
        ]
    shown, left = rows[:MOST_CHART_ROWS], len(rows) - MOST_CHART_ROWS
    grid = _grid(
        f"{one.name}: word error rate by group",
        GROUP_HEAD,
        [_change_row(group) for group in found.groups[:MOST_ROWS]],
        HOLM if any(group.holds is False for group in found.groups) else "",
        range(2, 10),
    )
    grid = _cut(grid, len(found.groups))
    worst = max(found.groups, key=lambda group: group.delta)
    least = f"Least served by the change: {worst.field} {worst.value} ({points(worst.delta)} points)."
    chart = Chart(
        svg=group_chart(
            shown,
            key=f"groups{place}",
            title=f"Word error rate by group on {one.name}, base against adapted",
            description=f"{plural(len(shown), 'row')} with 95 percent intervals. {least} The table below holds every figure.",
        ),
        caption="Word error rate with 95 % interval; left is better." + (f" {left} more groups are in the table." if left > 0 else ""),
        table=grid,
        legend=True,
    )
    return Block(title=_name(one), charts=[chart])


def _told_fields(fields: dict[str, list[Member]]) -> dict[str, list[Member]]:
    """The fields with several values; speakers have a chart of their own, unless there is nothing else or only a few of them."""
    several = {field: groups for field, groups in fields.items() if len(groups) > 1}
    others = {field: groups for field, groups in several.items() if field != "speaker"}
    return others if others and len(several.get("speaker", ())) > 12 else several


def _change_row(group: GroupChange) -> list[str]:
    size = [_whole(group.utterances), _whole(group.speakers), _whole(group.words)]
    verdict = f"{group.verdict}, not after Holm" if group.holds is False else group.verdict
    change = [points(group.delta), points_range(group.interval), _chance(group.p_value_holm), verdict]
    return [group.value, group.field, *size, percent(group.base), percent(group.adapted), *change]


def _group_scores(one: ReportSet, place: int) -> Block | None:
    report = one.report
    if report is None:
        return None
    groups = report.groups
    if not groups or report.wer is None:
        return None
    members = group_members(report.utterances, report.by)
    known = [(field, value) for field, found in groups.items() for value in found][:MOST_ROWS]
    intervals = {(field, value): wer_interval(members[field][value]) for field, value in known}
    rows = [Row(label="all", rates=(Rate(value=report.wer, interval=report.interval),))]
    for field, found in _told_fields({field: list(values.items()) for field, values in groups.items()}).items():
        rows.append(Row(label=field))
        rated = [(value, rate) for value, group in found if (rate := group.words.wer) is not None]
        rated.sort(key=lambda item: -item[1])
        labels = _distinct([value for value, _ in rated])
        rows += [
            Row(label=label, rates=(Rate(value=rate, interval=intervals.get((field, value))),))
            for label, (value, rate) in zip(labels, rated, strict=True)
        ]
    shown, left = rows[:MOST_CHART_ROWS], len(rows) - MOST_CHART_ROWS
    lines = [
        [
            value,
            field,
            _whole(group.utterances),
            _whole(group.speakers),
            _whole(group.words.reference_length),
            percent(group.words.wer),
            percent_range(intervals.get((field, value))),
            percent(group.characters.wer),
        ]
        for field, found in groups.items()
        for value, group in found.items()
    ]
    grid = _cut(_grid(f"{one.name}: word error rate by group", SINGLE_HEAD, lines[:MOST_ROWS], "", range(2, 8)), len(lines))
    chart = Chart(
        svg=group_chart(
            shown,
            key=f"groups{place}",
            title=f"Word error rate by group on {one.name}",
            description=f"{plural(len(shown), 'row')}. The table below holds every figure.",
        ),
        caption="Word error rate with 95 % interval; left is better." + (f" {left} more groups are in the table." if left > 0 else ""),
        table=grid,
    )
    return Block(title=one.name, charts=[chart])


GAP_HEAD = ["field", "groups", "best served", "WER", "worst served", "WER", "gap (points)", "95 % interval", "by chance"]


def _gaps(sets: Sequence[ReportSet]) -> Section | None:
    blocks = []
    for one in sets:
        rows, texts, notes = [], [], []
        for change in _gap_changes(one):
            before, after = (f"{100 * gap.difference:.1f} points" for gap in (change.base, change.adapted))
            moved = f"{points(change.change)} points, 95 % interval {points_range(change.interval)}"
            texts.append(said(f"By {change.field}: {before} before, {after} after ({moved}): {change.verdict}."))
            rows += [_gap_row(change.base, "base"), _gap_row(change.adapted, "adapted")]
            notes.append(change.base.note)
        for gap in find_gaps(one.report) if one.report and not one.comparison else ():
            texts.append(said(f"By {gap.field}: {100 * gap.difference:.1f} points, 95 % interval {_gap_range(gap)}."))
            rows.append(_gap_row(gap, ""))
            notes.append(gap.note)
        if rows:
            note = " ".join(dict.fromkeys(note for note in notes if note))
            grid = _grid(f"{one.name}: best and worst served group of each field", GAP_HEAD, rows, note, [1, 3, 5, 6, 7, 8])
            blocks.append(Block(title=_name(one), texts=texts, tables=[grid]))
    lead = (
        "How much worse the worst served group fares than the best served one. The interval accounts for both having been picked by looking; "
        "by chance is the gap that groups without any difference would have shown."
    )
    return Section(key="gap", title="Gap between groups", lead=lead, blocks=blocks) if blocks else None


def _gap_changes(one: ReportSet) -> Sequence[GapChange]:
    if one.comparison is None:
        return ()
    if one.comparison.gaps or one.base is None or one.report is None:
        return one.comparison.gaps
    return compare_gaps(one.base, one.report)  # files of version 0.1.0 have none


def _gap_row(gap: Gap, system: str) -> list[str]:
    best = [gap.best.value, percent(gap.best.wer)]
    worst = [gap.worst.value, percent(gap.worst.wer)]
    chance = "-" if gap.by_chance is None else f"{100 * gap.by_chance:.1f}"
    name = f"{gap.field}, {system}" if system else gap.field
    return [name, _whole(gap.groups), *best, *worst, f"{100 * gap.difference:.1f}", _gap_range(gap), chance]


def _gap_range(gap: Gap) -> str:
    return f"{100 * gap.interval.low:.1f} to {100 * gap.interval.high:.1f}" if gap.interval else "-"


def _name(one: ReportSet) -> str:
    return one.name if one.role == "test" else f"{one.name} (guard)"


def _speakers(sets: Sequence[ReportSet]) -> Section | None:
    blocks = []
    for place, one in enumerate(sets):
        groups = [group for group in one.comparison.groups if group.field == "speaker"] if one.comparison else []
        if len(groups) < 3:
            continue
        better, worse = sum(group.delta < 0 for group in groups), sum(group.delta > 0 for group in groups)
        told = f"{better} of {len(groups)} speakers got better, {worse} got worse, {len(groups) - better - worse} stayed the same."
        head = ["speaker", "utterances", "words", "base", "adapted", "change (points)"]
        lines = [
            [group.value, _whole(group.utterances), _whole(group.words), percent(group.base), percent(group.adapted), points(group.delta)]
            for group in sorted(groups, key=lambda group: -group.delta)
        ]
        grid = _cut(_grid(f"{one.name}: speakers, base against adapted", head, lines[:MOST_ROWS], "", range(1, 6)), len(lines))
        chart = Chart(
            svg=speaker_chart(
                [(group.value, group.base, group.adapted) for group in groups[:MOST_SPEAKERS]],
                key=f"speakers{place}",
                title=f"Speakers of {one.name}, base against adapted",
                description=f"{told} Points below the diagonal are speakers with fewer errors after adapting.",
            ),
            caption="One point per speaker; below the dashed line the adapted system makes fewer errors.",
            table=grid,
        )
        blocks.append(Block(title=_name(one), texts=[told], charts=[chart]))
    return Section(key="speakers", title="Speakers", lead="", blocks=blocks) if blocks else None


CONFUSION_HEAD = ["said", "heard", "times", "chances", "utterances", "speakers", "more often in"]
CHANGE_HEAD = ["word", "said", "right: base", "right: adapted", "net"]
WORST_HEAD = ["utterance", "errors", "words", "said", "heard"]
LONGEST_TEXT = 160


def _mistakes(sets: Sequence[ReportSet]) -> Section | None:
    blocks = []
    for one in sets:
        if one.report is None:
            continue
        change = compare_mistakes(one.base, one.report, most=MOST_MISTAKES) if one.base else None
        found = change.adapted if change else find_mistakes(one.report, most=MOST_MISTAKES)
        texts = [*_invented(found, change.base if change else None), *(_edges_said(found.edges) if found.edges else [])]
        tables, pair = [_confusions(f"{one.name}: most frequent confusions", found.substitutions)], list[Grid]()
        if change:
            gained = f"{_whole(change.gained_words)} words only the adapted system got right, {_whole(change.lost_words)} only the base."
            texts.insert(0, gained)
            pair = [_words(f"{one.name}: words gained most", change.gained), _words(f"{one.name}: words lost most", change.lost)]
        folded = [
            _confusions(f"{one.name}: words left out most", found.deletions),
            _confusions(f"{one.name}: words invented most", found.insertions),
            _grid(
                f"{one.name}: utterances with most errors",
                WORST_HEAD,
                [[worst.id, _whole(worst.errors), _whole(worst.words), _begun(worst.reference), _begun(worst.hypothesis)] for worst in found.worst],
                "",
                [1, 2],
            ),
            _grid(
                f"{one.name}: text that looks invented",
                ["utterance", "kind", "invented words", "what", "said", "heard"],
                [
                    [item.id, item.kind, _whole(item.words), _begun(item.phrase) or "-", _begun(item.reference) or "-", _begun(item.hypothesis)]
                    for item in found.hallucinations
                ],
                "",
                [2],
            ),
        ]
        shown, side_by_side, more = ([table for table in some if table.rows] for some in (tables, pair, folded))
        if texts or shown or side_by_side or more:
            title = "More: left out, invented, worst utterances"
            blocks.append(Block(title=_name(one), texts=list(map(said, texts)), tables=shown, pair=side_by_side, folded=more, folded_title=title))
    lead = "Words that are often taken for others, and who says them; what was invented; what is lost where clips begin and end."
    return Section(key="mistakes", title="What went wrong", lead=lead, blocks=blocks) if blocks else None


def _confusions(title: str, found: Sequence[Confusion]) -> Grid:
    rows = []
    for one in (one for one in found if one.count >= TWICE):
        groups = ", ".join(
            f"{group.field} {group.value}" + (f" ({group.ratio:.1f} times)" if group.ratio is not None else " (only there)")
            for group in one.groups[:MOST_EXCESS]
        )
        size = [_whole(one.count), _whole(one.chances), _whole(one.utterances), _whole(one.speakers) if one.speakers else "-"]
        rows.append([one.reference or "-", one.hypothesis or "-", *size, groups or "-"])
    return _grid(title, CONFUSION_HEAD, rows, "", range(2, 6))


def _words(title: str, found: Sequence[WordChange]) -> Grid:
    rows = [[one.word, *map(_whole, (one.said, one.base, one.adapted)), f"{one.net:+d}"] for one in found if abs(one.net) >= TWICE]
    return _grid(title, CHANGE_HEAD, rows, "", range(1, 5))


def _invented(found: Mistakes, base: Mistakes | None) -> list[str]:
    if not found.hallucination_rate and not (base and base.hallucination_rate):
        return []
    kinds = ", ".join(f"{kind}: {count}" for kind, count in found.hallucinated.items() if count)
    total = sum(found.hallucinated.values())
    before = f"; of the base, {sum(base.hallucinated.values())}" if base else ""
    return [f"{plural(total, 'utterance')} with text that looks invented{f' ({kinds})' if kinds else ''}{before}."]


def _edges_said(edges: ClipEdges) -> list[str]:
    ends = [name for name, odd in (("first", edges.start_suspicious), ("last", edges.end_suspicious)) if odd]
    if not ends:
        return []
    shares = f"first {percent(edges.start)}, last {percent(edges.end)}, between {percent(edges.middle)}"
    return [f"The {' and the '.join(ends)} word of clips is missing more often than others ({shares}): they may be cut too tightly."]


def _begun(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _training(training: Training | None) -> Section | None:
    if training is None:
        return None
    last = f"{plural(len(training.steps), 'step')}, loss {training.losses[0]:.3f} at the first and {training.losses[-1]:.3f} at the last."
    kept = f" The adapter is that of step {training.chosen_step}, chosen on the dev set." if training.chosen_step is not None else ""
    if training.scores:
        rows = [[_whole(step), percent(rate), "kept" if step == training.chosen_step else "-"] for step, rate in training.scores]
        grid = _grid("Dev WER at each checkpoint", ["step", "dev WER", "adapter"], rows, "", range(2))
    else:
        every = max(1, len(training.steps) // 20)
        rows = [[_whole(step), f"{loss:.4f}"] for step, loss in list(zip(training.steps, training.losses, strict=True))[::every]]
        grid = _grid("Training loss, some of the steps", ["step", "loss"], rows, "", range(2))
    chart = Chart(
        svg=training_chart(training, key="training", title="Training loss and dev word error rate by step", description=last + kept),
        caption="Losses are means of neighboring steps where there are many.",
        table=grid,
    )
    return Section(key="training", title="Training", lead=last + kept, blocks=[Block(charts=[chart])])


def _browser_lead(document: Document, shown: int, total: int) -> str:
    if any(one.report is None for one in document.sets):
        return f"The {plural(total, 'utterance')} whose number of errors changed; the run folder, or a score report, would bring the others."
    if shown < total:
        return (
            f"The {shown:,} of {total:,} utterances with the largest change or the most errors (a page holds {MOST_UTTERANCES:,}); --csv writes all."
        )
    return "What was said, and what was heard."


def _grid(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], note: str = "", numbers: Sequence[int] | range = ()) -> Grid:
    cells = [[said(cell) for cell in row] for row in rows]
    return Grid(title=inert(title), head=[inert(name) for name in head], rows=cells, numbers=frozenset(numbers), note=said(note))


def _distinct(labels: Sequence[str]) -> list[str]:
    """Names without what all of them begin with, where that is long: `…test-03` for speakers of one corpus."""
    if len(labels) < 2:
        return list(labels)
    first, last = min(labels), max(labels)
    same = next((place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), 0)
    marks = [place for place, letter in enumerate(first[:same]) if letter in "-_:./ "]
    end = marks[-2] + 1 if len(marks) > 1 else 0  # the last shared part stays, so that a name still looks like one: `…test-03`
    return [f"…{label[end:]}" for label in labels] if end >= LONG_PREFIX else list(labels)


def _cut(grid: Grid, all_rows: int) -> Grid:
    if all_rows <= len(grid.rows):
        return grid
    return dataclasses.replace(grid, note=f"The first {len(grid.rows)} of {all_rows}; --csv writes all.")


def _whole(number: int) -> str:
    return f"{number:,}"
