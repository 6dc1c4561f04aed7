"""Mistakes: what a system got wrong and who suffers from it: confusions, worst utterances, invented text, words lost at the ends of clips."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from scipy import special

from speechadapt.errors import ScoreError
from speechadapt.score.grouping import UNKNOWN_GROUP
from speechadapt.score.intervals import LEVEL, units_of
from speechadapt.score.operations import DELETION, INSERTION, SUBSTITUTION
from speechadapt.score.report import ScoreReport, plain
from speechadapt.score.utterances import RUNAWAY_RATIO, RUNAWAY_WORDS, ScoredUtterances

LOOP, ON_SILENCE, TOO_LONG, INSERTION_RUN = "loop", "text on silence", "too long", "run of insertions"
MOST = 20
"""How many of each list are kept."""
FEWEST_EXCESS = 3
"""Times that a group must make a mistake before it is said to make it more often than others."""
FEWEST_SPEAKERS = 2
FEWEST_REPEATS, FEWEST_REPEATS_OF_ONE = 3, 4
"""Times in a row that make a loop, of several words and of a single one ("no no no" is said)."""
LONGEST_PHRASE = 64
LONGEST_SHOWN = 400
"""Characters of a text that are kept with a hallucination or a worst utterance; a loop can be a hundred thousand words long."""
FEWEST_EDGE_WORDS = 3
SUSPICIOUS_SHARE = 0.01
SUSPICIOUS_RATIO = 1.5
"""Where several alignments are equally short, the one that is taken puts 1.2 times as many deletions at the end as between (random texts)."""
MOST_EXAMPLES = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupExcess:
    """A group that makes one mistake more often than all others.

    Attributes:
        field, value: the group, such as accent and scottish.
        count: how often it made the mistake. chances: how often it could have (the reference word was said; for insertions, words spoken).
        rate: count over chances. rest: the same of all other utterances of the field.
        ratio: rate over rest; None where the rest never made it. low, high: 95 % interval of the ratio (high None where there is no end).
    """

    field: str
    value: str
    count: int
    chances: int
    rate: float
    rest: float
    ratio: float | None
    low: float
    high: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """One mistake that was made several times.

    Attributes:
        kind: "substitution", "deletion" or "insertion".
        reference: the word that was said; None for an insertion. hypothesis: the word that was heard; None for a deletion.
        count: how often. chances: how often the reference word was said (for insertions, all reference words).
        utterances, speakers: in and from how many different ones it came (0 speakers where they are unknown).
        groups: those that make it over-proportionally, the most certain first.
    """

    kind: str
    reference: str | None
    hypothesis: str | None
    count: int
    chances: int
    utterances: int
    speakers: int
    groups: tuple[GroupExcess, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorstUtterance:
    """An utterance with many errors: normalized texts, errors, reference words, and `rate`, errors over words."""

    id: str
    speaker: str | None
    reference: str
    hypothesis: str
    errors: int
    words: int
    rate: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hallucination:
    """An utterance whose hypothesis looks invented.

    Attributes:
        id, speaker, reference, hypothesis: as in the report, normalized; the reference may be empty.
        kind: "loop" (words repeat that were not said repeatedly), "text on silence" (nothing was said), "too long" (at least twice the
            words that were said, and 5 more), or "run of insertions" (5 or more words in a row that nobody said); the first that fits.
        words: invented words: of the repetitions, of the silence, beyond the reference, or of the run.
        phrase: what repeats, or the run; empty for the other kinds. repeats: how often the phrase stands in a row.
    """

    id: str
    speaker: str | None
    kind: str
    words: int
    phrase: str
    repeats: int
    reference: str
    hypothesis: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClipEdges:
    """Whether words are lost at the ends of clips: a sign of clips cut too tightly, or of a window that is too short.

    Attributes:
        utterances: with at least 3 reference words; only they tell their ends from their middle.
        start, end: share of them whose first or last word was deleted. middle: deletions per word between.
        start_ratio, end_ratio: start and end over middle; None where the middle has none.
        longest_end: most words in a row deleted at an end of a clip.
        start_suspicious, end_suspicious: at least 1 % of the clips, and significantly above 1.5 times the middle.
        examples: ids of the utterances that lost most words at an end, worst first, at most 5.
    """

    utterances: int
    start: float
    end: float
    middle: float
    start_ratio: float | None
    end_ratio: float | None
    longest_end: int
    start_suspicious: bool
    end_suspicious: bool
    examples: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mistakes:
    """What one system got wrong on one manifest.

    Attributes:
        system: its name. utterances: counted.
        substitutions, deletions, insertions: the most frequent ones, each list most frequent first.
        distinct: how many different ones there are of each kind, `{"substitution": 120, …}`.
        worst: the utterances with most errors, most first.
        hallucinations: the utterances that look invented, most invented words first.
        hallucinated: how many utterances of each kind there are; "text on silence" counts utterances without a reference word, too.
        hallucination_rate: share of all utterances (with those without a reference word) that look invented; None where there are none.
        words_on_silence: hypothesis words where nothing was said. silent: utterances where nothing was said.
        edges: words lost at the ends of clips; None where no utterance has 3 words.
    """

    system: str
    utterances: int
    substitutions: tuple[Confusion, ...]
    deletions: tuple[Confusion, ...]
    insertions: tuple[Confusion, ...]
    distinct: dict[str, int]
    worst: tuple[WorstUtterance, ...]
    hallucinations: tuple[Hallucination, ...]
    hallucinated: dict[str, int]
    hallucination_rate: float | None
    words_on_silence: int
    silent: int
    edges: ClipEdges | None

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        row: dict[str, Any] = plain(dataclasses.asdict(self))
        return row


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WordChange:
    """How often one word of the references was recognized, before and after.

    Attributes:
        word: the reference word. said: how often it was said.
        base, adapted: how often each system got it right. net: gained minus lost, which is adapted minus base.
        gained, lost: occurrences that only the adapted system, and only the base, got right.
        p_value: exact sign test of gained against lost, two-sided.
    """

    word: str
    said: int
    base: int
    adapted: int
    net: int
    gained: int
    lost: int
    p_value: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MistakesChange:
    """What two systems got wrong on the same manifest, and what changed.

    Attributes:
        base, adapted: the mistakes of each.
        gained: the words with the highest net, most first. lost: those with the lowest.
        gained_words, lost_words: occurrences that only the adapted system, and only the base, got right, over all words.
        new_hallucinations: ids of utterances that look invented now and did not before. gone_hallucinations: the reverse.
    """

    base: Mistakes
    adapted: Mistakes
    gained: tuple[WordChange, ...]
    lost: tuple[WordChange, ...]
    gained_words: int
    lost_words: int
    new_hallucinations: tuple[str, ...]
    gone_hallucinations: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        row: dict[str, Any] = plain(dataclasses.asdict(self))
        return row


def find_mistakes(report: ScoreReport, *, most: int = MOST) -> Mistakes:
    """Everything that can be counted of what went wrong.

    Words are aligned as jiwer aligns them (for scripts without blanks they are characters, as the normalizer set them apart). A group makes a
    mistake over-proportionally where the exact test of two Poisson rates (Przyborowski and Wilenski, Biometrika 1940) says so at 5 % divided by
    the number of groups and mistakes listed, with 3 times at least, and, except in a field of speakers, from two speakers at least. The
    test takes the single mistakes as independent.

    Args:
        report: one system's.
        most: how many of each list are kept, 1 or more.

    Raises:
        ScoreError: `most` is below 1.
    """
    return _mistakes(report, _collect(report), most)


def compare_mistakes(base: ScoreReport, adapted: ScoreReport, *, most: int = MOST) -> MistakesChange:
    """What both systems got wrong, and which words, and which inventions, came and went.

    Args:
        base, adapted: reports on the same utterances.
        most: how many of each list are kept, 1 or more.

    Raises:
        ScoreError: the reports count different utterances, or `most` is below 1.
    """
    before, after = _collect(base), _collect(adapted)
    if list(before.rows.ids) != list(after.rows.ids):
        raise ScoreError(
            f'"{base.system}" and "{adapted.system}" did not count the same utterances, so nothing was gained or lost. Score both again.'
        )
    one, other = _mistakes(base, before, most), _mistakes(adapted, after, most)
    wrong: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    gained: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for place in before.wrong.keys() | after.wrong.keys():
        texts = before.rows.references[place], after.rows.references[place]
        words = tuple(text.split() for text in texts)
        missed = before.wrong.get(place, ()), after.wrong.get(place, ())
        for side in range(2):
            wrong[side].update(words[side][number] for number in missed[side])
        if texts[0] == texts[1]:
            gained.update(words[0][number] for number in set(missed[0]) - set(missed[1]))
            lost.update(words[0][number] for number in set(missed[1]) - set(missed[0]))
        else:  # of several references each system was counted on the one it came nearest to
            missed_words = tuple(Counter(words[side][number] for number in missed[side]) for side in range(2))
            gained.update(missed_words[0] - missed_words[1])
            lost.update(missed_words[1] - missed_words[0])
    said = _said(before) | _said(after)  # they differ only where there are several references
    changes = [_word_change(word, said[word], wrong, gained[word], lost[word]) for word in gained.keys() | lost.keys()]
    invented = {found.id for found in before.hallucinations}, {found.id for found in after.hallucinations}
    return MistakesChange(
        base=one,
        adapted=other,
        gained=tuple(sorted((change for change in changes if change.net > 0), key=lambda change: (-change.net, change.word))[:most]),
        lost=tuple(sorted((change for change in changes if change.net < 0), key=lambda change: (change.net, change.word))[:most]),
        gained_words=gained.total(),
        lost_words=lost.total(),
        new_hallucinations=tuple(found.id for found in after.hallucinations if found.id not in invented[0]),
        gone_hallucinations=tuple(found.id for found in before.hallucinations if found.id not in invented[1]),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Collected:
    """One pass over a report.

    Attributes:
        rows: the utterances in columns.
        places: of every mistake (kind, reference, hypothesis), the numbers of its utterances, one for each time it was made.
        wrong: by utterance, the places of the reference words that were not recognized.
        hallucinations: all of them.
        edges: by utterance with at least 3 words and a hypothesis: its number, words deleted at the start, at the end, and the share
            of deleted words among the others; shape (utterances, 4).
    """

    rows: ScoredUtterances
    places: dict[tuple[str, str | None, str | None], list[int]]
    wrong: dict[int, list[int]]
    hallucinations: list[Hallucination]
    edges: NDArray[np.float64]


def _collect(report: ScoreReport) -> _Collected:
    rows = ScoredUtterances.of(report.utterances)
    places: dict[tuple[str, str | None, str | None], list[int]] = {}
    wrong: dict[int, list[int]] = {}
    hallucinations = []
    edges: list[tuple[int, int, int, float]] = []
    for number, (reference, hypothesis) in enumerate(zip(rows.references, rows.hypotheses, strict=True)):
        if reference == hypothesis:
            if reference.count(" ") >= FEWEST_EDGE_WORDS - 1:
                edges.append((number, 0, 0, 0.0))
            continue
        said, heard = reference.split(), hypothesis.split()
        missed: list[int] = []
        deleted: list[int] = []
        inserted: list[int] = []
        steps: list[tuple[str, int, int]] = Levenshtein.editops(said, heard).as_list()  # type: ignore[assignment]  # its stubs say int | str
        for tag, source, target in steps:
            if tag == "insert":
                inserted.append(target)
                key: tuple[str, str | None, str | None] = (INSERTION, None, heard[target])
            else:
                missed.append(source)
                if tag == "delete":
                    deleted.append(source)
                key = (SUBSTITUTION, said[source], heard[target]) if tag == "replace" else (DELETION, said[source], None)
            places.setdefault(key, []).append(number)
        if missed:
            wrong[number] = missed
        if len(said) >= FEWEST_EDGE_WORDS and heard:
            edges.append((number, *_edge(deleted, len(said))))
        if found := _invented(said, heard, inserted):
            kind, words, phrase, repeats = found
            hallucinations.append(
                Hallucination(
                    id=rows.ids[number],
                    speaker=rows.speakers[number],
                    kind=kind,
                    words=words,
                    phrase=_short(phrase),
                    repeats=repeats,
                    reference=_short(reference),
                    hypothesis=_short(hypothesis),
                )
            )
    hallucinations.sort(key=lambda found: -found.words)
    table = np.array(edges, dtype=np.float64).reshape(-1, 4)
    return _Collected(rows=rows, places=places, wrong=wrong, hallucinations=hallucinations, edges=table)


def _mistakes(report: ScoreReport, found: _Collected, most: int) -> Mistakes:
    if most < 1:
        raise ScoreError(f"most is {most}, must be 1 or more: the number of mistakes that are listed.")
    keys: dict[str, list[tuple[str, str | None, str | None]]] = {SUBSTITUTION: [], DELETION: [], INSERTION: []}
    for key in found.places:
        keys[key[0]].append(key)
    top = {kind: sorted(several, key=lambda key: (-len(found.places[key]), key[1] or "", key[2] or ""))[:most] for kind, several in keys.items()}
    confusions = _confusions(found, [key for kind in top.values() for key in kind], report.by)
    kinds = Counter(one.kind for one in found.hallucinations)
    silent = len(report.empty_references) + sum(not reference for reference in found.rows.references)
    total = len(found.rows) + len(report.empty_references)
    return Mistakes(
        system=report.system,
        utterances=len(found.rows),
        substitutions=tuple(confusions[key] for key in top[SUBSTITUTION]),
        deletions=tuple(confusions[key] for key in top[DELETION]),
        insertions=tuple(confusions[key] for key in top[INSERTION]),
        distinct={kind: len(several) for kind, several in keys.items()},
        worst=_worst(found.rows, most),
        hallucinations=tuple(found.hallucinations[:most]),
        hallucinated={kind: kinds[kind] for kind in (LOOP, ON_SILENCE, TOO_LONG, INSERTION_RUN)},
        hallucination_rate=len(found.hallucinations) / total if total else None,
        words_on_silence=report.words_on_empty + sum(one.words for one in found.hallucinations if one.kind == ON_SILENCE),
        silent=silent,
        edges=_edges(found),
    )


def _confusions(
    found: _Collected, keys: Sequence[tuple[str, str | None, str | None]], by: Sequence[str]
) -> dict[tuple[str, str | None, str | None], Confusion]:
    """The records of the listed mistakes, with the groups that make them too often."""
    rows = found.rows
    reference_words = rows.reference_words
    columns = {field: rows.groups[field] for field in by if field in rows.groups and len(set(rows.groups[field].names) - {UNKNOWN_GROUP}) > 1}
    wanted = {key[1] for key in keys if key[1] is not None}
    said: dict[str, list[int]] = {str(word): [] for word in wanted}
    for number, reference in enumerate(rows.references):
        for spoken in reference.split():
            if spoken in said:
                said[spoken].append(number)
    tests = len(keys) * sum(len(labels.names) for labels in columns.values())
    records = {}
    for key in keys:
        kind, word, heard = key
        times = np.array(found.places[key])
        people = set(rows.speakers.codes[times].tolist()) - {-1}
        chances = np.array(said[word]) if word is not None else None
        groups: list[tuple[float, GroupExcess]] = []
        for field, labels in columns.items():
            codes, size = labels.codes, len(labels.names)
            counts = np.bincount(codes[times][codes[times] >= 0], minlength=size)
            if chances is None:
                exposure = np.bincount(codes[codes >= 0], weights=reference_words[codes >= 0], minlength=size).astype(np.int64)
            else:
                exposure = np.bincount(codes[chances][codes[chances] >= 0], minlength=size)
            for place in np.flatnonzero(counts >= FEWEST_EXCESS).tolist():
                members = times[codes[times] == place]
                alone = len(set(rows.speakers.codes[members].tolist()) - {-1}) < FEWEST_SPEAKERS
                if labels.names[place] == UNKNOWN_GROUP or (alone and field != "speaker" and len(people) >= FEWEST_SPEAKERS):
                    continue
                p_value, excess = _excess(
                    field, labels.names[place], int(counts[place]), int(exposure[place]), int(counts.sum()), int(exposure.sum())
                )
                if excess is not None and p_value * tests <= 1 - LEVEL:
                    groups.append((p_value, excess))
        records[key] = Confusion(
            kind=kind,
            reference=word,
            hypothesis=heard,
            count=len(times),
            chances=int(reference_words.sum()) if chances is None else len(chances),
            utterances=len(set(times.tolist())),
            speakers=len(people),
            groups=tuple(excess for _, excess in sorted(groups, key=lambda pair: (pair[0], pair[1].field, pair[1].value))),
        )
    return records


def _excess(field: str, value: str, count: int, chances: int, all_count: int, all_chances: int) -> tuple[float, GroupExcess | None]:
    """One-sided p-value that a group's rate is no higher than that of the rest, and the record; no record where the rest had no chance."""
    others, other_chances = all_count - count, all_chances - chances
    if chances <= 0 or other_chances <= 0:
        return 1.0, None
    share = chances / all_chances
    p_value = float(special.bdtrc(count - 1, all_count, share))
    tail = (1 - LEVEL) / 2
    low = float(special.betaincinv(count, others + 1, tail)) if count else 0.0
    high = float(special.betaincinv(count + 1, others, 1 - tail)) if others else 1.0
    odds = other_chances / chances
    record = GroupExcess(
        field=field,
        value=value,
        count=count,
        chances=chances,
        rate=count / chances,
        rest=others / other_chances,
        ratio=(count / chances) / (others / other_chances) if others else None,
        low=low / (1 - low) * odds,
        high=high / (1 - high) * odds if high < 1 else None,
    )
    return p_value, record


