"""Split summary, as `prepare` and `split` print it: what train, dev and test hold and share."""

from typing import Any

from speechadapt.units import clock

SHARED = ("speakers", "recordings", "sentences", "audio", "ids")
SHOWN_ACCENTS = 20


def render_overlap(overlap: dict[str, dict[str, Any]]) -> list[str]:
    """A line for each pair of parts, and one for prompts that are nearly the same."""
    lines = []
    for pair, shared in overlap.items():
        first, second = pair.split("-")
        told = f"{first} and {second} share: {_counts(shared)}"
        if shared["share_of_seen_sentences"]:
            told += f"; {shared['share_of_seen_sentences']:.1%} of {second} are sentences of {first}"
        lines.append(told)
        if shared["near_sentences"]:
            ours, theirs = shared["examples"]["near_sentences"]
            near = f"{shared['near_sentences']} rows of {first} nearly repeat a sentence of {second}"
            lines.append(f'warning: {near}: "{ours}" ({first}) and "{theirs}" ({second})')
    return lines


def render_fold_overlaps(overlaps: list[dict[str, dict[str, Any]]]) -> list[str]:
    """A line for each pair of parts that shares anything in any of the folds, with the largest counts."""
    lines = []
    for pair in dict.fromkeys(pair for overlap in overlaps for pair in overlap):
        first, second = pair.split("-")
        found = [overlap[pair] for overlap in overlaps if pair in overlap]
        sharing = [one for one in found if any(one[what] for what in SHARED)]
        near = [one for one in found if one["near_sentences"]]
        if sharing:
            most = {what: max((one[what] for one in sharing if one[what] is not None), default=None) for what in SHARED}
            told = f"{first} and {second} share in {len(sharing)} of {len(overlaps)} folds, at most: {_counts(most)}"
            if seen := max(one["share_of_seen_sentences"] for one in sharing):
                told += f"; up to {seen:.1%} of {second} are sentences of {first}"
            lines.append(told)
        if near:
            rows = max(one["near_sentences"] for one in near)
            lines.append(f"warning: in {len(near)} of {len(overlaps)} folds up to {rows} rows of {first} nearly repeat a sentence of {second}")
    return lines


def _counts(shared: dict[str, Any]) -> str:
    told = [what for what in SHARED if what != "ids" or shared[what]]
    return ", ".join(f"{'unknown' if shared[what] is None else shared[what]} {what}" for what in told)


def render_coverage(coverage: dict[str, dict[str, Any]]) -> list[str]:
    """A table of the tested accents with what train holds of each; the twenty with most test utterances."""
    from tabulate import tabulate

    if not coverage:
        return []
    order = sorted(coverage, key=lambda accent: (-coverage[accent]["test"]["utterances"], accent))
    rows = [
        [
            accent,
            render_size(coverage[accent]["test"]),
            "none: zero-shot" if coverage[accent]["zero_shot"] else render_size(coverage[accent]["train"]),
        ]
        for accent in order[:SHOWN_ACCENTS]
    ]
    table = tabulate(rows, headers=["tested accent", "in test", "in train"], tablefmt="simple", disable_numparse=True)
    more = [f"and {len(order) - SHOWN_ACCENTS} more accents, see the report"] if len(order) > SHOWN_ACCENTS else []
    return ["", table, *more, ""]


def render_size(content: dict[str, Any]) -> str:
    """`240, 12:30, 8 speakers`: utterances, time and speakers."""
    if not content["utterances"]:
        return "none"
    speakers = "speakers unknown" if content["speakers"] is None else "1 speaker" if content["speakers"] == 1 else f"{content['speakers']} speakers"
    return f"{content['utterances']}, {clock(content['hours'] * 3600)}, {speakers}"
