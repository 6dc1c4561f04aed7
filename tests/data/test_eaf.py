"""ELAN files: times found along tiers that hang on each other, and files that are broken or mean harm."""

import time
from pathlib import Path

import pytest
from elan_files import eaf, hanging, medium, timed
from hypothesis import given, settings
from hypothesis import strategies as st

from speechadapt.data import eaf as module
from speechadapt.data.eaf import Annotation, Eaf, Media, parse_eaf, read_eaf
from speechadapt.errors import CorpusError

SLOTS: dict[str, int | None] = {"ts1": 500, "ts2": 1500, "ts3": None, "ts4": None, "ts5": 3000, "ts6": None, "other": 2000}
PHRASES = timed("tx@ANNA", ("a1", "ts1", "ts2", "na <ntuhu> & é"), ("a2", "ts2", "ts5", "wa ngani"), participant=" Anna ")
WORDS = hanging(
    *("words", "tx@ANNA"),
    *[("w3", "a1", "w2", "tuhu"), ("w1", "a1", None, "na"), ("w2", "a1", "w1", "n"), ("w4", "a2", None, "wa"), ("w5", "a2", "w4", "ngani")],
    type="words",
)
GLOSSES = hanging("gloss", "words", ("g5", "w5", None, "WHO"), ("g3", "w3", None, "SEE"), ("g1", "w1", None, "1SG"), ("g0", "w9", None, "LOST"))


def texts(document: Eaf, name: str) -> list[tuple[str, float | None, float | None, str]]:
    (tier,) = [tier for tier in document.tiers if tier.name == name]
    return [(one.id, one.start, one.end, one.text) for one in tier.annotations]


def test_tiers_media_and_times(tmp_path: Path) -> None:
    path = tmp_path / "a.eaf"
    media = [medium("file:///C:/x/s1.mpg", "./s1.mpg", mime="video/mpeg", origin=1250), medium("file:///C:/x/s1.wav")]
    path.write_text(eaf(PHRASES, WORDS, slots=SLOTS, media=media), encoding="utf-8")
    document = read_eaf(path)
    assert document.media == (
        Media(url="file:///C:/x/s1.mpg", relative_url="./s1.mpg", mime_type="video/mpeg", origin=1.25),
        Media(url="file:///C:/x/s1.wav", relative_url="", mime_type="audio/x-wav", origin=0.0),
    )
    phrases, words = document.tiers
    assert (phrases.name, phrases.type, phrases.participant, phrases.parent, phrases.dependent) == ("tx@ANNA", "utterance", "Anna", "", False)
    assert phrases.annotations[0] == Annotation(id="a1", start=0.5, end=1.5, text="na <ntuhu> & é")
    assert (words.name, words.type, words.participant, words.parent, words.dependent) == ("words", "words", "", "tx@ANNA", True)


def test_annotations_that_hang_on_others_take_their_times_and_are_joined_in_order() -> None:
    document = parse_eaf(eaf(GLOSSES, WORDS, PHRASES, slots=SLOTS).encode(), "a")
    assert texts(document, "words") == [("w1", 0.5, 1.5, "na n tuhu"), ("w4", 1.5, 3.0, "wa ngani")]
    # two levels up: the order is that of the words, not that of the file; what hangs on nothing has no time
    assert texts(document, "gloss") == [("g5", 1.5, 3.0, "WHO"), ("g1", 0.5, 1.5, "1SG SEE"), ("g0", None, None, "LOST")]


def test_missing_times_are_spread_between_their_neighbors_in_the_tier() -> None:
    pieces = [("a1", "ts1", "ts2", "one"), ("a2", "ts2", "ts3", "two"), ("a3", "ts3", "ts4", "three"), ("a4", "ts4", "ts5", "four")]
    document = parse_eaf(eaf(timed("x", *pieces, ("a5", "ts5", "ts6", "five"), ("a6", "ts9", "ts1", "six")), slots=SLOTS).encode(), "a")
    found = {one.id: (one.start, one.end, one.interpolated) for one in document.tiers[0].annotations}
    assert found == {
        "a1": (0.5, 1.5, False), "a2": (1.5, 2.0, True), "a3": (2.0, 2.5, True), "a4": (2.5, 3.0, True),
        "a5": (3.0, None, True), "a6": (None, 0.5, True),
    }  # fmt: skip


def test_circles_and_missing_ids_are_survived() -> None:
    circle = hanging("c", "x", ("c1", "c2", "c3", "one"), ("c2", "c1", None, "two"), ("c3", "a1", "c4", "three"), ("c4", "a1", "c3", "four"))
    nameless = timed("x", ("a1", "ts1", "ts2", "x")).replace("</TIER>", "<ANNOTATION><REF_ANNOTATION/></ANNOTATION><ANNOTATION/></TIER>")
    document = parse_eaf(eaf(nameless, circle, slots=SLOTS).encode(), "a")
    assert [(one.text, one.start) for tier in document.tiers for one in tier.annotations] == [
        ("x", 0.5), ("", None), ("", None), ("one", None), ("two", None), ("three four", 0.5),
    ]  # fmt: skip


