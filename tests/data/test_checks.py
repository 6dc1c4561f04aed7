"""Checks: every planted defect is found under its name with its ids, and a clean manifest has none."""

import csv
import json
import re
from pathlib import Path

import pytest

from speechadapt.audio.audit import TOLD
from speechadapt.data.checks import check_manifest, read_for_check
from speechadapt.data.findings import CHECKS, Finding, write_findings
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError, MisuseError


def row(number: int, **fields: object) -> Utterance:
    given: dict[str, object] = {"id": f"c-{number}", "audio_filepath": f"{number}.flac", "duration": 2.0, "speaker": f"c:{number // 4}"}
    given |= {"text": f"A plain sentence, number {'abcdefghijklmnopqrst'[number % 20] * 3}.", **fields}
    return Utterance(**given)  # type: ignore[arg-type]


def manifest(*rows: Utterance, name: str = "train", folder: Path = Path()) -> Manifest:
    return Manifest(rows, folder=folder, name=name)


def found(*manifests: Manifest) -> dict[str, Finding]:
    return {finding.check: finding for finding in check_manifest(manifests, files=False)}


def test_clean_manifests_have_no_finding() -> None:
    assert check_manifest(manifest(*(row(n) for n in range(8))), files=False) == []
    assert check_manifest([manifest(*(row(n) for n in range(8))), manifest(*(row(n) for n in range(8, 16)), name="test")], files=False) == []


def test_empty_texts() -> None:
    finding = found(manifest(row(1, text=""), row(2, text="… –"), row(3)))["empty-text"]
    assert (finding.severity, finding.ids) == ("error", ("c-1", "c-2"))
    assert finding.message == 'train: 2 of 3 utterances have no words in their text: "c-1", "c-2". Remove them or write what was said.'


def test_clips_over_thirty_seconds() -> None:
    finding = found(manifest(row(1, duration=31.0), row(2, duration=30.0), row(3)))["too-long"]
    assert (finding.severity, finding.ids) == ("error", ("c-1",))
    assert 'train: 1 of 3 utterances last over 30 s, at most 30 s fit Whisper\'s window: "c-1" (31.00 s). Cut' in finding.message


def test_texts_that_may_not_fit_the_decoder() -> None:
    finding = found(manifest(row(1, text="many words " * 120, duration=29.0)))["text-too-long"]
    assert finding.severity == "warning"
    assert "over 1300 bytes of text" in finding.message


@pytest.mark.parametrize(("text", "duration", "told"), [("hi", 10.0, True), ("far too many letters for one second", 1.0, True), ("fine", 1.0, False)])
def test_speech_rates(text: str, duration: float, told: bool) -> None:
    assert ("speech-rate" in found(manifest(row(1, text=text, duration=duration)))) is told


def test_chinese_has_rates_of_its_own() -> None:
    assert "speech-rate" not in found(manifest(row(1, text="我们去哪里", duration=6.0)))  # 0.8 a second
    assert "speech-rate" in found(manifest(row(1, text="我们去哪里我们去哪里我们去", duration=1.0)))  # 13 a second


def test_one_unusual_rate_among_many() -> None:
    rows = [row(n, duration=2.0 + n % 5 * 0.1) for n in range(60)]
    finding = found(manifest(*rows, row(99, duration=12.0)))["unusual-speech-rate"]
    assert (finding.severity, finding.ids) == ("warning", ("c-99",))


def test_capitals_are_told_when_they_are_the_rule() -> None:
    assert found(manifest(row(1, text="WE CALL IT BEAR"), row(2, text="MIKE LIKES IT"), row(3)))["capitals"].ids == ("c-1", "c-2")
    assert "capitals" not in found(manifest(row(1, text="WE CALL IT BEAR"), row(2), row(3)))


def test_unknown_speakers_are_a_warning() -> None:
    finding = found(manifest(row(1, speaker=None), row(2)))["unknown-speaker"]
    assert (finding.severity, finding.ids) == ("warning", ("c-1",))


