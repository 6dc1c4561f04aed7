"""The recorded corpus on disk: complete after every take, gone on with, shared by speakers, never mixed with something else."""

import csv
import errno
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recording_studio import make_prompts
from spoken import spoken

from speechadapt.errors import CorpusError, MisuseError, SpeechadaptError
from speechadapt.serve.recorded_corpus import RecordedCorpus, SpeakerLabels, open_recorded
from speechadapt.serve.take import Take

ANNA = SpeakerLabels(speaker="anna", accent="scottish", language="en", l1="Gaelic")
PROMPTS = make_prompts()


def take(seed: int = 0, seconds: float = 1.0) -> Take:
    samples = np.rint(spoken(seconds, seed=seed, sampling_rate=44_100) * 32767).astype(np.int16)
    return Take(samples=samples, sampling_rate=44_100, level_dbfs=-20.0, findings=())


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def recordings(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "audio").iterdir())


def test_a_kept_take_is_on_disk_at_once(tmp_path: Path) -> None:
    with open_recorded(tmp_path / "me", PROMPTS, ANNA) as (corpus, notes):
        assert notes == []
        corpus.keep(PROMPTS[1], take(1))
        corpus.keep(PROMPTS[0], take(0))
        rows = rows_of(tmp_path / "me")
    assert [row["text"] for row in rows] == ["Put the kettle on.", "The door is open."]
    assert [row["split"] for row in rows] == ["train", "test"]
    first = rows[0]
    assert first["id"] == f"anna-{PROMPTS[0].id}"
    assert (first["speaker"], first["accent"], first["language"], first["l1"], first["gender"]) == ("anna", "scottish", "en", "Gaelic", "")
    assert (first["prompt"], first["seconds"]) == (PROMPTS[0].id, "1.000")
    samples, rate = soundfile.read(tmp_path / "me" / first["audio_filepath"], dtype="int16")
    assert rate == 44_100
    assert np.array_equal(samples, take(0).samples)


def test_repeating_replaces_the_take_and_going_on_finds_it(tmp_path: Path) -> None:
    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, _):
        corpus.keep(PROMPTS[0], take(0))
        corpus.keep(PROMPTS[0], take(1))
    assert len(recordings(tmp_path)) == 1
    again = SpeakerLabels(speaker="anna")
    with open_recorded(tmp_path, PROMPTS, again) as (corpus, notes):
        assert notes == []
        assert list(corpus.done) == [PROMPTS[0].id]
        assert corpus.seconds == 1.0
        assert corpus.labels == ANNA  # what was said of her before
        corpus.keep(PROMPTS[2], take(2))
    assert [row["accent"] for row in rows_of(tmp_path)] == ["scottish", "scottish"]
    assert np.array_equal(soundfile.read(tmp_path / rows_of(tmp_path)[0]["audio_filepath"], dtype="int16")[0], take(1).samples)


def test_a_list_that_has_changed_keeps_what_was_recorded_and_its_part(tmp_path: Path) -> None:
    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, _):
        corpus.keep(PROMPTS[1], take(1))
    longer = make_prompts(("The door is open.", "A new one."))
    with open_recorded(tmp_path, longer, ANNA) as (corpus, _):
        assert longer[0].split == "train"
        corpus.keep(longer[0], take(5))
        assert corpus.done[longer[0].id]["split"] == "test"


def test_a_sentence_stays_in_its_part_for_everyone(tmp_path: Path) -> None:
    """Or what one speaker is tested on would be in another's training."""
    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, _):
        corpus.keep(PROMPTS[1], take(1))
    shorter = make_prompts((PROMPTS[1].text,))
    assert (PROMPTS[1].split, shorter[0].split) == ("test", "train")
    with open_recorded(tmp_path, shorter, SpeakerLabels(speaker="ben")) as (corpus, _):
        corpus.keep(shorter[0], take(2))
    assert [(row["speaker"], row["split"]) for row in rows_of(tmp_path)] == [("anna", "test"), ("ben", "test")]