def test_what_damage_puts_into_one_element_is_not_lost() -> None:
    pieces = timed("x", ("a1", "ts1", "ts2", "one"), ("a2", "ts2", "ts5", "two")).replace("</ANNOTATION>\n<ANNOTATION>", "")
    document = parse_eaf(eaf(pieces.replace("</TIER>", "<ANNOTATION><OTHER/></ANNOTATION></TIER>"), slots=SLOTS).encode(), "a")
    assert texts(document, "x") == [("a1", 0.5, 1.5, "one"), ("a2", 1.5, 3.0, "two"), ("unnamed3", None, None, "")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_encodings_are_as_declared(encoding: str) -> None:
    text = eaf(PHRASES, slots=SLOTS).replace("UTF-8", encoding)
    assert parse_eaf(text.encode(encoding), "a").tiers[0].annotations[0].text == "na <ntuhu> & é"


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
THEFT = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
REMOTE = '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">'


@pytest.mark.parametrize("declaration", [LAUGHS, THEFT, REMOTE, "<!DOCTYPE x>"])
def test_document_types_are_refused(declaration: str) -> None:
    text = eaf(PHRASES, slots=SLOTS).replace("<ANNOTATION_DOCUMENT", f"{declaration}\n<ANNOTATION_DOCUMENT").replace("wa ngani", "&b;")
    with pytest.raises(CorpusError, match=r"a, line 2: a document type declaration, which can do harm and is refused"):
        parse_eaf(text.encode(), "a")


GOOD = eaf(PHRASES, slots=SLOTS)
BROKEN = [
    ("", "a: not well-formed XML"),
    (GOOD[:-40], "a: not well-formed XML"),
    (GOOD.replace("wa ngani", "&unknown;"), "a: not well-formed XML"),
    (GOOD.replace("UTF-8", "klingon"), "a: not well-formed XML"),
    (GOOD.replace("UTF-8", "gb18030"), "a: not well-formed XML"),
    (GOOD.replace("ANNOTATION_DOCUMENT", "html"), "a: its outermost element is html, not ANNOTATION_DOCUMENT, so this is no ELAN file"),
    (GOOD.replace('"1500"', '"soon"'), 'a: "soon" is not a time in milliseconds'),
    (GOOD.replace('"1500"', f'"{"9" * 5000}"'), 'a: "9999'),
    ("<a>" * 100, "a, line 1: over 64 elements inside each other"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_broken_files_are_told(text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        parse_eaf(text.encode(), "a")


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CorpusError, match=r"gone\.eaf: cannot be read \(No such file or directory\)"):
        read_eaf(tmp_path / "gone.eaf")
    (tmp_path / "a.eaf").write_text(GOOD)
    monkeypatch.setattr(module, "LARGEST_FILE", 20)
    with pytest.raises(CorpusError, match=r"bytes, an ELAN file has at most 20"):
        read_eaf(tmp_path / "a.eaf")


def test_long_chains_cost_no_time() -> None:
    chain = [(f"r{n}", f"r{n - 1}", f"r{n - 1}", "x") for n in range(1, 5000)]
    siblings = [(f"s{n}", "a1", f"s{n - 1}", "y") for n in range(1, 5000)]
    started = time.monotonic()
    document = parse_eaf(eaf(PHRASES, hanging("chain", "tx@ANNA", *chain), hanging("row", "tx@ANNA", *siblings), slots=SLOTS).encode(), "a")
    assert time.monotonic() - started < 5
    assert texts(document, "row") == [("s1", 0.5, 1.5, " ".join(["y"] * 4999))]


@given(st.data())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_damage_is_refused_or_read_but_never_a_traceback(data: st.DataObject) -> None:
    good = eaf(PHRASES, WORDS, GLOSSES, slots=SLOTS, media=[medium("file:///a.wav", "./a.wav", origin=5)])
    quoted = [part for part in good.split('"')[1::2] if part]
    damaged = good.replace(f'"{data.draw(st.sampled_from(quoted))}"', f'"{data.draw(st.sampled_from([*quoted, "", "-1", "x y"]))}"')
    start, length = data.draw(st.integers(0, len(good))), data.draw(st.integers(0, 30))
    if data.draw(st.booleans()):
        damaged = damaged[:start] + data.draw(st.text(max_size=4)) + damaged[start + length :]
    try:
        held = sum(len(tier.annotations) for tier in parse_eaf(damaged.encode("utf-8", "replace"), "a").tiers)
    except CorpusError:
        held = 0
    assert held <= 11
