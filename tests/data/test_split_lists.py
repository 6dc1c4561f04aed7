"""Split lists: what is written is read back, and what does not fit the corpus is counted or refused with its place."""

import json
from pathlib import Path

import pytest

from speechadapt.data.manifest import Manifest
from speechadapt.data.split_lists import apply_lists, compare_with_lists, has_lists, make_lists, read_lists, remove_lists, write_lists
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError

IDS = ["c-1", " c-2", "c-#3", "c-4 ", "c-5é", "c-6"]


def manifest(*ids: str, name: str = "mine") -> Manifest:
    return Manifest((Utterance(id=key, audio_filepath=f"{key}.flac", duration=1.0, text=key) for key in ids), folder=Path(), name=name)


def parts() -> dict[str, Manifest]:
    return {"train": manifest(*IDS[:3]), "dev": manifest(IDS[3]), "test": manifest(*IDS[4:])}


def test_lists_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_lists(tmp_path / "splits", make_lists(parts(), about={"rule": "speaker", "seed": 3}))
    assert (tmp_path / "splits/test.txt").read_text(encoding="utf-8") == "c-5é\nc-6\n"
    about = json.loads((tmp_path / "splits/split.json").read_text())
    assert (about["rule"], about["seed"], about["counts"]) == ("speaker", 3, {"train": 3, "dev": 1, "test": 2})
    assert about["fingerprints"]["dev"] == parts()["dev"].fingerprint
    lists = read_lists(tmp_path / "splits")
    assert lists.ids == {"train": tuple(IDS[:3]), "dev": (IDS[3],), "test": tuple(IDS[4:])}
    assert lists.rule == "speaker, seed 3"
    split, unknown = apply_lists(manifest(*reversed(IDS)), lists)
    assert {name: {u.id for u in part} for name, part in split.parts.items()} == {name: set(ids) for name, ids in lists.ids.items()}
    assert {u.split for u in split.test} == {"test"}
    assert (unknown, split.left_out) == ({}, {})
    assert split.notes == (f"divided by the lists in {tmp_path / 'splits'} (speaker, seed 3)",)
    assert compare_with_lists(split.parts, lists) == "ids, times and texts of every part are those the lists were made of"


def test_a_part_that_is_gone_takes_its_list_with_it(tmp_path: Path) -> None:
    write_lists(tmp_path / "splits", make_lists(parts(), about={}))
    write_lists(tmp_path / "splits", make_lists({"test": manifest("c-1")}, about={}))
    assert sorted(path.name for path in (tmp_path / "splits").iterdir()) == ["split.json", "test.txt"]
    remove_lists(tmp_path / "splits")
    assert not (tmp_path / "splits").exists()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/notes.md").write_text("mine")
    remove_lists(tmp_path / "kept")
    assert (tmp_path / "kept/notes.md").is_file()


def test_what_the_lists_and_the_corpus_do_not_share_is_counted(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(b"\xef\xbb\xbfc-1\r\n\r\nc-1\r\nc-8\r\nc-9\r\n")  # of a Windows editor, one id twice
    (tmp_path / "test.txt").write_text("c-2")
    split, unknown = apply_lists(manifest("c-1", "c-2", "c-3", "c-4"), read_lists(tmp_path))
    assert {name: [u.id for u in part] for name, part in split.parts.items()} == {"train": ["c-1"], "test": ["c-2"]}
    assert unknown == {"train": ("c-8", "c-9")}
    assert split.left_out == {"not-listed": ("c-3", "c-4")}
    assert split.notes == (
        f"divided by the lists in {tmp_path}",
        f'{tmp_path / "train"}.txt: 2 of 3 ids are not in the corpus: "c-8", "c-9"',
        '2 of 4 rows are in no list and left out: "c-3", "c-4"',
    )


def test_other_texts_under_the_same_ids_are_noticed(tmp_path: Path) -> None:
    lists = make_lists(parts(), about={})
    other = {**parts(), "dev": Manifest([Utterance(id=IDS[3], audio_filepath="a", duration=1.0, text="other")], folder=Path(), name="dev")}
    told = "dev: ids, times or texts differ from those the lists were made of, so scores must not be put side by side"
    assert compare_with_lists(other, lists) == told
    assert compare_with_lists({name: part for name, part in parts().items() if name != "dev"}, lists) == told
    (tmp_path / "test.txt").write_text("c-1\n")
    assert compare_with_lists(parts(), read_lists(tmp_path)) == ""  # lists of others say nothing of their texts


def test_an_id_in_two_parts_is_refused_with_both_files(tmp_path: Path) -> None:
    write_lists(tmp_path, make_lists(parts(), about={}))
    (tmp_path / "dev.txt").write_text("c-4 \nc-1\n")
    with pytest.raises(ManifestError, match=r'id "c-1": stands in .*/train\.txt and in .*/dev\.txt, must be in one part only\. Remove it from one'):
        read_lists(tmp_path)


def test_lists_of_another_corpus_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("1089-134686-0000\n")
    with pytest.raises(
        ManifestError, match=r'none of the 1 listed ids is in "mine"; the first is "1089-134686-0000", those of the corpus look like "c-1"'
    ):
        apply_lists(manifest("c-1"), read_lists(tmp_path))
    (tmp_path / "train.txt").write_text("\n")
    with pytest.raises(ManifestError, match=r'none of the 0 listed ids is in "mine"; they are empty'):
        apply_lists(manifest("c-1"), read_lists(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"c-1\n\xff\n", r"train\.txt: not UTF-8 text \(byte 4\)"),
        (b"c-1\n" + b"x" * 513 + b"\n", r"train\.txt, line 2: 513 characters, an id has at most 512 printable ones"),
        (b"c-1\tc-2\n", r"train\.txt, line 1: 7 characters"),
        (b"c-1\x00\n", r"train\.txt, line 1: 4 characters"),
    ],
)
def test_files_that_are_no_lists(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "train.txt").write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_lists(tmp_path)


def test_a_folder_without_lists(tmp_path: Path) -> None:
    assert not has_lists(tmp_path)
    with pytest.raises(ManifestError, match=r"holds none of train\.txt, dev\.txt, test\.txt"):
        read_lists(tmp_path)
