"""L2-ARCTIC: folders, nested folders and zips of speakers, prompts that all of them read, and picture descriptions cut into phrases."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzz, places, spoil
from hypothesis import given
from hypothesis import strategies as st
from praat_files import long_textgrid, short_textgrid
from reruns import assert_reruns_change_nothing
from textgrid_rows import phrases, tiers_in

from speechadapt.bundled import load_bundled
from speechadapt.cli import main
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "l2_arctic")
PROMPTS = {
    "arctic_a0001": "Author of the danger trail, Philip Steels, etc.",
    "arctic_a0002": "Not at this particular case, Tom, apologized Whittemore.",
    "arctic_a0003": "For the twentieth time that evening the two men shook hands.",
    "arctic_b0012": "But I'm not, I thought.",
    "arctic_b0013": "He was worth nothing to the world.",
    "arctic_b0014": "Her face was against his breast.",
}
SUITCASE = [
    (0.0, 0.3, ""), (0.3, 0.6, "there"), (0.6, 0.9, "were"), (0.9, 1.1, "sil"), (1.1, 1.5, "two"), (1.5, 1.7, "<unk>"), (1.7, 2.0, "men"),
    (2.0, 2.6, ""), (2.6, 3.0, "they"), (3.0, 3.4, "bumped"), (3.4, 3.4, "ghost"),
]  # fmt: skip


def write_speaker(folder: Path, write_tone: Any, seed: int, without: tuple[str, ...] = ()) -> None:
    for number, (stem, text) in enumerate(PROMPTS.items()):
        if stem not in without:
            write_tone(folder / f"wav/{stem}.wav", 0.5, seed=100 * seed + number, sampling_rate=44_100)
            (folder / "transcript").mkdir(parents=True, exist_ok=True)
            (folder / f"transcript/{stem}.txt").write_text(text)
    (folder / "annotation").mkdir()
    (folder / "annotation/arctic_a0002.TextGrid").write_text(long_textgrid(("words", [(0, 0.5, "not")]), ("phones", [(0, 0.5, "CPL,PPL,s")])))
    (folder / "._wav").write_bytes(b"\x00")


def pack(folder: Path, top: str) -> None:
    """As the release holds them: ABA.zip with ABA/wav/... inside, and what a Mac adds."""
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as zipped:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                zipped.write(path, f"{top}{path.relative_to(folder)}")
        zipped.writestr(f"__MACOSX/{folder.name}/._wav", b"\x00")
        zipped.writestr("../outside.txt", b"no")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, write_tone: Any) -> Path:
    """Four speakers of Arabic and one of Hindi: three folders, one of them nested, two zips, and the picture description of one speaker."""
    root = tmp_path_factory.mktemp("l2") / "l2arctic_release_v5.0"
    write_speaker(root / "ABA", write_tone, 1, without=("arctic_b0013",))
    write_speaker(root / "SKA/SKA", write_tone, 2, without=("arctic_b0013", "arctic_a0003"))
    write_speaker(root / "YBAA", write_tone, 3)
    write_speaker(root / "ZHAA", write_tone, 4, without=("arctic_b0013",))
    write_speaker(root / "TNI", write_tone, 5, without=("arctic_b0013",))
    pack(root / "ZHAA", "ZHAA/")
    pack(root / "TNI", "")
    write_tone(root / "suitcase_corpus/wav/aba.wav", 3.4, seed=99, sampling_rate=44_100)
    (root / "suitcase_corpus/annotation").mkdir()
    (root / "suitcase_corpus/annotation/aba.TextGrid").write_text(short_textgrid(("phones", [(0.3, 0.6, "DH")]), ("words", SUITCASE)))
    (root / "suitcase_corpus/transcript").mkdir()
    (root / "suitcase_corpus/transcript/aba.txt").write_text("There were two men. They bumped.")
    for name in ("PROMPTS", "README.md", "LICENSE"):
        (root / name).write_text("...")
    return root


@pytest.fixture
def corpus(original: Path, tmp_path: Path) -> Path:
    """A copy to be broken."""
    return Path(shutil.copytree(original, tmp_path / "l2arctic_release_v5.0"))


def prepare(source: Path, out: Path, settings: Any = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), settings or script.Settings())
    return report


def read(out: Path) -> dict[str, Any]:
    return {u.id: u for path in sorted(out.glob("*.jsonl")) for u in Manifest.read(path)}


def test_the_table_is_that_of_the_readme() -> None:
    assert len(script.SPEAKERS) == 24
    assert sum(speaker.recordings for speaker in script.SPEAKERS.values()) == 26_867
    for l1 in ("Arabic", "Mandarin", "Hindi", "Korean", "Spanish", "Vietnamese"):
        assert sorted(speaker.sex for speaker in script.SPEAKERS.values() if speaker.l1 == l1) == ["F", "F", "M", "M"]
    split_of = script.read_splits(script.Settings())
    for split in ("dev", "test"):
        assert sorted(script.SPEAKERS[name].l1 for name, part in split_of.items() if part == split) == sorted(
            {speaker.l1 for speaker in script.SPEAKERS.values()}
        )


def test_rows_become_utterances_with_everything_the_corpus_says(original: Path, tmp_path: Path) -> None:
    report = prepare(original, tmp_path / "out")
    assert report.dropped == {"out-of-range": 1, "unintelligible": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 5 + 4 + 6 + 5 + 5 + 5
    rows = read(tmp_path / "out")
    assert rows["l2_arctic-ABA-arctic_a0002"].to_json() == {
        "audio_sha1": rows["l2_arctic-ABA-arctic_a0002"].audio_sha1,
        "accent": "en_l2_arabic", "accent_raw": "Arabic", "audio_filepath": "audio/l2_arctic-ABA-arctic_a0002.flac", "duration": 0.5,
        "gender": "male", "id": "l2_arctic-ABA-arctic_a0002", "l1": "arabic", "language": "en", "speaker": "l2_arctic:ABA", "split": "train",
        "meta": {"style": "read", "prompt": "arctic_a0002", "annotated": True},
        "text": "Not at this particular case, Tom, apologized Whittemore.", "text_raw": "Not at this particular case, Tom, apologized Whittemore.",
    }  # fmt: skip
    assert (rows["l2_arctic-TNI-arctic_a0001"].gender, rows["l2_arctic-TNI-arctic_a0001"].accent) == ("female", "en_l2_hindi")
    assert "annotated" not in rows["l2_arctic-ABA-arctic_a0001"].meta
    assert rows["l2_arctic-SKA-arctic_b0014"].speaker == "l2_arctic:SKA"  # nested folders
    assert not [key for key in rows if "b0013" in key and "YBAA" not in key]
    assert report.facts == {
        "fewer_recordings_than_published": {"ABA": "5 of 1129", "SKA": "4 of 974", "YBAA": "6 of 1130", "ZHAA": "5 of 1132", "TNI": "5 of 1131"}
    }
    about = json.loads((tmp_path / "out/corpus.json").read_text())
    assert (about["license"], about["commercial_use"]) == ("CC BY-NC 4.0", "no")


def test_the_picture_description_is_cut_at_pauses_and_unclear_words(original: Path, tmp_path: Path) -> None:
    report = prepare(original, tmp_path / "out")
    rows = {key.rpartition("-")[2]: u for key, u in read(tmp_path / "out").items() if "suitcase" in key}
    assert {key: (u.text, u.text_raw, u.duration) for key, u in rows.items()} == {
        "000300": ("There were two.", "there were two", 1.2),
        "001700": ("Men.", "men", 0.3),
        "002600": ("They bumped.", "they bumped", 0.8),
    }
    u = rows["000300"]
    assert (u.speaker, u.gender, u.l1, u.accent, u.recording, u.split) == (
        "l2_arctic:ABA", "male", "arabic", "en_l2_arabic", "l2_arctic:ABA-suitcase", "train",
    )  # fmt: skip
    assert u.meta == {"style": "spontaneous"}
    assert report.dropped_examples["unintelligible"][0].startswith(
        'row "aba-suitcase-001500" (aba.wav, tier "words", 1.50 s to 1.70 s): holds "<unk>"'
    )
    assert prepare(original, tmp_path / "read", script.Settings(suitcase=False)).rows_read == 25


def test_zips_are_unpacked_once_and_without_what_leaves_the_folder(original: Path, tmp_path: Path) -> None:
    report = prepare(original, tmp_path / "out")
    assert report.repairs["archive member refused: its name leaves the folder"] == 2
    assert report.repairs["archive member left out: junk of an operating system"] == 4  # of __MACOSX, and what lay in the folder
    assert not list(tmp_path.rglob("outside.txt"))
    assert (tmp_path / "out/unpacked/ZHAA/ZHAA/wav/arctic_a0001.wav").is_file()
    assert (tmp_path / "out/unpacked/TNI/wav/arctic_a0001.wav").is_file()
    assert prepare(original, tmp_path / "out").repairs["archive unpacked by an earlier run, kept"] == 2
    assert sorted(path.name for path in original.iterdir() if path.is_dir()) == ["ABA", "SKA", "YBAA", "suitcase_corpus"]


def test_a_dry_run_does_not_unpack(original: Path, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"(TNI|ZHAA)\.zip: is packed, and --dry-run writes nothing\. Unpack it yourself"):
        prepare(original, tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    prepare(original, tmp_path / "out")
    assert prepare(original, tmp_path / "out", dry_run=True).kept == 28


def test_splits_by_convention_share_every_sentence_and_say_so(original: Path, tmp_path: Path) -> None:
    report = prepare(original, tmp_path / "out")
    assert {name: Manifest.read(tmp_path / f"out/{name}.jsonl").speakers for name in ("train", "dev", "test")} == {
        "train": ("l2_arctic:ABA", "l2_arctic:SKA"), "dev": ("l2_arctic:YBAA",), "test": ("l2_arctic:TNI", "l2_arctic:ZHAA"),
    }  # fmt: skip
    shared = report.overlap["train-test"]
    assert (shared["speakers"], shared["sentences"], shared["test_rows_with_shared_sentence"], shared["audio"]) == (0, 5, 10, 0)
    assert report.notes == (
        "the corpus names no splits; dev: MBMPS, THV, SVBI, NCC, YDCK, YBAA; test: NJS, TLV, TNI, TXHC, YKWK, ZHAA; train: the others",
        "5 of 6 sentences read in dev (83%) are also read in train. "
        "All speakers read the same sentences; --splits speaker+sentence keeps those of train, dev and test apart.",
        "5 of 5 sentences read in test (100%) are also read in train. "
        "All speakers read the same sentences; --splits speaker+sentence keeps those of train, dev and test apart.",
    )


def test_speakers_or_languages_can_be_held_out(original: Path, tmp_path: Path) -> None:
    report = prepare(original, tmp_path / "out", script.Settings(dev_speakers=("ska",), test_speakers=("hindi", "ZHAA")))
    assert {name: part["speakers"] for name, part in report.splits.items()} == {"train": 2, "dev": 1, "test": 2}
    assert Manifest.read(tmp_path / "out/test.jsonl").speakers == ("l2_arctic:TNI", "l2_arctic:ZHAA")
    whole = prepare(original, tmp_path / "out", script.Settings(dev_speakers=(), test_speakers=()))
    assert (whole.manifests, whole.kept) == (("all.jsonl",), 28)
    assert whole.notes == ("All speakers read the same sentences; --splits speaker+sentence keeps those of train, dev and test apart.",)
    with pytest.raises(MisuseError, match=r'test_speakers: "Klingon" is neither a speaker nor a first language; there are: ABA, SKA, .*, Arabic'):
        prepare(original, tmp_path / "out2", script.Settings(test_speakers=("Klingon",)))
    with pytest.raises(MisuseError, match='"ABA" stands in both'):
        prepare(original, tmp_path / "out2", script.Settings(dev_speakers=("ABA",), test_speakers=("Arabic",)))


def test_speakers_and_sentences_can_be_kept_apart(original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["prepare", "l2_arctic", str(original), str(tmp_path / "out"), "--splits", "speaker+sentence", "--seed", "7", "--jobs", "1", "--json"]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["manifests"] == ["train.jsonl", "dev.jsonl", "test.jsonl"]
    assert all(pair[what] == 0 for pair in report["overlap"].values() for what in ("speakers", "recordings", "sentences", "audio"))
    assert report["dropped"]["other-sentence-part"] > 0
    assert report["rows_read"] == report["kept"] + sum(report["dropped"].values()) == 30
    assert not [note for note in report["notes"] if "same sentences" in note]


def remove(path: Path) -> None:
    path.unlink()


DEFECTS: list[tuple[str, Callable[[Path], Any], str, str]] = [
    ("ABA/transcript/arctic_a0001.txt", remove, "no-transcript", 'row "ABA-arctic_a0001" (ABA/wav): no file of that name in transcript/'),
    ("ABA/transcript/arctic_a0001.txt", lambda path: path.write_bytes(b"caf\xe9"), "bad-transcript", "arctic_a0001.txt is not UTF-8"),
    ("ABA/transcript/arctic_a0001.txt", lambda path: path.write_text("x" * 5000), "bad-transcript", "arctic_a0001.txt has over 4096 bytes"),
    ("ABA/transcript/arctic_a0001.txt", lambda path: path.write_text(" \n"), "empty-text", "no words in its text"),
    ("ABA/wav/arctic_a0001.wav", remove, "no-recording", 'row "ABA-arctic_a0001" (ABA/transcript): no wav/arctic_a0001.wav'),
    ("ABA/wav/arctic_a0001.wav", lambda path: path.write_bytes(b""), "empty", "zero bytes"),
    ("ABA/wav/arctic_a0001.wav", lambda path: path.write_text("no sound"), "not-audio", "not a recording that can be read"),
    ("suitcase_corpus/annotation/aba.TextGrid", remove, "no-annotation", 'recording "aba" (suitcase_corpus/wav): no TextGrid of that name'),
    ("suitcase_corpus/annotation/aba.TextGrid", lambda path: path.write_text("no"), "broken-textgrid", "this is no TextGrid"),
    ("suitcase_corpus/annotation/aba.TextGrid", lambda path: path.write_text(long_textgrid()), "no-tier", 'aba.TextGrid has no tier "words"'),
    ("suitcase_corpus/wav/aba.wav", lambda path: path.rename(path.with_name("xyz.wav")), "unknown-speaker", 'recording "xyz"'),
]


@pytest.mark.parametrize(("name", "spoil", "reason", "message"), DEFECTS)
def test_planted_defects_cost_their_row_only(
    corpus: Path, tmp_path: Path, name: str, spoil: Callable[[Path], Any], reason: str, message: str
) -> None:
    for packed in ("ZHAA.zip", "TNI.zip"):
        (corpus / packed).unlink()
    spoil(corpus / name)
    report = prepare(corpus, tmp_path / "out", dry_run=True)
    assert report.dropped[reason] == 1
    assert any(message in told for told in report.dropped_examples[reason])
    assert report.rows_read == report.kept + sum(report.dropped.values())
    assert report.kept == (15 if name.startswith("suitcase") else 17)


def test_links_out_of_the_corpus_are_not_followed(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("a secret")
    shutil.copy(corpus / "ABA/wav/arctic_a0001.wav", tmp_path / "secret.wav")
    for name, target in (("ABA/transcript/arctic_a0001.txt", "secret.txt"), ("ABA/wav/arctic_a0002.wav", "secret.wav")):
        (corpus / name).unlink()
        (corpus / name).symlink_to(tmp_path / target)
    (corpus / "suitcase_corpus/annotation/aba.TextGrid").unlink()
    (corpus / "suitcase_corpus/annotation/aba.TextGrid").symlink_to(tmp_path / "secret.txt")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"outside-corpus": 3}
    assert "a secret" not in (tmp_path / "out/train.jsonl").read_text()


def test_a_broken_zip_is_told(corpus: Path, tmp_path: Path) -> None:
    (corpus / "TNI.zip").write_bytes((corpus / "TNI.zip").read_bytes()[:2000])
    with pytest.raises(CorpusError, match=r"TNI\.zip: cannot be unpacked \(File is not a zip file\)\. Download it again\."):
        prepare(corpus, tmp_path / "out")
    with zipfile.ZipFile(corpus / "TNI.zip", "w") as zipped:
        zipped.writestr("TNI/readme.txt", "nothing")
    with pytest.raises(CorpusError, match=r"TNI\.zip: no folder wav in it or in its folder TNI"):
        prepare(corpus, tmp_path / "out")


def test_the_parent_folder_is_accepted_and_another_is_not(original: Path, tmp_path: Path) -> None:
    assert prepare(original.parent, tmp_path / "out").kept == 28
    with pytest.raises(CorpusError, match=r"ABA: does not look like L2-ARCTIC; looked for ABA/wav, ABA\.zip and the like, found: .*transcript, wav"):
        prepare(original / "ABA", tmp_path / "out2")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(original / "nowhere", tmp_path / "out2")
    with pytest.raises(MisuseError, match="is the corpus itself"):
        prepare(original, original)
    assert not (original / "unpacked").exists()


def test_a_second_run_and_an_interrupted_one_give_the_same(original: Path, tmp_path: Path) -> None:
    assert assert_reruns_change_nothing(lambda out: prepare(original, out), tmp_path / "out").kept == 28


def test_audio_can_stay_where_it_is(original: Path, tmp_path: Path) -> None:
    prepare(original, tmp_path / "out", in_place=True)
    test = Manifest.read(tmp_path / "out/test.jsonl")
    assert test.audio_path(test[0]) == (tmp_path / "out/unpacked/TNI/wav/arctic_a0001.wav").resolve()


@pytest.mark.parametrize(
    ("tiers", "reason", "message"),
    [
        ([("words", [(0, 1, "sil"), (1, 2, "")])], "empty-tier", 'aba.TextGrid has nothing but silence in its tier "words"'),
        ([("words", SUITCASE), ("Word", SUITCASE)], "several-tiers", 'aba.TextGrid has 2 tiers "words"'),
    ],
)
def test_a_picture_description_whose_words_cannot_be_told_is_one_row(
    tmp_path: Path, write_tone: Any, tiers: list[Any], reason: str, message: str
) -> None:
    root = tmp_path / "c"
    write_tone(root / "ABA/wav/arctic_a0001.wav", 0.5)
    (root / "ABA/transcript").mkdir()
    (root / "ABA/transcript/arctic_a0001.txt").write_text("good")
    write_tone(root / "suitcase_corpus/wav/aba.wav", 1.0)
    (root / "suitcase_corpus/annotation").mkdir()
    (root / "suitcase_corpus/annotation/aba.TextGrid").write_text(long_textgrid(*tiers))
    report = prepare(root, tmp_path / "out", dry_run=True)
    assert (report.rows_read, report.kept, report.dropped) == (2, 1, {reason: 1})
    assert message in report.dropped_examples[reason][0]


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.sampled_from([long_textgrid, short_textgrid]), places)
@fuzz(80)
def test_no_recording_and_no_word_of_damaged_texts_is_lost(
    tmp_path: Path, write_tone: Any, transcript: bytes, write: Any, damage: list[tuple[float, int, bytes | str]]
) -> None:
    root = tmp_path / "fuzz"
    if not root.is_dir():
        for stem in ("arctic_a0001", "arctic_a0002"):
            write_tone(root / f"ABA/wav/{stem}.wav", 0.5)
        (root / "ABA/transcript").mkdir()
        (root / "ABA/transcript/arctic_a0001.txt").write_text("good")
        write_tone(root / "suitcase_corpus/wav/aba.wav", 1.0)
        (root / "suitcase_corpus/annotation").mkdir()
    (root / "ABA/transcript/arctic_a0002.txt").write_bytes(transcript)
    grid = spoil(write(("words", SUITCASE)).encode(), damage)
    (root / "suitcase_corpus/annotation/aba.TextGrid").write_bytes(grid)
    report = prepare(root, tmp_path / "out", dry_run=True, allow_missing=True)
    tiers = tiers_in(grid)
    words = [phrases(labels) for name, points, labels in tiers or [] if name.strip().casefold() in ("words", "word") and not points]
    rows = sum(words) or 1  # a recording without words that can be read is one row
    assert report.kept >= 1
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 2 + rows
    assert report.dropped.get("broken-textgrid", 0) == (tiers is None)
    assert tiers is not None or str(root / "suitcase_corpus/annotation/aba.TextGrid") in report.dropped_examples["broken-textgrid"][0]