def test_the_language_of_the_list_is_for_those_who_gave_none(tmp_path: Path) -> None:
    with open_recorded(tmp_path, PROMPTS, SpeakerLabels(speaker="anna", language="en-GB"), list_language="en") as (corpus, _):
        assert corpus.labels.language == "en-GB"
    with open_recorded(tmp_path, PROMPTS, SpeakerLabels(speaker="anna"), list_language="en") as (corpus, _):
        assert corpus.labels.language == "en-GB"
    with open_recorded(tmp_path, PROMPTS, SpeakerLabels(speaker="ben"), list_language="en") as (corpus, _):
        assert corpus.labels.language == "en"


@pytest.mark.parametrize("seconds", ["1,0", "nan", "-3", "", "inf"])
def test_a_length_that_a_spreadsheet_spoiled_stops_nothing(seconds: str, tmp_path: Path) -> None:
    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, _):
        corpus.keep(PROMPTS[0], take(0))
        corpus.keep(PROMPTS[1], take(1))
    table = tmp_path / "metadata.csv"
    lines = table.read_text().splitlines()
    assert lines[1].endswith(",1.000")
    lines[1] = f'{lines[1].removesuffix("1.000")}"{seconds}"'
    table.write_text("\n".join(lines) + "\n")
    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, notes):
        assert (notes, corpus.seconds) == ([], 1.0)


def test_two_speakers_in_one_folder(tmp_path: Path) -> None:
    ben = SpeakerLabels(speaker="Ben Ó Broin", accent="irish")
    for labels in (ANNA, ben):
        with open_recorded(tmp_path, PROMPTS, labels) as (corpus, _):
            assert corpus.done == {}
            corpus.keep(PROMPTS[0], take(0))
    assert [(row["speaker"], row["accent"]) for row in rows_of(tmp_path)] == [("Ben Ó Broin", "irish"), ("anna", "scottish")]
    assert recordings(tmp_path) == [f"Ben___Broin-{PROMPTS[0].id}-1.flac", f"anna-{PROMPTS[0].id}-1.flac"]


def test_a_speaker_whose_labels_change_is_asked_about(tmp_path: Path) -> None:
    with open_recorded(tmp_path, PROMPTS, ANNA):
        pass
    other = SpeakerLabels(speaker="anna", accent="irish")
    with pytest.raises(MisuseError, match='accent of speaker "anna" was "scottish", now it is "irish"'), open_recorded(tmp_path, PROMPTS, other):
        pass
    more = SpeakerLabels(speaker="anna", age="30-39")
    with open_recorded(tmp_path, PROMPTS, more) as (corpus, _):
        assert (corpus.labels.accent, corpus.labels.age) == ("scottish", "30-39")


@pytest.mark.parametrize("bad", [{"speaker": " "}, {"speaker": "a\nb"}, {"speaker": "x" * 65}, {"speaker": "a", "accent": "\x1b[2J"}])
def test_labels_that_cannot_be(bad: dict[str, str]) -> None:
    with pytest.raises(MisuseError, match=r"--(speaker|accent)"):
        SpeakerLabels(**bad)


def test_consent_is_saved_with_its_text_and_the_last_answer_counts(tmp_path: Path) -> None:
    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, _):
        assert corpus.consent("I agree.") is None
        corpus.answer("I agree.", given=True)
        assert corpus.consent("I agree.") is not None
        assert corpus.consent("I agree to more.") is None
    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, _):
        assert corpus.consent("I agree.") is not None
        corpus.answer("I agree.", given=False)
        assert corpus.consent("I agree.") is None
    told = json.loads((tmp_path / "record.json").read_text())["consents"]
    assert [(one["speaker"], one["given"], one["text"]) for one in told] == [("anna", True, "I agree."), ("anna", False, "I agree.")]


def full_disk(monkeypatch: pytest.MonkeyPatch, *, suffix: str) -> None:
    whole = Path.write_bytes if suffix == ".flac" else Path.write_text

    def write(path: Path, data: bytes, *rest: object, **more: object) -> int:
        if suffix in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(path, data, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, whole.__name__, write)


