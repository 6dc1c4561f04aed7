"""Lhotse manifests: written by the real lhotse, read without it; commands that are never run, channels, changed and mixed sounds."""

import contextlib
import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fuzzing import fuzz, places, spoil
from hypothesis import given
from hypothesis import strategies as st
from reruns import assert_reruns_change_nothing

from speechadapt.audio.waveform import read_info, read_waveform
from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import PrepareOptions, PrepReport

lhotse = pytest.importorskip("lhotse", reason="lhotse writes what is read here")
script: Any = load_bundled("data_prep", "lhotse")
RATE = 16_000


def prepare(source: Path, out: Path, values: dict[str, Any] | None = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(**(values or {})))
    return report


@pytest.fixture
def root(tmp_path: Path, write_tone: Any, tone: Any) -> Path:
    """A recording of one utterance, one of two with a pause, and a call with a speaker in each channel."""
    folder = tmp_path / "corpus"
    write_tone(folder / "audio/whole.wav", 1.0, seed=1)
    samples = (np.arange(5 * RATE) % 60_000 - 30_000).astype(np.int16)
    soundfile.write(folder / "audio/talk.wav", samples, RATE, subtype="PCM_16")
    soundfile.write(folder / "audio/call.wav", np.stack([tone(3.0, seed=5), tone(3.0, seed=6)], axis=1), RATE)
    return folder


def recordings(root: Path) -> Any:
    return lhotse.RecordingSet.from_recordings(lhotse.Recording.from_file(root / f"audio/{name}.wav") for name in ("whole", "talk", "call"))


def supervisions() -> Any:
    make = lhotse.SupervisionSegment
    return lhotse.SupervisionSet.from_segments(
        [
            make(
                id="s1", recording_id="whole", start=0.0, duration=1.0, text="Hello there", language="en", speaker="p1", gender="Female",
                custom={"accent": "Scottish English", "age": "34", "take": 3, "words": ["a"], "note": ""},
            ),
            make(id="s2", recording_id="talk", start=0.5, duration=1.25, text="first part", language="English", speaker="p2"),
            make(id="s3", recording_id="talk", start=2.0, duration=1.0, text="NA", speaker="p2"),
            make(id="s4", recording_id="call", start=0.25, duration=1.0, channel=1, text="from the other side", speaker="p3"),
            make(id="s5", recording_id="call", start=1.5, duration=1.0, channel=[0, 1], text="both at once"),
        ]
    )  # fmt: skip


@pytest.fixture
def pair(root: Path) -> Path:
    recordings(root).with_path_prefix("").to_file(root / "mine_recordings_all.jsonl.gz")
    supervisions().to_file(root / "mine_supervisions_all.jsonl.gz")
    return root


def cuts(root: Path) -> Any:
    return lhotse.CutSet.from_manifests(recordings=recordings(root), supervisions=supervisions()).to_eager()


def test_supervisions_become_utterances_with_everything_they_say(pair: Path, tmp_path: Path) -> None:
    report = prepare(pair, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped) == (5, 5, {})
    assert report.repairs == {"language is no tag such as en, left empty (name it with --set language=en)": 1}
    whole, first, second, side, both = Manifest.read(tmp_path / "out/all.jsonl")
    assert (whole.id, whole.text, whole.text_raw, whole.duration) == ("lhotse-s1", "Hello there", "Hello there", 1.0)
    assert (whole.speaker, whole.gender, whole.age, whole.language) == ("lhotse:p1", "female", "34", "en")
    assert (whole.accent, whole.accent_raw, whole.recording, whole.split) == ("en_scotland", "Scottish English", None, None)
    assert whole.meta == {"take": 3}
    assert (first.duration, first.recording, first.language, second.text) == (1.25, "lhotse:talk", None, "NA")
    read = {u.id: read_waveform(tmp_path / "out" / u.audio_filepath) for u in (first, side, both)}
    np.testing.assert_array_equal(read[first.id], read_waveform(pair / "audio/talk.wav", offset=0.5, duration=1.25))
    np.testing.assert_allclose(read[side.id], read_waveform(pair / "audio/call.wav", offset=0.25, duration=1.0, channel=1), atol=1e-4)
    np.testing.assert_allclose(read[both.id], read_waveform(pair / "audio/call.wav", offset=1.5, duration=1.0), atol=1e-4)
    info = read_info(tmp_path / "out" / whole.audio_filepath)
    assert (info.sampling_rate, info.channels, info.format) == (16_000, 1, "FLAC")