def test_missing_and_empty_files(tmp_path: Path) -> None:
    (tmp_path / "1.flac").write_bytes(b"x")
    (tmp_path / "2.flac").touch()
    rows = manifest(row(1), row(2), row(3), row(4, audio_filepath="../5.flac"), folder=tmp_path)
    findings = {finding.check: finding for finding in check_manifest(rows)}
    assert findings["missing"].ids == ("c-3",)
    assert findings["empty"].ids == ("c-2",)
    assert findings["outside-folder"].ids == ("c-4",)
    assert {finding.severity for finding in findings.values()} == {"error"}


def test_what_two_splits_share() -> None:
    train = manifest(row(1, speaker="c:anna"), row(2, recording="c:talk"), row(3, text="The same words."), row(4))
    test = manifest(row(5, speaker="c:anna"), row(6, speaker="c:x", recording="c:talk"), row(7, speaker="c:x", text="the SAME words"), name="test")
    findings = found(test, train)  # whichever order they are given in
    assert (findings["shared-speaker"].severity, findings["shared-speaker"].ids) == ("error", ("c-1",))
    assert findings["shared-speaker"].message.startswith('train and test share 1 speakers ("c:anna"): 1 utterances of train, such as "c-1".')
    assert (findings["shared-recording"].severity, findings["shared-recording"].ids) == ("error", ("c-2",))
    assert (findings["shared-sentence"].severity, findings["shared-sentence"].ids) == ("warning", ("c-3",))


def test_an_id_in_two_manifests() -> None:
    assert found(manifest(row(1)), manifest(row(1, speaker="c:y", text="other", audio_filepath="y.flac"), name="test"))["shared-id"].ids == ("c-1",)


def test_sentences_that_differ_in_one_word_of_ten() -> None:
    train = manifest(row(1, duration=5.0, text="one two three four five six seven eight nine ten"), row(2, text="short, equal nearly"))
    test = manifest(
        row(9, duration=5.0, text="One two three four five six seven eight nine eleven!"), row(10, text="short, equal barely"), name="test"
    )
    assert found(train, test)["near-sentence"].ids == ("c-1",)
    other = manifest(row(9, duration=5.0, text="one two three four five six seven ate nein eleven"), name="test")
    assert "near-sentence" not in found(train, other)


def test_an_accent_that_is_tested_but_not_trained() -> None:
    findings = found(manifest(row(1, accent="a")), manifest(row(9, accent="a"), row(10, accent="b"), name="test"))
    assert findings["accent-not-trained"].ids == ("c-10",)
    assert 'accent "b": 1 utterances in test, none in train' in findings["accent-not-trained"].message


def test_rates_of_a_large_manifest_take_no_quadratic_time() -> None:
    rows = [row(n, duration=0.5 if n % 2 else 40.0, text="a few words of a line") for n in range(6000)]
    assert len(found(manifest(*rows))["speech-rate"].ids) == 6000


def test_every_check_is_listed() -> None:
    sources = [Path(__file__).parents[2] / "speechadapt" / name for name in ("data/checks.py", "data/transcripts.py", "transcript_check.py")]
    pattern = r'check="([a-z0-9-]+)"|make_finding\(\s*\w+, "\w+", "([a-z-]+)"|"([a-z-]+)": \(\s*"(?:error|warning|note)"'
    named = {word for source in sources for words in re.findall(pattern, source.read_text()) for word in words if word}
    assert {"broken-line", "unlike-speech", "too-long", "markup", "not-spelled-out"} <= named
    assert named | set(TOLD) | {"repeated-audio", "shared-audio", "shared-speaker", "shared-recording", "shared-sentence"} == set(CHECKS)


def test_broken_lines_and_repeated_ids_do_not_stop_the_reading(tmp_path: Path) -> None:
    good = json.dumps(row(1).to_json())
    path = tmp_path / "m.jsonl"
    path.write_text("\n".join([good, "oops", good, json.dumps({**row(2).to_json(), "duration": -1}), json.dumps(row(3).to_json())]))
    read, findings = read_for_check(path)
    assert [u.id for u in read] == ["c-1", "c-3"]
    assert [(finding.check, finding.severity) for finding in findings] == [
        ("broken-line", "error"),
        ("duplicate-id", "error"),
        ("broken-line", "error"),
    ]
    assert findings[1].message.startswith('utterance "c-1" (m.jsonl, line 3): this id stands twice')


