"""ELAN files: tiers chosen, speakers told, recordings found where they lie now, and times on the recording's own line."""

from pathlib import Path
from typing import Any
from xml.dom import expatbuilder
from xml.parsers.expat import ExpatError

import numpy as np
import pytest
import soundfile
from elan_files import eaf, hanging, medium, timed
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st
from reruns import assert_reruns_change_nothing

from speechadapt.audio.waveform import read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.cli import main
from speechadapt.data.manifest import Manifest
from speechadapt.data.safe_xml import DEEPEST
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "elan")
RATE = 16_000
SLOTS: dict[str, int | None] = {
    "ts1": 0, "ts2": 700, "ts3": 1000, "ts4": None, "ts5": 2000, "ts6": 2500, "ts7": 1800, "ts8": 2300, "ts9": 9000,
}  # fmt: skip
ANNA = timed(
    "tx@A",
    *[("a1", "ts1", "ts2", "na ntúhu = wángu"), ("a2", "ts3", "ts4", "is not aligned"), ("a3", "ts4", "ts5", "neither"), ("a4", "ts5", "ts6", "")],
    participant="Anna",
)
BEN = timed(
    "tx@Ben",
    *[("b1", "ts7", "ts8", "at the same time"), ("b2", "ts2", "ts3", "xxx"), ("b3", "ts6", "ts6", "nothing"), ("b4", "ts6", "ts9", "beyond")],
    *[("b5", "ts1", "ts2", "[laughs]"), ("b6", "ts3", "ts7", "@eng@yes [coughs]")],
)
GLOSS = hanging("gl@A", "tx@A", ("g1", "a1", None, "1SG"), ("g2", "a1", "g1", "see"), ("g3", "a4", None, "later"))


def ramp(seconds: float) -> np.ndarray:
    return (np.arange(round(seconds * RATE)) % 60_000 - 30_000).astype(np.int16)