def test_cuts_give_the_same_rows_wherever_they_begin(pair: Path, tmp_path: Path) -> None:
    prepare(pair, tmp_path / "pair")
    expected = {u.id: (u.text, u.duration, u.speaker) for u in Manifest.read(tmp_path / "pair/all.jsonl")}
    for name, made in (("whole", cuts(pair)), ("trimmed", cuts(pair).trim_to_supervisions(keep_overlapping=False))):
        folder = tmp_path / name
        folder.mkdir()
        made.to_eager().to_file(folder / "mine_cuts_all.jsonl.gz")
        report = prepare(folder, folder / "out", {"audio_root": pair})
        assert report.dropped == {}
        rows = Manifest.read(folder / "out/all.jsonl")
        assert {u.id: (u.text, u.duration, u.speaker) for u in rows} == expected
        for u in rows:
            assert (folder / "out" / u.audio_filepath).read_bytes() == (tmp_path / "pair" / u.audio_filepath).read_bytes()


def test_names_of_manifests_tell_the_splits(root: Path, tmp_path: Path) -> None:
    for number, part in enumerate(("train-clean-5", "dev", "test")):
        chosen = supervisions().subset(first=3).to_eager()
        one = lhotse.SupervisionSet.from_segments([list(chosen)[number]])
        recordings(root).to_file(root / f"mine_recordings_{part}.jsonl")
        one.to_file(root / f"mine_supervisions_{part}.jsonl")
    cuts(root).to_file(root / "mine_cuts_train.jsonl")  # what supervisions say already
    report = prepare(root, tmp_path / "out")
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 1, "dev": 1, "test": 1}
    assert report.rows_read == 3
    assert prepare(root / "mine_cuts_train.jsonl", tmp_path / "out2").rows_read == 5


def test_commands_and_addresses_are_refused_and_never_run(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = lhotse.audio.AudioSource
    make = {"command": "touch pwned", "url": "https://example.org/a.wav", "memory": "UklGRg=="}
    odd = [lhotse.Recording(id=kind, sources=[source(type=kind, channels=[0], source=value)], sampling_rate=RATE, num_samples=RATE, duration=1.0)
           for kind, value in make.items()]  # fmt: skip
    said = [lhotse.SupervisionSegment(id=f"x-{kind}", recording_id=kind, start=0, duration=1.0, text="x") for kind in make]
    lhotse.RecordingSet.from_recordings([*recordings(root), *odd]).to_file(root / "recordings.jsonl")
    lhotse.SupervisionSet.from_segments([*supervisions(), *said]).to_file(root / "supervisions.jsonl")
    report = prepare(root, tmp_path / "out")
    assert report.dropped == {"not-a-file": 2, "pipe": 1}
    assert report.rows_read == report.kept + 3 == 8
    assert report.dropped_examples["pipe"][0].startswith(
        'row "x-command" (supervisions.jsonl, line 6): "touch pwned" is a shell command, and commands in a corpus are never executed.'
    )
    assert not list(tmp_path.rglob("pwned"))


def test_changed_and_mixed_sounds_are_refused_and_resampled_ones_read(root: Path, tmp_path: Path) -> None:
    whole, talk, _ = cuts(root)
    made = [
        talk.resample(8000), whole.pad(3.0), whole.mix(talk, snr=10), talk.perturb_speed(1.1), whole.perturb_volume(2.0), whole.drop_supervisions(),
    ]  # fmt: skip
    lhotse.CutSet.from_cuts(cut.with_id(f"c{number}") for number, cut in enumerate(made)).to_file(root / "cuts.jsonl")
    with (root / "cuts.jsonl").open("a") as file:
        file.write(json.dumps({**whole.to_dict(), "id": "features", "recording": None}) + "\n")
    report = prepare(root, tmp_path / "out")
    assert report.dropped == {"changed-recording": 3, "mixed-cut": 2, "no-recording": 1, "no-supervision": 1}
    assert (report.rows_read, report.kept) == (9, 2)
    assert [u.id for u in Manifest.read(tmp_path / "out/all.jsonl")] == ["lhotse-s2", "lhotse-s3"]
    assert "its recording is changed while it is read (Speed)" in report.dropped_examples["changed-recording"][0]


def lines(root: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return [json.loads(json.dumps(one.to_dict())) for one in recordings(root)], [json.loads(json.dumps(one.to_dict())) for one in supervisions()]


def write_pair(root: Path, kept: list[dict[str, Any]], said: list[Any]) -> None:
    (root / "recordings.jsonl").write_text("".join(json.dumps(one) + "\n" for one in kept))
    (root / "supervisions.jsonl").write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in said))