def test_nothing_to_check_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text("\n\n")
    with pytest.raises(ManifestError, match=r"m\.jsonl: no utterance in it"):
        read_for_check(tmp_path / "m.jsonl")
    with pytest.raises(ManifestError, match=r"none\.jsonl: no such manifest"):
        read_for_check(tmp_path / "none.jsonl")


def test_lines_that_no_decoder_reads_cost_themselves_only(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    separated = json.dumps(row(1, text="one\u2028two").to_json(), ensure_ascii=False).encode()
    lines = [
        b"\xef\xbb\xbf" + separated,
        b'{"id": "caf\xe9"}',
        b"[" * 100_000,
        b'{"id": ' + b"9" * 5000 + b"}",
        json.dumps(row(2).to_json()).encode(),
    ]
    path.write_bytes(b"\r\n".join(lines))
    read, findings = read_for_check(path, "corpus/m")
    assert [u.id for u in read] == ["c-1", "c-2"]
    assert [(finding.check, finding.manifest) for finding in findings] == [("broken-line", "corpus/m")] * 3
    assert findings[0].message == "m.jsonl, line 2: cannot be read (byte 12 is not UTF-8). Write the line again."
    assert "line 3: cannot be read (brackets without end)" in findings[1].message
    assert "m.jsonl, line 4: cannot be read" in findings[2].message


@pytest.mark.parametrize(("content", "message"), [("\n\n".encode("utf-16"), "it begins as UTF-16 does"), (b"", "no utterance in it")])
def test_files_that_are_no_manifests(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.jsonl").write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_for_check(tmp_path / "m.jsonl")


def test_a_json_array_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('[{"id": "a"},\n{"id": "b"}]\n')
    assert "a JSON array, expected JSON Lines" in read_for_check(tmp_path / "m.jsonl")[1][0].message


def test_findings_can_be_written_row_by_row(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    lines = manifest(
        row(1, audio_filepath="a.wav", text="<b>=1+1</b>"), row(2, audio_filepath="../b.wav", text="=cmd()", offset=1.5), folder=tmp_path
    )
    findings = check_manifest(lines)
    assert write_findings(tmp_path / "f.jsonl", findings, [lines]) == sum(max(1, len(finding.ids)) for finding in findings)
    rows = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert [one["severity"] for one in rows] == sorted((one["severity"] for one in rows), key=["error", "warning", "note"].index)
    markup = next(one for one in rows if one["check"] == "markup")
    assert markup == {
        "severity": "warning", "check": "markup", "manifest": "train", "id": "c-1", "detail": '"<b>"', "audio": str((tmp_path / "a.wav").resolve()),
        "offset": 0.0, "duration": 2.0, "speaker": "c:0", "text": "<b>=1+1</b>",
    }  # fmt: skip
    assert next(one for one in rows if one["check"] == "outside-folder")["audio"] == "../b.wav"
    write_findings(tmp_path / "f.csv", findings, [lines])
    with (tmp_path / "f.csv").open(newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert len(cells) == len(rows)
    assert {one["text"] for one in cells if one["id"] == "c-2"} == {"'=cmd()"}  # a spreadsheet would run it
    with pytest.raises(MisuseError, match=r'--out f\.txt: ends in "\.txt", must end in \.jsonl or \.csv'):
        write_findings(Path("f.txt"), findings, [lines])


def test_texts_that_no_encoding_has_can_be_written(tmp_path: Path) -> None:
    lines = manifest(row(1, text="half \ud83d a pair"), folder=tmp_path)
    write_findings(tmp_path / "f.jsonl", check_manifest(lines, files=False), [lines])
    assert json.loads((tmp_path / "f.jsonl").read_text())["text"] == "half ? a pair"
