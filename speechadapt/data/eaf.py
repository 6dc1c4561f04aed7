"""EAF: the annotation files of ELAN, as field linguists write them: tiers of annotations, some with times, some hanging on others.

    <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/tapes/s1.wav" MIME_TYPE="audio/x-wav" RELATIVE_MEDIA_URL="./s1.wav"/>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="780"/>
    <TIER TIER_ID="tx@ANNA" LINGUISTIC_TYPE_REF="utterance" PARTICIPANT="Anna">
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
            <ANNOTATION_VALUE>na ntuhu</ANNOTATION_VALUE>

A file may come from anyone, and XML can be made to read other files or to fill the memory. ELAN writes no document type declaration, which
is where such entities are defined; so a file that has one is refused.
"""

import dataclasses
import itertools
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from speechadapt.data.safe_xml import DEEPEST, parse_xml
from speechadapt.errors import CorpusError
from speechadapt.units import Seconds

LARGEST_FILE = 64 * 2**20
"""Bytes; an hour of fully glossed conversation stays below a tenth of it."""
LATEST = 10**12
"""Milliseconds, thirty years: a later time is a broken number."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A recording as the file names it: `url` (where it lay on the annotator's machine), `relative_url`, MIME type.

    `origin` is the second of the recording at which the times of the annotations begin.
    """

    url: str
    relative_url: str
    mime_type: str
    origin: Seconds


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What is said or noted between two times.

    Attributes:
        id: unique in the file.
        start, end: seconds on the annotation's own time line; None where the file gives no time and none can be told from neighbors.
        text: as written. Annotations that hang on one and the same piece of the time line are joined by a blank.
        interpolated: whether a time was missing and was put evenly between its neighbors.
    """

    id: str
    start: Seconds | None
    end: Seconds | None
    text: str
    interpolated: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A tier: its name, type (`LINGUISTIC_TYPE_REF`), participant and parent, each empty where the file gives none.

    `dependent` says that its annotations have no times of their own.
    """

    name: str
    type: str
    participant: str
    parent: str
    dependent: bool
    annotations: tuple[Annotation, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Eaf:
    """One annotation file: recordings in the order of the file, and tiers."""

    media: tuple[Media, ...]
    tiers: tuple[Tier, ...]


def read_eaf(path: Path) -> Eaf:
    """Read an .eaf file.

    Raises:
        CorpusError: missing, too large, not XML, no ELAN document, or with a document type declaration.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise CorpusError(f"{path}: {path.stat().st_size} bytes, an ELAN file has at most {LARGEST_FILE}. Check the file.")
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error
    return parse_eaf(data, str(path))


def parse_eaf(data: bytes, place: str) -> Eaf:
    """The same from the bytes of a file; `place` stands in the messages.

    Raises:
        CorpusError: as `read_eaf`.
    """
    root = parse_xml(data, place, advice="Save the file again from ELAN.")
    if root.tag != "ANNOTATION_DOCUMENT":
        raise CorpusError(f"{place}: its outermost element is {root.tag[:40]}, not ANNOTATION_DOCUMENT, so this is no ELAN file. Check the file.")
    media = tuple(
        Media(
            url=one.get("MEDIA_URL", ""),
            relative_url=one.get("RELATIVE_MEDIA_URL", ""),
            mime_type=one.get("MIME_TYPE", ""),
            origin=(_milliseconds(one.get("TIME_ORIGIN"), place) or 0) / 1000,
        )
        for one in root.iter("MEDIA_DESCRIPTOR")
    )
    return Eaf(media=media, tiers=_Times(root, place).tiers())


def _milliseconds(value: str | None, place: str) -> int | None:
    if value is None or not value.strip():
        return None
    try:
        time = int(value)
    except ValueError:
        time = LATEST
    if abs(time) >= LATEST:
        raise CorpusError(f'{place}: "{value[:40]}" is not a time in milliseconds. Save the file again from ELAN.')
    return time


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """An annotation before its times are known: two time slots, or the annotation it hangs on and the one it follows."""

    id: str
    text: str
    slots: tuple[str, str] | None = None
    parent: str = ""
    previous: str = ""


class _Times:
    """Annotations of all tiers, put in order and brought to times."""

    def __init__(self, root: ET.Element, place: str) -> None:
        slots = [(one.get("TIME_SLOT_ID", ""), _milliseconds(one.get("TIME_VALUE"), place)) for one in root.iter("TIME_SLOT")]
        self._times = dict(slots)
        self._order = {name: index for index, (name, _) in enumerate(slots)}
        self._elements = list(root.iter("TIER"))
        numbers = itertools.count(1)
        self._nodes = [[node for holder in tier.iter("ANNOTATION") for node in _nodes(holder, numbers)] for tier in self._elements]
        self._by_id = {node.id: node for nodes in self._nodes for node in nodes}
        self._children: dict[str, list[_Node]] = defaultdict(list)
        for node in self._by_id.values():
            self._children[node.parent].append(node)
        self._rank = {node.id: rank for siblings in self._children.values() for rank, node in enumerate(_in_order(siblings))}

    def tiers(self) -> tuple[Tier, ...]:
        aligned = [self._align([node for node in nodes if node.slots is not None]) for nodes in self._nodes]
        roots = {annotation.id: annotation for annotations in aligned for annotation in annotations}
        return tuple(
            Tier(
                name=element.get("TIER_ID", ""),
                type=element.get("LINGUISTIC_TYPE_REF", ""),
                participant=element.get("PARTICIPANT", "").strip(),
                parent=element.get("PARENT_REF", ""),
                dependent=any(node.slots is None for node in nodes),
                annotations=(*own, *self._hanging([node for node in nodes if node.slots is None], roots)),
            )
            for element, nodes, own in zip(self._elements, self._nodes, aligned, strict=True)
        )

    def _align(self, nodes: list[_Node]) -> list[Annotation]:
        """Times of the annotations of one tier; slots without a time are spread evenly between those of the tier that have one."""
        names = sorted({slot for node in nodes for slot in node.slots or () if slot in self._order}, key=self._order.__getitem__)
        times = _spread([self._times[name] for name in names])
        seconds = {name: None if time is None else time / 1000 for name, time in zip(names, times, strict=True)}
        return [
            Annotation(
                id=node.id,
                start=seconds.get(first),
                end=seconds.get(last),
                text=node.text,
                interpolated=self._times.get(first) is None or self._times.get(last) is None,
            )
            for node in nodes
            for first, last in [node.slots or ("", "")]
        ]

    def _hanging(self, nodes: list[_Node], roots: dict[str, Annotation]) -> Iterable[Annotation]:
        """Annotations without times of their own: all of a tier that hang on the same piece of time, joined."""
        by_root: dict[str, list[_Node]] = defaultdict(list)
        for node in nodes:
            by_root[self._ancestors(node)[-1].id].append(node)
        for root, members in by_root.items():
            members.sort(key=self._path)
            text = " ".join(node.text.strip() for node in members if node.text.strip())
            held = roots.get(root)
            if held is None:
                yield Annotation(id=members[0].id, start=None, end=None, text=text)
            else:
                yield dataclasses.replace(held, id=members[0].id, text=text)

    def _ancestors(self, node: _Node) -> list[_Node]:
        """From the annotation up to the one with times; a circle, or a chain without end, is cut."""
        chain = [node]
        while chain[-1].slots is None and (parent := self._by_id.get(chain[-1].parent)) is not None and len(chain) < DEEPEST:
            chain.append(parent)
        return chain

    def _path(self, node: _Node) -> tuple[int, ...]:
        """Where it stands under its root: the order among siblings on every level."""
        return tuple(self._rank[one.id] for one in reversed(self._ancestors(node)[:-1]))


def _nodes(holder: ET.Element, numbers: Iterator[int]) -> Iterator[_Node]:
    """The annotation in an element; of a damaged one all that it holds, or one without text and times, so that nothing is lost unseen."""
    held = [element for element in holder if element.tag in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION")]
    for element in held or [ET.Element("ALIGNABLE_ANNOTATION")]:
        number, value = next(numbers), element.find("ANNOTATION_VALUE")
        yield _Node(
            id=element.get("ANNOTATION_ID") or f"unnamed{number}",
            text="".join(value.itertext()) if value is not None else "",
            slots=(element.get("TIME_SLOT_REF1", ""), element.get("TIME_SLOT_REF2", "")) if element.tag == "ALIGNABLE_ANNOTATION" else None,
            parent=element.get("ANNOTATION_REF", ""),
            previous=element.get("PREVIOUS_ANNOTATION", ""),
        )


def _in_order(siblings: list[_Node]) -> list[_Node]:
    """Each after the one it follows; what follows nothing that is there keeps the order of the file."""
    here = {node.id for node in siblings}
    following: dict[str, list[_Node]] = defaultdict(list)
    for node in siblings:
        following[node.previous if node.previous in here else ""].append(node)
    ordered: list[_Node] = []
    seen: set[str] = set()
    for first in [*following[""], *siblings]:  # the second half only for what stands in a circle
        waiting = [first]
        while waiting:
            node = waiting.pop()
            if node.id not in seen:
                seen.add(node.id)
                ordered.append(node)
                waiting.extend(reversed(following[node.id]))
    return ordered


def _spread(times: list[int | None]) -> list[float | None]:
    """Missing times evenly between their neighbors; None before the first and after the last."""
    known = [index for index, time in enumerate(times) if time is not None]
    spread: list[float | None] = list(times)
    for left, right in itertools.pairwise(known):
        before, after = times[left] or 0, times[right] or 0
        for index in range(left + 1, right):
            spread[index] = before + (after - before) * (index - left) / (right - left)
    return spread