@pytest.mark.parametrize("suffix", [".flac", ".csv"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, _):
        corpus.keep(PROMPTS[0], take(0))
        before = (tmp_path / "metadata.csv").read_bytes(), recordings(tmp_path)
        with monkeypatch.context() as patch:
            full_disk(patch, suffix=suffix)
            with pytest.raises(SpeechadaptError, match=r"could not be written \(No space left on device\)"):
                corpus.keep(PROMPTS[0], take(1))
        assert ((tmp_path / "metadata.csv").read_bytes(), recordings(tmp_path)) == before
        assert np.array_equal(soundfile.read(tmp_path / "audio" / before[1][0], dtype="int16")[0], take(0).samples)
        corpus.keep(PROMPTS[0], take(1))  # and once there is room, it goes on
    assert len(recordings(tmp_path)) == 1


def test_what_a_killed_program_was_writing_is_removed(tmp_path: Path) -> None:
    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, _):
        corpus.keep(PROMPTS[0], take(0))
    for name in ("audio/.anna-0123456789-1.flac.77.tmp", ".metadata.csv.77.tmp", ".record.json.77.tmp"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "audio" / "notes.tmp").write_text("mine")
    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, notes):
        assert notes == [f"{tmp_path}: 3 unfinished files of a recording that was broken off; they are removed."]
        assert len(corpus.done) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".record.lock", "audio", "metadata.csv", "record.json"]
    assert recordings(tmp_path) == [f"anna-{PROMPTS[0].id}-1.flac", "notes.tmp"]


def test_folders_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    def refusal(folder: Path) -> str:
        with pytest.raises((MisuseError, CorpusError)) as error, open_recorded(folder, PROMPTS, ANNA):
            pass
        return str(error.value)

    (tmp_path / "file").write_text("")
    assert "a file, expected a folder" in refusal(tmp_path / "file")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "metadata.csv").write_text("mine")
    assert "holds something else" in refusal(tmp_path / "other")
    assert (tmp_path / "other" / "metadata.csv").read_text() == "mine"
    for text in ('{"format": 2, "speakers": {}, "consents": []}', '{"format": 1, "speakers": [], "consents": []}', "{}"):
        (tmp_path / "strange").mkdir(exist_ok=True)
        (tmp_path / "strange" / "record.json").write_text(text)
        assert "not the record of a recorded corpus" in refusal(tmp_path / "strange")
    with open_recorded(tmp_path / "busy", PROMPTS, ANNA):
        assert "another speechadapt record is using it" in refusal(tmp_path / "busy")


def test_a_table_that_was_spoiled_is_not_written_over(tmp_path: Path) -> None:
    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, _):
        corpus.keep(PROMPTS[0], take(0))
    table = tmp_path / "metadata.csv"
    good = table.read_text()
    for bad, told in ((good.replace("prompt,", "promt,"), "no column prompt"), (good + "x,y\n", "line 3 has 2 values")):
        table.write_text(bad)
        with pytest.raises(CorpusError, match=told), open_recorded(tmp_path, PROMPTS, ANNA):
            pass
        assert table.read_text() == bad


def test_own_columns_stay_and_lost_recordings_are_told(tmp_path: Path) -> None:
    def keep(corpus: RecordedCorpus, place: int) -> None:
        corpus.keep(PROMPTS[place], take(place))

    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, _):
        keep(corpus, 0)
        keep(corpus, 1)
    table = tmp_path / "metadata.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0] + ",room", lines[1] + ",kitchen", lines[2] + ",bath"]) + "\n")
    (tmp_path / rows_of(tmp_path)[1]["audio_filepath"]).unlink()
    (tmp_path / "audio" / "loose.flac").write_bytes(b"")
    with open_recorded(tmp_path, PROMPTS, ANNA) as (corpus, notes):
        assert ["1 rows name a recording that is not there" in notes[0], "1 recordings are in no row" in notes[1]] == [True, True]
        keep(corpus, 2)
    assert [row["room"] for row in rows_of(tmp_path)] == ["kitchen", ""]


def test_a_path_in_the_table_cannot_lead_out(tmp_path: Path) -> None:
    out = tmp_path / "me"
    (tmp_path / "secret.flac").write_bytes(b"secret")
    with open_recorded(out, PROMPTS, ANNA) as (corpus, _):
        corpus.keep(PROMPTS[0], take(0))
    table = out / "metadata.csv"
    table.write_text(table.read_text().replace(rows_of(out)[0]["audio_filepath"], "../secret.flac"))
    with open_recorded(out, PROMPTS, ANNA) as (corpus, notes):
        assert "1 rows name a recording that is not there" in notes[0]
        assert corpus.audio(PROMPTS[0]) is None
        corpus.keep(PROMPTS[0], take(0))
    assert (tmp_path / "secret.flac").read_bytes() == b"secret"