def _worst(rows: ScoredUtterances, most: int) -> tuple[WorstUtterance, ...]:
    errors, words = rows.word_errors, rows.reference_words
    rates = errors / np.maximum(words, 1)
    order = np.lexsort((np.arange(len(errors)), -rates, -errors))[:most]
    return tuple(
        WorstUtterance(
            id=rows.ids[place],
            speaker=rows.speakers[place],
            reference=_short(rows.references[place]),
            hypothesis=_short(rows.hypotheses[place]),
            errors=int(errors[place]),
            words=int(words[place]),
            rate=float(rates[place]),
        )
        for place in order.tolist()
        if errors[place]
    )


def _invented(said: list[str], heard: list[str], inserted: list[int]) -> tuple[str, int, str, int] | None:
    """Kind, invented words, phrase and repeats of a hypothesis that looks invented; None for one that does not."""
    if not heard:
        return None
    if loop := _loop(said, heard):
        phrase, repeats, extra = loop
        return LOOP, extra, " ".join(phrase), repeats
    if not said:
        return ON_SILENCE, len(heard), "", 0
    if len(heard) >= RUNAWAY_RATIO * len(said) and len(heard) - len(said) >= RUNAWAY_WORDS:
        return TOO_LONG, len(heard) - len(said), "", 0
    if len(inserted) >= RUNAWAY_WORDS:
        run = max(_runs(inserted), key=len)
        if len(run) >= RUNAWAY_WORDS:
            return INSERTION_RUN, len(run), " ".join(heard[place] for place in run), 0
    return None


