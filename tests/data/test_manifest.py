"""Manifest: read, write, fingerprint, and where audio may lie."""

import json
from pathlib import Path

import pytest

from speechadapt.data.manifest import Manifest, join_manifests, stream_manifest
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError, SpeechadaptError


def utterance(number: int, **fields: object) -> Utterance:
    given = {"id": f"c-{number}", "audio_filepath": f"audio/{number}.flac", "duration": 1.5, "text": f"line {number}", **fields}
    return Utterance(**given)  # type: ignore[arg-type]


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_written_and_read_back_it_is_the_same(tmp_path: Path) -> None:
    manifest = Manifest([utterance(1, speaker="c:b", text="naïve – ‘quote’"), utterance(2, speaker="c:a")], folder=tmp_path, name="train")
    manifest.write(tmp_path / "train.jsonl")
    again = Manifest.read(tmp_path / "train.jsonl")
    assert list(again) == list(manifest)
    assert (again.name, again.folder, again.speakers) == ("train", tmp_path, ("c:a", "c:b"))
    assert again.hours == pytest.approx(3 / 3600)
    assert "naïve" in (tmp_path / "train.jsonl").read_text(encoding="utf-8")  # not escaped: people grep manifests


def test_byte_order_mark_and_blank_lines_are_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(utterance(1).to_json()).encode() + b"\r\n\r\n" + json.dumps(utterance(2).to_json()).encode())
    assert [u.id for u in stream_manifest(path)] == ["c-1", "c-2"]


def test_a_repeated_id_is_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r'manifest "train": 1 ids stand more than once, the first is "c-1"; ids must be unique'):
        Manifest([utterance(1), utterance(1)], folder=tmp_path, name="train")


def test_broken_lines_are_named_by_number(tmp_path: Path) -> None:
    good = json.dumps(utterance(1).to_json())
    with pytest.raises(ManifestError, match=r"^m.jsonl, line 2: not valid JSON \(.*, column 1\)\. Write one JSON object per line"):
        Manifest.read(write_lines(tmp_path / "m.jsonl", good, "oops"))
    with pytest.raises(ManifestError, match=r"^m.jsonl, line 1: a JSON array, expected JSON Lines"):
        Manifest.read(write_lines(tmp_path / "m.jsonl", f"[{good}]"))
    with pytest.raises(ManifestError, match=r'utterance "c-1" \(m.jsonl, line 3\): duration 0\.00 s'):
        Manifest.read(write_lines(tmp_path / "m.jsonl", json.dumps(utterance(2).to_json()), "", good.replace("1.5", "0")))


def test_missing_empty_and_foreign_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"none.jsonl: no such manifest"):
        Manifest.read(tmp_path / "none.jsonl")
    with pytest.raises(ManifestError, match=r"m.jsonl: no utterance in it"):
        Manifest.read(write_lines(tmp_path / "m.jsonl", ""))
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "caf\xe9"}\n')
    with pytest.raises(ManifestError, match=r"latin.jsonl: not UTF-8 text \(byte 11\)"):
        Manifest.read(tmp_path / "latin.jsonl")


def test_the_fingerprint_is_of_the_test_posed_not_of_the_file(tmp_path: Path) -> None:
    one = Manifest([utterance(1), utterance(2)], folder=tmp_path)
    assert one.fingerprint == Manifest([utterance(2, speaker="c:x"), utterance(1, audio_filepath="b.wav")], folder=Path("/elsewhere")).fingerprint
    for change in ({"text": "other"}, {"duration": 1.6}, {"offset": 0.5}, {"id": "c-9"}):
        assert one.fingerprint != Manifest([utterance(1, **change), utterance(2)], folder=tmp_path).fingerprint
    assert len(one.fingerprint) == 64


def test_filter_keeps_order_folder_and_name(tmp_path: Path) -> None:
    manifest = Manifest([utterance(n) for n in range(6)], folder=tmp_path, name="dev")
    kept = manifest.filter(lambda u: int(u.id[2:]) % 2 == 1)
    assert [u.id for u in kept] == ["c-1", "c-3", "c-5"]
    assert (kept.folder, kept.name) == (tmp_path, "dev")


