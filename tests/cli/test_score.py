"""`speechadapt score` from the terminal: files in, table or JSON out, exit codes, and one sentence for each misuse."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from speechadapt.cli import main
from speechadapt.data.hypothesis import Hypothesis, write_hypotheses
from speechadapt.score.report import ScoreReport

ROWS = [
    {"id": "u1", "text": "The colour is grey.", "speaker": "s1", "accent": "hindi", "device": "phone"},
    {"id": "u2", "text": "Twenty one cats", "speaker": "s2", "accent": "mandarin", "device": "studio"},
    {"id": "u3", "text": "...", "speaker": "s2", "accent": "mandarin", "device": "studio"},
]


@pytest.fixture
def files(tmp_path: Path) -> Callable[[dict[str, str]], list[str]]:
    """Write a manifest and hypotheses; give their paths as typed."""

    def write(said: dict[str, str]) -> list[str]:
        references, hypotheses = tmp_path / "test.jsonl", tmp_path / "tiny.jsonl"
        rows = [{"audio_filepath": f"{row['id']}.flac", "duration": 2.0, **row} for row in ROWS]
        references.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        write_hypotheses(hypotheses, [Hypothesis(id=key, text=text) for key, text in said.items()])
        return [str(references), str(hypotheses)]

    return write


SAID = {"u3": "thank you", "u2": "21 cats sat", "u1": "the color is great"}


def test_the_table(files: Callable[[dict[str, str]], list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", *files(SAID), "--by", "accent"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("tiny on test: 2 utterances, 2 speakers, 6 reference words\nnormalizer english, version whisper-normalizer ")
    assert "33.3 %" in shown.out  # one substitution and one insertion on six words
    assert 'Not counted, no word in the reference: 1 ("u3"); the system said 2 words there (60.0 per minute of audio).' in shown.out
    assert "speaker  s1" not in shown.out


def test_json_on_stdout_equals_the_file(files: Callable[[dict[str, str]], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "reports" / "tiny.json"
    assert main(["score", *files(SAID), "--by", "accent, device", "--json", "--out", str(out), "--system", "tiny.en"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row == json.loads(out.read_text(encoding="utf-8"))
    assert row["words"] == {"hits": 5, "substitutions": 1, "deletions": 0, "insertions": 1}
    assert list(row["groups"]) == ["accent", "device"]
    assert (row["system"], row["manifest_path"]) == ("tiny.en", str(tmp_path / "test.jsonl"))
    assert ScoreReport.read(out).wer == pytest.approx(2 / 6)


def test_another_normalizer(files: Callable[[dict[str, str]], list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", *files(SAID), "--normalizer", "basic", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["words"] == {"hits": 2, "substitutions": 5, "deletions": 0, "insertions": 0}


def test_a_missing_hypothesis_fails_unless_asked_to_count_it_as_empty(
    files: Callable[[dict[str, str]], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["score", *files({"u1": "the color is gray"})]
    assert main(arguments) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        'speechadapt score: 2 of the 3 utterances of "test" have no hypothesis from "tiny": "u2", "u3". '
        "Transcribe them too, or count them as empty with --missing-as-empty (in Python missing_as_empty=True).\n"
    )
    assert main([*arguments, "--missing-as-empty"]) == 0
    assert 'No hypothesis, counted as empty: 2 ("u2", "u3").' in capsys.readouterr().out


def test_misuse_is_exit_code_2(files: Callable[[dict[str, str]], list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", *files(SAID), "--normalizer", "whisper"]) == 2
    assert capsys.readouterr().err == (
        'speechadapt score: no normalizer is called "whisper"; there are: raw, basic, english, whisper-basic, whisper-basic-no-diacritics, '
        "and basic:LANGUAGE (such as basic:tr), with the options +fold, +numbers, +fillers. Check the spelling.\n"
    )


def test_files_that_cannot_be_read(files: Callable[[dict[str, str]], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references, hypotheses = files(SAID)
    assert main(["score", references, str(tmp_path / "none.jsonl")]) == 1
    assert capsys.readouterr().err == f"speechadapt score: {tmp_path / 'none.jsonl'}: no such file or folder. Check the path.\n"
    broken = {
        b'{"id": "u1", "text": 3}\n': 'hypothesis "u1" ({place}, line 1): text is 3, must be text in quotes (it may be empty). Correct the line.',
        b'{"id": "u1", "text": "a", "seconds": "x"}\n': (
            "hypothesis \"u1\" ({place}, line 1): seconds is 'x', must be a finite number or absent. Correct the line."
        ),
        b'{"id": "u1", "text": "\xff"}\n': "{place}, line 1: not UTF-8 text (invalid start byte). Save it as UTF-8.",
    }
    for content, message in broken.items():
        Path(hypotheses).write_bytes(content)
        assert main(["score", references, hypotheses]) == 1
        assert capsys.readouterr().err == f"speechadapt score: {message.format(place=hypotheses)}\n"


def test_a_line_separator_inside_a_text_is_not_the_end_of_a_line(
    files: Callable[[dict[str, str]], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", *files({**SAID, "u1": "the color\u2028is\x85gray"}), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["words"]["hits"] == 6


def test_alternatives_in_trn_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """sclite -D counts 7 hits and 1 substitution on these."""
    (tmp_path / "ref.trn").write_text("a b c (s1_1)\n{ going to / gonna } go (s1_2)\n(uh) hi there (s2_1)\n", encoding="utf-8")
    (tmp_path / "sys.trn").write_text("\ufeffa x c (s1_1)\r\ngonna go (s1_2)\r\nhi there (s2_1)\r\n", encoding="utf-8")
    files = [str(tmp_path / "ref.trn"), str(tmp_path / "sys.trn")]
    for alignment in ("levenshtein", "nist"):
        assert main(["score", *files, "--alternatives", "--alignment", alignment, "--normalizer", "raw", "--json"]) == 0
        row = json.loads(capsys.readouterr().out)
        assert row["words"] == {"hits": 7, "substitutions": 1, "deletions": 0, "insertions": 0}
        assert (row["alignment"], row["alternatives"], row["several"]) == (alignment, True, 2)
    (tmp_path / "ref.trn").write_text("a b c (s1_1)\n{ going to / gonna go (s1_2)\n(uh) hi there (s2_1)\n", encoding="utf-8")
    assert main(["score", *files, "--alternatives"]) == 1
    assert capsys.readouterr().err == (
        'speechadapt score: reference "s1_2": "{" is not closed by "}". It reads: \'{ going to / gonna go\'. '
        "Correct the text, or score without --alternatives.\n"
    )


def test_marks_that_are_not_read_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ref.trn").write_text("a b c (s1_1)\n{ going to / gonna } go (s1_2)\n", encoding="utf-8")
    (tmp_path / "sys.trn").write_text("a b c (s1_1)\ngonna go (s1_2)\n", encoding="utf-8")
    files = [str(tmp_path / "ref.trn"), str(tmp_path / "sys.trn")]
    assert main(["score", *files]) == 0
    assert capsys.readouterr().err == (
        'note: 1 of the first 2 references holds alternatives, such as "{ going to / gonna } go". Add --alternatives to read them.\n'
    )
    assert main(["score", *files, "--alternatives"]) == 0
    assert capsys.readouterr().err == ""