def _loop(said: list[str], heard: list[str]) -> tuple[list[str], int, int] | None:
    """The phrase that repeats most words of the hypothesis in a row, its repeats, and the words that are too many; None without a loop."""
    spare = len(heard) - len(set(heard))
    if spare < FEWEST_REPEATS_OF_ONE - 1:
        return None
    numbers: dict[str, int] = {}
    coded = np.array([numbers.setdefault(word, len(numbers)) for word in heard])
    best: tuple[list[str], int, int] | None = None
    for size in range(1, min(LONGEST_PHRASE, spare // (FEWEST_REPEATS - 1)) + 1):
        starts, lengths = _all_runs(coded[size:] == coded[:-size])
        if not len(lengths):
            continue
        start, length = int(starts[lengths.argmax()]), int(lengths.max())
        repeats = length // size + 1
        if repeats < (FEWEST_REPEATS_OF_ONE if size == 1 else FEWEST_REPEATS):
            continue
        phrase = heard[start : start + size]
        spoken = _repeats_of(phrase, said)
        extra = (repeats - spoken) * size
        if repeats >= 2 * spoken and (best is None or extra > best[2]):
            best = phrase, repeats, extra
    return best


def _repeats_of(phrase: list[str], words: list[str]) -> int:
    """How often a phrase stands in a row, wherever in its own cycle the row begins; 1 where it stands once or never."""
    size, most = len(phrase), 1
    if len(words) < 2 * size:
        return most
    turns = {tuple((phrase + phrase)[turn : turn + size]) for turn in range(size)}
    starts, lengths = _all_runs(np.array([one == other for one, other in zip(words, words[size:], strict=False)]))
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        if length >= size and tuple(words[start : start + size]) in turns:
            most = max(most, length // size + 1)
    return most


def _all_runs(flags: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where runs of True begin, and their lengths."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return edges[::2], edges[1::2] - edges[::2]


def _runs(places: list[int]) -> Iterator[list[int]]:
    """Ascending numbers in groups without a gap."""
    run: list[int] = []
    for place in places:
        if run and place != run[-1] + 1:
            yield run
            run = []
        run.append(place)
    yield run


def _edge(deleted: list[int], length: int) -> tuple[int, int, float]:
    """Words deleted in a row at the start and at the end, and the share of deleted ones among those that are neither first nor last."""
    lost = set(deleted)
    start = next(place for place in range(length + 1) if place not in lost)
    end = next(place for place in range(length + 1) if length - 1 - place not in lost)
    return start, end, sum(1 for place in lost if 0 < place < length - 1) / (length - 2)


def _edges(found: _Collected) -> ClipEdges | None:
    if not len(found.edges):
        return None
    places = found.edges[:, 0].astype(np.int64)
    starts, ends, middle = found.edges[:, 1], found.edges[:, 2], found.edges[:, 3]
    labels, _ = units_of([found.rows.speakers[place] for place in places.tolist()])
    first, last, between = float((starts > 0).mean()), float((ends > 0).mean()), float(middle.mean())
    longest = np.maximum(starts, ends)
    order = np.lexsort((places, -longest))[:MOST_EXAMPLES].tolist()
    return ClipEdges(
        utterances=len(places),
        start=first,
        end=last,
        middle=between,
        start_ratio=first / between if between else None,
        end_ratio=last / between if between else None,
        longest_end=int(longest.max()),
        start_suspicious=first >= SUSPICIOUS_SHARE and _above_zero((starts > 0) - SUSPICIOUS_RATIO * middle, labels),
        end_suspicious=last >= SUSPICIOUS_SHARE and _above_zero((ends > 0) - SUSPICIOUS_RATIO * middle, labels),
        examples=tuple(found.rows.ids[places[number]] for number in order if longest[number] > 0),
    )


def _above_zero(values: NDArray[np.float64], labels: NDArray[np.int64]) -> bool:
    """Whether the mean of values, which come in clusters, lies above 0 at 2.5 % (Student's t on the clusters' sums; Cochran 1977, section 6.3)."""
    clusters = int(labels.max()) + 1
    if clusters < 2:
        return False
    sums, sizes = np.bincount(labels, weights=values), np.bincount(labels)
    mean = float(values.mean())
    error = math.sqrt(clusters / (clusters - 1) * float(((sums - mean * sizes) ** 2).sum())) / len(values)
    return bool(mean > special.stdtrit(clusters - 1, (1 + LEVEL) / 2) * error)


def _said(found: _Collected) -> Counter[str]:
    return Counter(word for text in found.rows.references for word in text.split())


def _word_change(word: str, said: int, wrong: tuple[Counter[str], Counter[str]], gained: int, lost: int) -> WordChange:
    base, adapted = max(0, said - wrong[0][word]), max(0, said - wrong[1][word])
    changed = gained + lost
    p_value = min(1.0, 2 * float(special.bdtr(min(gained, lost), changed, 0.5)))
    return WordChange(word=word, said=said, base=base, adapted=adapted, net=gained - lost, gained=gained, lost=lost, p_value=p_value)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} …"