def test_losses_are_counted_by_reason(root: Path, tmp_path: Path) -> None:
    kept, said = lines(root)
    first = said[1]
    said += [
        {**first, "id": "n1", "text": None}, {**first, "id": "n2", "recording_id": "nobody"}, {**first, "id": "n3", "start": -1.0},
        {**first, "id": "n4", "duration": 0}, {**first, "id": "n5", "duration": "long"}, {**first, "id": "n6", "start": 9.0},
        {**first, "id": "n7", "start": 4.0, "duration": 1.3}, {**first, "id": "n8", "channel": 4}, first, "{", '"text"',
        {**said[3], "id": "n9", "channel": 7},
    ]  # fmt: skip
    write_pair(root, [*kept, {"id": "bare"}], [*said, {**first, "id": "n10", "recording_id": "bare"}])
    report = prepare(root, tmp_path / "out")
    assert report.dropped == {"broken-line": 2, "duplicate-id": 1, "empty-text": 1, "not-in-recordings": 1, "out-of-range": 7}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 18
    assert report.repairs["segment end beyond its recording, shortened"] == 1


def test_files_of_several_channels(root: Path, tmp_path: Path, write_tone: Any) -> None:
    kept, said = lines(root)
    write_tone(root / "audio/left.wav", 1.0, seed=8)
    two = {
        "id": "two",
        "duration": 1.0,
        "sources": [{"type": "file", "channels": [n], "source": name} for n, name in enumerate(("audio/left.wav", "audio/whole.wav"))],
    }
    three = {"id": "three", "duration": 3.0, "sources": [{"type": "file", "channels": [0, 1, 2], "source": "audio/call.wav"}]}
    base = {"start": 0.0, "duration": 1.0, "text": "x"}
    said = [
        {**base, "id": "a", "recording_id": "two", "channel": 1}, {**base, "id": "b", "recording_id": "two", "channel": [0, 1]},
        {**base, "id": "c", "recording_id": "three", "channel": [0, 1]}, {**base, "id": "d", "recording_id": "three", "channel": 2},
    ]  # fmt: skip
    write_pair(root, [*kept, two, three], said)
    report = prepare(root, tmp_path / "out")
    assert report.dropped == {"out-of-range": 1, "several-channels": 1, "several-files": 1}
    assert "has 2 channels, so none is number 2 from 0" in report.dropped_examples["out-of-range"][0]
    (u,) = Manifest.read(tmp_path / "out/all.jsonl")
    np.testing.assert_array_equal(read_waveform(tmp_path / "out" / u.audio_filepath), read_waveform(root / "audio/whole.wav"))
    kept, said = lines(root)
    write_pair(root, kept, said)
    with pytest.raises(MisuseError, match="--in-place: some recordings hold a speaker in each channel"):
        prepare(root, tmp_path / "out2", in_place=True)


def test_paths_stay_in_their_folder_unless_another_is_trusted(root: Path, tmp_path: Path, write_tone: Any) -> None:
    secret = write_tone(tmp_path / "secret.wav", 1.0, seed=9)
    kept, said = lines(root)
    for number, path in enumerate((str(secret), "../secret.wav", "/etc/hostname", "audio/gone.wav", "audio/whole.wav")):
        kept.append({"id": f"r{number}", "duration": 1.0, "sources": [{"type": "file", "channels": [0], "source": path}]})
        said.append({"id": f"t{number}", "recording_id": f"r{number}", "start": 0, "duration": 1.0, "channel": 0, "text": "x"})
    write_pair(root, kept, said)
    report = prepare(root, tmp_path / "out")
    assert report.dropped == {"missing": 1, "outside-corpus": 3}
    trusted = prepare(root, tmp_path / "out2", {"audio_root": tmp_path})
    assert trusted.dropped == {"missing": 2, "outside-corpus": 2}


def test_folders_without_manifests_are_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no Lhotse manifests; looked for supervisions and cuts in names that end in .*found: audio\."):
        prepare(root, tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such file or folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    supervisions().to_file(root / "mine_supervisions_all.jsonl")
    with pytest.raises(CorpusError, match=r"mine_supervisions_all\.jsonl: no mine_recordings_all\.jsonl beside it"):
        prepare(root, tmp_path / "out")
    (root / "mine_supervisions_all.jsonl").unlink()
    (root / "cuts.jsonl").write_text("[]")
    with pytest.raises(CorpusError, match=r"cuts\.jsonl: one JSON list, expected one JSON object per line"):
        prepare(root, tmp_path / "out")


def test_again_and_after_an_interruption_the_same_bytes(pair: Path, tmp_path: Path) -> None:
    report = assert_reruns_change_nothing(lambda out: prepare(pair, out, {"name": "mine", "language": "en"}), tmp_path / "out")
    assert report.kept == 5


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.lists(st.integers(0, 2), max_size=2), st.just({"a": 1})
)