def write_ramp(path: Path, seconds: float = 4.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, ramp(seconds), RATE, subtype="PCM_16", format="WAV")
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A session of two people whose recording was named on another machine, with a time origin; a broken file; one without a recording."""
    root = tmp_path / "corpus"
    write_ramp(root / "audio/Session 1.WAV")
    media = [
        medium("file:///C:/Users/me/Session%201.mpg", "../video/Session%201.mpg", mime="video/mpeg", origin=3000),
        medium("file:///C:/Users/me/Session%201.wav", "file:./Session%201.wav", origin=250),
    ]
    (root / "eaf").mkdir()
    (root / "eaf/s1.eaf").write_text(eaf(ANNA, BEN, GLOSS, slots=SLOTS, media=media), encoding="utf-8")
    (root / "eaf/broken.eaf").write_text("<ANNOTATION_DOCUMENT>")
    (root / "lost.EAF").write_text(eaf(timed("tx@C", ("a1", "ts1", "ts2", "no sound")), slots=SLOTS, media=[medium("file:///D:/lost.wav")]))
    (root / "notes.eaf").write_text(eaf(timed("notes", ("a1", "ts1", "ts2", "ask Anna")), slots=SLOTS))
    (root / "._s1.eaf").write_bytes(b"\x00")
    return root


def prepare(source: Path, out: Path, settings: Any = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), settings or script.Settings(tier_pattern="TX@*"))
    return report


def small(tmp_path: Path, *tiers: str, media: tuple[str, ...] = (), slots: dict[str, int | None] = SLOTS) -> Path:
    root = tmp_path / "small"
    write_ramp(root / "a.wav")
    (root / "a.eaf").write_text(eaf(*tiers, slots=slots, media=media))
    return root


def test_annotations_are_cut_to_the_sample_and_every_loss_is_counted(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", script.Settings(tier_pattern="tx@*", language="swc", license="CC BY-NC 4.0"))
    assert report.dropped == {
        "broken-eaf": 1, "empty-text": 1, "event-only": 1, "missing": 1, "no-tier": 1, "no-time": 2, "out-of-range": 2, "unintelligible": 1,
    }  # fmt: skip
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 13
    assert (report.corpus.license, report.facts) == ("CC BY-NC 4.0", {"rows_with_bracketed_marks": 1})
    rows = {u.id: u for u in Manifest.read(tmp_path / "out/all.jsonl")}
    assert sorted(rows) == ["elan-eaf-s1-a1", "elan-eaf-s1-b1", "elan-eaf-s1-b6"]
    u = rows["elan-eaf-s1-a1"]
    assert u.to_json() == {
        "audio_sha1": u.audio_sha1,
        "audio_filepath": "audio/elan-eaf-s1-a1.flac", "duration": 0.7, "id": "elan-eaf-s1-a1", "language": "swc", "meta": {"tier": "tx@A"},
        "recording": "elan:audio/Session 1.WAV", "speaker": "elan:Anna", "text": "na ntúhu = wángu", "text_raw": "na ntúhu = wángu",
    }  # fmt: skip
    samples = np.round(read_waveform(tmp_path / "out" / u.audio_filepath) * 32768).astype(np.int16)
    np.testing.assert_array_equal(samples, ramp(4.0)[4000 : 4000 + 11_200])  # the time origin of the WAV, not of the video
    assert (rows["elan-eaf-s1-b6"].speaker, rows["elan-eaf-s1-b6"].text) == ("elan:Ben", "@eng@yes [coughs]")
    assert report.dropped_examples["no-tier"] == (
        'file "notes.eaf": none of the chosen tiers; there are: "notes". Choose another with --set tier_name=NAME.',
    )
    assert report.dropped_examples["missing"][0].startswith('row "lost-a1" (lost.EAF, tier "tx@C", 0.00 s to 0.70 s): no recording "lost.wav" under')
    assert report.dropped_examples["no-time"][0].endswith(
        "unknown to unknown): the file gives no time for it. Align it in ELAN, or see --set unaligned=interpolate."
    )


def test_missing_times_can_be_interpolated(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", script.Settings(tier_pattern="tx@*", unaligned="interpolate"))
    assert report.repairs == {"time put between its neighbors": 2}
    assert "no-time" not in report.dropped
    rows = {u.id: u for u in Manifest.read(tmp_path / "out/all.jsonl")}
    assert (rows["elan-eaf-s1-a2"].duration, rows["elan-eaf-s1-a3"].duration) == (0.5, 0.5)


CHOICES = [
    ({"tier_name": "tx@A"}, {"na ntúhu = wángu": "elan:Anna"}),
    ({"tier_name": "gl@A"}, {"1SG see": "elan:A", "later": "elan:A"}),  # dependent: joined, at the times of what it hangs on
    ({"tier_type": "gloss"}, {"1SG see": "elan:A", "later": "elan:A"}),
    ({"tier_type": "gloss", "speaker": "tier"}, {"1SG see": "elan:gl@A", "later": "elan:gl@A"}),
    ({"tier_type": "gloss", "speaker": "file"}, {"1SG see": "elan:a", "later": "elan:a"}),
    ({"tier_type": "gloss", "speaker": "none"}, {"1SG see": None, "later": None}),
    (
        {"tier_name": "tx@A", "tier_pattern": "*[b]EN"},
        {"na ntúhu = wángu": "elan:Anna", "at the same time": "elan:Ben", "@eng@yes [coughs]": "elan:Ben"},
    ),
    ({"tier_pattern": "tx*", "overlap": "drop", "unaligned": "interpolate"}, {"na ntúhu = wángu": "elan:Anna"}),
    ({"tier_name": "tx@Ben", "drop_marks": "same", "remove_marks": r"\[\w+\]"}, {"@eng@yes": "elan:Ben", "xxx": "elan:Ben"}),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "found"), CHOICES)
def test_tiers_and_speakers_are_chosen(tmp_path: Path, settings: dict[str, Any], found: dict[str, str | None]) -> None:
    root = small(tmp_path, ANNA, BEN, GLOSS)
    report = prepare(root, tmp_path / "out", script.Settings(**settings))
    assert {u.text: u.speaker for u in Manifest.read(tmp_path / "out/all.jsonl")} == found
    assert report.rows_read == report.kept + sum(report.dropped.values())


def test_without_a_choice_the_only_tier_is_taken_or_all_are_listed(corpus: Path, tmp_path: Path) -> None:
    root = small(tmp_path, timed("Phrase", ("a1", "ts1", "ts2", "only one")), timed("empty"), hanging("gl", "Phrase", ("g1", "a1", None, "ONE")))
    prepare(root, tmp_path / "out", script.Settings())
    (u,) = Manifest.read(tmp_path / "out/all.jsonl")
    assert (u.text, u.speaker) == ("only one", None)  # the name of a single tier is no speaker
    with pytest.raises(
        CorpusError,
        match=r's1\.eaf: which tier holds the transcript\? There are: "tx@A" \(3, such as "na ntúhu = wángu"\), "tx@Ben" \(6, such as "at the same '
        r'time"\), "gl@A" \(2, such as "1SG see"\), .*; of the types "gloss", "utterance"\. Choose with --set tier_name=NAME',
    ):
        prepare(corpus, tmp_path / "out2", script.Settings())
    with pytest.raises(CorpusError, match=r'no file has a tier with the transcript\. There are: "tx@A"'):
        prepare(corpus, tmp_path / "out2", script.Settings(tier_name="tx"))


def test_two_tiers_without_participants_are_two_speakers(tmp_path: Path) -> None:
    root = small(tmp_path, timed("Anna: 1", ("a1", "ts1", "ts2", "one")), timed("Ben", ("b1", "ts2", "ts3", "two")))
    prepare(root, tmp_path / "out", script.Settings(tier_type="utterance", name="mine"))
    assert {u.speaker for u in Manifest.read(tmp_path / "out/all.jsonl")} == {"mine:Anna: 1", "mine:Ben"}


@pytest.mark.parametrize(
    ("media", "reason"),
    [
        ((medium("file:///x/b.wav", "../../secret.wav"),), None),  # a recording of that name lies in the corpus: that one is meant
        ((medium("file:///x/other.wav", "../../../secret2.wav"),), "outside-corpus"),
        ((medium("/etc/hostname", "/etc/hostname"),), "outside-corpus"),
        ((medium("", "file:../%2e%2e/../secret2.wav"),), "outside-corpus"),
        ((medium("file:///x/film.mp4", "film.mp4", mime="video/mp4"),), "missing"),
        ((medium("", "x" * 5000), medium("file:///b%00.wav")), "missing"),
    ],
)
def test_recordings_are_never_taken_from_outside(tmp_path: Path, media: tuple[str, ...], reason: str | None) -> None:
    write_ramp(tmp_path / "secret.wav")
    write_ramp(tmp_path / "secret2.wav")
    root = small(tmp_path, timed("tx", ("a1", "ts1", "ts2", "one")))
    write_ramp(root / "deep/er/audio/secret.wav")
    (root / "deep/er/film.mp4").write_bytes(b"moving pictures")
    (root / "deep/er/b.eaf").write_text(eaf(timed("tx", ("a1", "ts1", "ts2", "two")), slots=SLOTS, media=media))
    report = prepare(root, tmp_path / "out", script.Settings())
    assert report.dropped == ({reason: 1} if reason else {})
    recordings = {u.recording for u in Manifest.read(tmp_path / "out/all.jsonl")}
    assert recordings == ({"elan:a.wav"} if reason else {"elan:a.wav", "elan:deep/er/audio/secret.wav"})


def test_a_document_type_costs_its_file_only(corpus: Path, tmp_path: Path) -> None:
    text = (corpus / "notes.eaf").read_text()
    evil = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>\n<ANNOTATION_DOCUMENT'
    (corpus / "notes.eaf").write_text(text.replace("<ANNOTATION_DOCUMENT", evil).replace("ask Anna", "&a;"))
    report = prepare(corpus, tmp_path / "out")
    assert (report.kept, report.dropped["broken-eaf"]) == (3, 2)
    assert "a document type declaration, which can do harm" in report.dropped_examples["broken-eaf"][1]


def test_recordings_elsewhere_need_a_setting(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (corpus / "audio/Session 1.WAV").rename(tmp_path / "disk/session 1.wav")
    with pytest.raises(CorpusError, match=r"have no usable audio.*elan expects: a folder with \.eaf files"):
        prepare(corpus, tmp_path / "out")
    report = prepare(corpus, tmp_path / "out", script.Settings(tier_pattern="tx@*", audio_root=tmp_path / "disk"), in_place=True)
    assert report.kept == 3
    manifest = Manifest.read(tmp_path / "out/all.jsonl")
    assert manifest.audio_path(manifest[0]) == (tmp_path / "disk/session 1.wav").resolve()
    assert (manifest[0].offset, manifest[0].duration) == (0.25, 0.7)


def test_sources(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus.parent, tmp_path / "out").kept == 3
    assert prepare(corpus / "eaf/s1.eaf", tmp_path / "out2", script.Settings(tier_pattern="tx@*", audio_root=corpus / "audio")).kept == 3
    with pytest.raises(CorpusError, match=r"no \.eaf file in it or below it, found: Session 1\.WAV\. It should be a folder with \.eaf files"):
        prepare(corpus / "audio", tmp_path / "out3")


def test_settings_that_mean_nothing(corpus: Path, tmp_path: Path) -> None:
    for name, value in (("speaker", "me"), ("unaligned", "guess"), ("overlap", "mix")):
        with pytest.raises(MisuseError, match=f'{name}="{value}": must be one of'):
            prepare(corpus, tmp_path / "out", script.Settings(**{name: value}))
    with pytest.raises(MisuseError, match="not a regular expression"):
        prepare(corpus, tmp_path / "out", script.Settings(remove_marks="("))
    assert not (tmp_path / "out").exists()


def test_a_second_run_and_an_interrupted_one_give_the_same(corpus: Path) -> None:
    assert assert_reruns_change_nothing(lambda out: prepare(corpus, out), corpus / "prepared").kept == 3


def test_the_command_line_divides_by_speaker_and_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "c"
    for number in range(5):
        write_ramp(root / f"s{number}.wav", 2.0 + number / 10)
        tier = timed("tx", ("a1", "ts1", "ts2", f"one {number}"), ("a2", "ts2", "ts3", f"two {number}"), participant=f"P{number}")
        (root / f"s{number}.eaf").write_text(eaf(tier, slots={"ts1": 100 * number, "ts2": 700, "ts3": 1000 + 100 * number}))
    assert main(["prepare", "elan", str(root), str(tmp_path / "out"), "--splits", "speaker", "--jobs", "1", "--set", "tier_name=tx"]) == 0
    assert "train and test share: 0 speakers, 0 recordings, 0 sentences, 0 audio" in capsys.readouterr().out
    assert {name: len(Manifest.read(tmp_path / f"out/{name}.jsonl").speakers) for name in ("train", "dev", "test")} == {
        "train": 2,
        "dev": 1,
        "test": 2,
    }


GOOD = eaf(ANNA, BEN, GLOSS, slots=SLOTS, media=[medium("file:///a.wav", "./a.wav", origin=5)])
QUOTED = sorted({part for part in GOOD.split('"')[1::2] if part})


def test_a_file_in_which_nothing_is_annotated_is_told(tmp_path: Path) -> None:
    root = small(tmp_path, timed("tx", ("a1", "ts1", "ts2", "hello")))
    (root / "b.eaf").write_text(eaf(timed("tx"), timed("notes", ("a1", "ts1", "ts2", "ask Anna")), slots=SLOTS))
    report = prepare(root, tmp_path / "out", script.Settings(tier_name="tx"))
    assert (report.rows_read, report.kept, report.dropped) == (2, 1, {"empty-tier": 1})
    assert report.dropped_examples["empty-tier"] == ('file "b.eaf": nothing is annotated in "tx". Annotate it or remove it.',)


BETWEEN = "</ANNOTATION>\n<ANNOTATION>"


def rows_in(text: str) -> int | None:
    """Annotations of the tiers `tx@...`, of those without times one for each that others hang on; one for a file that holds none of them.

    None where the file as a whole is no ELAN document.
    """
    try:
        document = expatbuilder.parseString(text.encode(), namespaces=False)
        times = [element.getAttribute(name) for tag, name in TIMES for element in document.getElementsByTagName(tag)]
        broken = any(abs(int(time.strip() or 0)) >= 10**12 for time in times)
        if broken or document.doctype or document.documentElement.tagName != "ANNOTATION_DOCUMENT":
            return None
    except (ExpatError, LookupError, ValueError):
        return None
    by_id: dict[str, Any] = {}
    held: dict[Any, list[Any]] = {}
    for tier in document.getElementsByTagName("TIER"):
        held[tier] = []
        for holder in tier.getElementsByTagName("ANNOTATION"):
            held[tier] += [one for one in holder.childNodes if one.nodeName.endswith("_ANNOTATION")] or [holder]
        by_id.update({one.getAttribute("ANNOTATION_ID"): one for one in held[tier] if one.getAttribute("ANNOTATION_ID")})

    def root_of(one: Any) -> Any:
        for _ in range(DEEPEST - 1):
            parent = by_id.get(one.getAttribute("ANNOTATION_REF"))
            if one.nodeName != "REF_ANNOTATION" or parent is None:
                break
            one = parent
        return one.getAttribute("ANNOTATION_ID") or one

    rows = 0
    for elements in (held[tier] for tier in held if tier.getAttribute("TIER_ID").casefold().startswith("tx@")):
        hanging_ones = [one for one in elements if one.nodeName == "REF_ANNOTATION"]
        rows += len(elements) - len(hanging_ones) + len({root_of(one) for one in hanging_ones})
    return rows or 1


TIMES = (("TIME_SLOT", "TIME_VALUE"), ("MEDIA_DESCRIPTOR", "TIME_ORIGIN"))
EXCHANGED = [BETWEEN, "", "<ANNOTATION></ANNOTATION>", f"</ANNOTATION>{BETWEEN}<ANNOTATION>"]


@given(st.data())
@fuzz()
def test_no_annotation_of_a_damaged_file_is_lost(tmp_path: Path, data: st.DataObject) -> None:
    root = tmp_path / "fuzz"
    if not (root / "good.wav").is_file():
        write_ramp(root / "good.wav", 1.0)
        write_ramp(root / "bad.wav", 1.0)
        (root / "good.eaf").write_text(eaf(timed("tx@A", ("a1", "ts1", "ts2", "good")), slots=SLOTS))
    damaged = GOOD.replace(f'"{data.draw(st.sampled_from(QUOTED))}"', f'"{data.draw(st.sampled_from([*QUOTED, "", "-1", "../x", "&#10;"]))}"')
    parts = damaged.split(BETWEEN)
    place = data.draw(st.integers(1, len(parts) - 1))
    damaged = BETWEEN.join(parts[:place]) + data.draw(st.sampled_from(EXCHANGED)) + BETWEEN.join(parts[place:])
    if data.draw(st.booleans()):
        start, length = data.draw(st.integers(0, len(damaged))), data.draw(st.integers(0, 30))
        damaged = damaged[:start] + data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=4)) + damaged[start + length :]
    (root / "bad.eaf").write_text(damaged, encoding="utf-8", newline="")
    settings = script.Settings(tier_pattern="tx@*", unaligned=data.draw(st.sampled_from(["drop", "interpolate"])))
    report = prepare(root, tmp_path / "out", settings, dry_run=True, allow_missing=True)
    rows = rows_in(damaged)
    assert report.kept >= 1
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 1 + (1 if rows is None else rows)
    assert report.dropped.get("broken-eaf", 0) == (rows is None)
    assert rows is not None or report.dropped_examples["broken-eaf"][0].startswith(str(root / "bad.eaf"))