def test_a_relative_path_may_not_leave_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    manifest = Manifest([utterance(1), utterance(2, audio_filepath="../secret.wav"), utterance(3, audio_filepath="a/../b.wav")], folder=folder)
    assert manifest.audio_path(manifest[0]) == (folder / "audio/1.flac").resolve()
    assert manifest.audio_path(manifest[2]) == (folder / "b.wav").resolve()
    with pytest.raises(ManifestError, match=r'utterance "c-2" \(manifest\): audio_filepath "\.\./secret\.wav" leaves the folder of its manifest'):
        manifest.audio_path(manifest[1])


def test_a_link_out_of_the_folder_leaves_it_too(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "audio").symlink_to(tmp_path / "outside")
    manifest = Manifest([utterance(1)], folder=tmp_path / "data")
    with pytest.raises(ManifestError, match=r"leaves the folder of its manifest"):
        manifest.audio_path(manifest[0])


def test_absolute_paths_need_a_listed_root(tmp_path: Path) -> None:
    sound = tmp_path / "corpus" / "a.wav"
    manifest = Manifest([utterance(1, audio_filepath=str(sound))], folder=tmp_path)
    with pytest.raises(
        ManifestError, match=r'is absolute and lies under none of the folders listed as "audio_roots" in .*corpus\.json \(none listed\)'
    ):
        manifest.audio_path(manifest[0])
    (tmp_path / "corpus.json").write_text(json.dumps({"audio_roots": [str(tmp_path / "corpus")]}))
    assert manifest.audio_path(manifest[0]) == sound
    (tmp_path / "corpus.json").write_text(json.dumps({"audio_roots": [str(tmp_path / "corp")]}))  # a prefix of the name is not a parent
    with pytest.raises(ManifestError, match=r"is absolute"):
        manifest.audio_path(manifest[0])


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ([], r"corpus\.json: list, expected one JSON object"),
        ({"audio_roots": "/"}, r'"audio_roots" must be a list of folders'),
        ({"audio_roots": [7]}, r'"audio_roots" must be'),
    ],
)
def test_roots_that_are_no_list_of_folders(tmp_path: Path, told: object, message: str) -> None:
    (tmp_path / "corpus.json").write_text(json.dumps(told))
    manifest = Manifest([utterance(1, audio_filepath="/a.wav")], folder=tmp_path)
    with pytest.raises(SpeechadaptError, match=message):
        manifest.audio_path(manifest[0])


def test_joined_manifests_find_their_audio_wherever_it_lies(tmp_path: Path) -> None:
    one = Manifest([utterance(1), utterance(2)], folder=tmp_path / "accent", name="train")
    other = Manifest([utterance(3, audio_filepath="3.flac")], folder=tmp_path / "more" / "standard", name="replay")
    joined = join_manifests([one, other], name="both")
    assert [u.id for u in joined] == ["c-1", "c-2", "c-3"]
    assert (joined.name, joined.folder) == ("both", tmp_path.resolve())
    assert [u.audio_filepath for u in joined] == ["accent/audio/1.flac", "accent/audio/2.flac", "more/standard/3.flac"]
    for manifest in (one, other):
        for u in manifest:
            assert joined.audio_path(next(row for row in joined if row.id == u.id)) == manifest.audio_path(u)


def test_joining_does_not_open_a_way_out_of_a_folder(tmp_path: Path) -> None:
    inside = Manifest([utterance(1)], folder=tmp_path / "mine", name="mine")
    for path, told in (("../secret.flac", "leaves the folder of its manifest"), ("/etc/passwd", "is absolute and lies under none")):
        stranger = Manifest([utterance(2, audio_filepath=path)], folder=tmp_path / "theirs", name="theirs")
        with pytest.raises(ManifestError, match=rf'utterance "c-2" \(theirs\): audio_filepath ".*" {told}'):
            join_manifests([inside, stranger], name="both")
    with pytest.raises(ManifestError, match=r'manifest "both": 1 ids stand more than once, the first is "c-1"'):
        join_manifests([inside, inside], name="both")