def test_a_cut_that_cannot_be_read_costs_every_supervision_in_it(root: Path, tmp_path: Path) -> None:
    made = [json.loads(json.dumps(cut.to_dict())) for cut in cuts(root)]
    two = next(cut for cut in made if len(cut["supervisions"]) == 2)
    two["recording"] = None
    del two["supervisions"][1]["id"]
    made[0]["supervisions"].append("not an object")
    (root / "cuts.jsonl").write_text("\n".join(map(json.dumps, made)))
    report = prepare(root, tmp_path / "out")
    first, second = (message.split('"')[1] for message in report.dropped_examples["no-recording"])
    assert (first, second) == (two["supervisions"][0]["id"], f"{two['id']}-1")
    assert (report.rows_read, report.kept, report.dropped) == (6, 3, {"no-recording": 2, "out-of-range": 1})


def test_a_recording_that_stands_twice_is_told(root: Path, tmp_path: Path) -> None:
    kept, said = lines(root)
    write_pair(root, [*kept, {**kept[0], "sources": []}], said)
    report = prepare(root, tmp_path / "out")
    assert (report.rows_read, report.kept) == (5, 5)
    assert report.repairs["recording stands twice, the first line is kept"] == 1


def objects_in(data: bytes) -> list[Any]:
    """What each line that is not blank holds, None for a line that is no JSON object, or holds half a character."""
    found: list[Any] = []
    for line in re.split("\r\n|\r|\n", data.decode("utf-8-sig")):
        one = None
        if line.strip():
            with contextlib.suppress(ValueError):
                read = json.loads(line)
                json.dumps(read, ensure_ascii=False).encode()
                one = read if isinstance(read, dict) else None
            found.append(one)
    return found


def spoil_values(data: st.DataObject, lines: list[Any]) -> None:
    """Put odd values into some fields, at any depth."""
    for _ in range(data.draw(st.integers(0, 3))):
        target = lines[data.draw(st.integers(0, len(lines) - 1))]
        while nested := [one for one in target.values() if isinstance(one, dict) or (isinstance(one, list) and one and isinstance(one[0], dict))]:
            if data.draw(st.booleans()):
                break
            chosen = nested[data.draw(st.integers(0, len(nested) - 1))]
            if isinstance(chosen, list) and data.draw(st.booleans()):
                chosen.append(copy.deepcopy(data.draw(values)))
            target = chosen if isinstance(chosen, dict) else chosen[0]
        if target:
            target[data.draw(st.sampled_from(sorted(target)))] = copy.deepcopy(data.draw(values))  # of what is drawn, parts may be changed next


@fuzz()
@given(st.data())
def test_no_line_of_a_spoilt_manifest_is_lost(root: Path, tmp_path: Path, data: st.DataObject) -> None:
    known = root / "known.json"
    if not known.exists():
        made = {"cuts": cuts(root), "recordings": recordings(root), "supervisions": supervisions()}
        known.write_text(json.dumps({name: [one.to_dict() for one in manifest] for name, manifest in made.items()}))
        for form in ("cuts", "recordings"):
            (root / form).mkdir()
        for name, folder in {"cuts": "cuts", "recordings": "recordings", "supervisions": "recordings"}.items():
            (root / folder / f"good_{name}_test.jsonl").write_text(json.dumps(json.loads(known.read_text())[name][0]))
    kept = json.loads(known.read_text())
    names = data.draw(st.sampled_from([["cuts"], ["supervisions", "recordings"]]))
    folder, spoilt = root / names[-1], data.draw(st.sampled_from(names))
    spoil_values(data, kept[spoilt])
    written = {name: "\n".join(json.dumps(one) for one in kept[name]).encode() for name in names}
    written[spoilt] = spoil(written[spoilt], data.draw(st.just([]) | places))
    for name, content in written.items():
        (folder / f"bad_{name}_train.jsonl").write_bytes(content)
    try:
        found = {name: objects_in(content) for name, content in written.items()}
        refused = written[spoilt].decode("utf-8-sig").lstrip().startswith("[")
    except UnicodeDecodeError:
        refused = True
    if refused:
        with pytest.raises(CorpusError, match=rf"bad_{spoilt}_train\.jsonl: (byte \d+ is not UTF-8|one JSON list)"):
            prepare(folder, tmp_path / "out", {"audio_root": root}, dry_run=True, allow_missing=True)
        return
    rows = len(found[names[0]])
    if names == ["cuts"]:  # a row for every supervision; one for a line that holds none
        said = [one.get("supervisions") if one is not None else None for one in found["cuts"]]
        rows = sum(len(one) if isinstance(one, list) and one else 1 for one in said)
    else:
        rows += found["recordings"].count(None)
    report = prepare(folder, tmp_path / "out", {"audio_root": root}, dry_run=True, allow_missing=True)
    assert report.kept >= 1
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 1 + rows
    assert report.dropped.get("broken-line", 0) == sum(one.count(None) for one in found.values())
