"""Lists of prompts: what is read, what is refused, and how they are divided."""

from pathlib import Path

import pytest

from speechadapt.errors import MisuseError
from speechadapt.serve.prompts import LONGEST_PROMPT, Prompt, divide, read_prompts, shipped_lists


def written(folder: Path, text: str | bytes) -> str:
    path = folder / "prompts.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_one_prompt_a_line_with_ids_of_the_sentence(tmp_path: Path) -> None:
    first = read_prompts(written(tmp_path, "\ufeffOne two.\r\n\r\n  Three   four!  \nFive six?\n"))
    assert [(one.text, one.split) for one in first.prompts] == [("One two.", "train"), ("Three four!", "test"), ("Five six?", "dev")]
    assert first.name == "prompts.txt"
    assert first.notes == ()
    again = read_prompts(written(tmp_path, "Zero.\nfive SIX\nOne two.\n"))
    assert again.prompts[1].id == first.prompts[2].id
    assert again.prompts[2] == Prompt(id=first.prompts[0].id, text="One two.", split="dev")


def test_what_is_left_out_or_changed_is_counted(tmp_path: Path) -> None:
    found = read_prompts(written(tmp_path, "One two.\none, TWO\n...\nright\u202e to\u202c left\nمی\u200cخواهم بروم\n"))
    assert [one.text for one in found.prompts] == ["One two.", "right to left", "می\u200cخواهم بروم"]
    assert [note.partition(": ")[2] for note in found.notes] == [
        "1 line: no words in it",
        "1 line: the same sentence as an earlier line",
        "1 line: invisible characters taken out",
    ]


@pytest.mark.parametrize(("test_share", "dev_share", "count"), [(0.2, 0.1, 100), (0.1, 0.1, 40), (0.5, 0.3, 10), (0.3, 0.0, 20)])
def test_parts_come_as_often_as_their_shares_say(test_share: float, dev_share: float, count: int) -> None:
    places = divide(count, test_share=test_share, dev_share=dev_share)
    assert abs(places.count("test") - count * test_share) <= 1
    assert abs(places.count("dev") - count * dev_share) <= 1
    for length in range(3, count):  # whoever stops early has all parts, in their shares
        assert divide(length, test_share=test_share, dev_share=dev_share) == places[:length]
        assert abs(places[:length].count("test") - length * test_share) < 1.01
        assert places[:length].count("train") >= 1


def test_three_prompts_have_all_three_parts() -> None:
    assert divide(3, test_share=0.2, dev_share=0.1) == ["train", "test", "dev"]
    assert divide(3, test_share=0.05, dev_share=0.05) == ["train", "test", "dev"]
    assert divide(4, test_share=0.0, dev_share=0.0) == ["train"] * 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "no prompt in it"),
        (b"\n \n\t\n", "no prompt in it"),
        ("Füße\n".encode("latin-1"), r"not UTF-8 text \(byte 1\)"),
        (b"word " * LONGEST_PROMPT, "line 1: 1999 characters, a prompt has at most 400"),
        (b"a\n" * (5 << 20), "10 MiB, a list of prompts has at most 8 MiB"),
        (b"".join(b"sentence %d\n" % number for number in range(10_001)), "more than 10000 prompts"),
    ],
    ids=["empty", "blank", "latin-1", "long line", "large file", "many"],
)
def test_a_bad_list_is_refused(tmp_path: Path, text: bytes, told: str) -> None:
    with pytest.raises(MisuseError, match=told):
        read_prompts(written(tmp_path, text))


@pytest.mark.parametrize("name", ["nothing.txt", "bad\0name", "."])
def test_a_list_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MisuseError, match=r"no such list of prompts .* or one of: english\.|a folder, expected a text file"):
        read_prompts(name)


@pytest.mark.parametrize(("test_share", "dev_share"), [(-0.1, 0.1), (0.5, 0.5), (float("nan"), 0.1), (0.9, 0.0)])
def test_shares_that_cannot_be(test_share: float, dev_share: float) -> None:
    with pytest.raises(MisuseError, match=r"must be 0 or more, and both shares together at most 0\.8"):
        read_prompts("english", test_share=test_share, dev_share=dev_share)


def test_the_shipped_english_list() -> None:
    assert shipped_lists() == ["english"]
    found = read_prompts("english")
    assert (found.name, len(found.prompts), found.notes) == ("english", 100, ())
    splits = [one.split for one in found.prompts]
    assert (splits.count("train"), splits.count("dev"), splits.count("test")) == (70, 10, 20)
    assert all(one.text.isascii() and 5 <= len(one.text.split()) <= 16 for one in found.prompts)


def test_a_file_of_that_name_comes_before_the_shipped_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "english").write_text("Only this one.\n")
    assert [one.text for one in read_prompts("english").prompts] == ["Only this one."]


@pytest.mark.slow
def test_the_english_list_holds_every_sound_of_the_language() -> None:
    """By the pronouncing lexicon of the synthetic voice: each phoneme that its own sentences have, at least three times."""
    pytest.importorskip("hibari", reason="the synthetic voice is not installed")
    from speechadapt.synthetic.voice import load_voice

    voice = load_voice()
    said = "".join(voice.phonemes(one.text) for one in read_prompts("english").prompts)
    wanted = "pbtdkɡfvθðszʃʒhmnŋlɹwjʧʤiɪɛæʌəɑɔʊu"
    assert {sound: said.count(sound) for sound in wanted if said.count(sound) < 3} == {}
