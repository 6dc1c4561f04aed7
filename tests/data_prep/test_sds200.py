"""SDS-200: a miniature of the one big table, and of tables by split, with planted defects."""

from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from fuzzing import fuzz, lines_in
from reruns import contents

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "sds200")

COLUMNS = (
    *("clip_id", "clip_path", "sentence", "clip_created_at", "clip_is_valid", "sentence_id", "sentence_source", "client_id", "zipcode", "canton"),
    *("user_mean_clip_quality", "clip_n_votes_correct", "clip_n_votes_false", "clip_n_times_reported", "sentence_n_times_reported"),
    *("age", "gender"),
)
CANTONS = ("BE", "ZH", "Graubünden", "")
VALID = ("True", "False", "")


def line(number: int) -> dict[str, str]:
    client = f"p{number // 3}"
    return dict(zip(COLUMNS, (
        f"{number:03d}", f"{client}/{number:03d}.mp3", f"Satz Nummer {number}.", "2021-06-01", VALID[number % 3], f"s{number}", "cv_sentences",
        client, "8001", CANTONS[number // 3 % 4], "0.9", "2", "0", "0", "0", "thirties", ("female", "male", "")[number // 3 % 3],
    ), strict=True))  # fmt: skip


def write_table(path: Path, lines: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> None:
    path.write_text("\n".join("\t".join(row) for row in [columns, *([row[name] for name in columns] for row in lines)]) + "\n", encoding="utf-8")


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    """Twelve clips of four people, in one table."""
    root = tmp_path / "download/SDS-200 Corpus"
    for number in range(12):
        write_tone(root / "export_20211220_clips-001" / line(number)["clip_path"], 0.5, seed=number)
    write_table(root / "export_20211220.tsv", [line(number) for number in range(12)])
    return root


@pytest.fixture
def divided(corpus: Path) -> Path:
    """The same with tables by split."""
    for name, numbers in (("train", range(3, 12)), ("test", range(3))):
        write_table(corpus / f"{name}.tsv", [line(number) for number in numbers])
    return corpus


def prepare(source: Path, out: Path, check: str = "all", **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(check=check))
    return report


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())


def test_rows_carry_everything_the_corpus_says_but_the_zip_code(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped) == (12, 12, {})
    assert report.facts == {"verdicts": {"refuted": 4, "undecided": 4, "valid": 4}}
    assert "a person may have several client ids, so that splits by speaker may share people" in report.notes
    u = Manifest.read(tmp_path / "out/all.jsonl")[3]
    assert u.duration == pytest.approx(0.5, abs=0.1)  # MP3 pads what it encodes
    assert {**u.to_json(), "duration": 0.5} == {
        "audio_sha1": u.audio_sha1,
        "audio_filepath": "audio/sds200-003.flac",
        "duration": 0.5,
        "text": "Satz Nummer 3.",
        "id": "sds200-003",
        "text_raw": "Satz Nummer 3.",
        "speaker": "sds200:p1",
        "gender": "male",
        "age": "thirties",
        "accent": "gsw_zurich",
        "accent_raw": "ZH",
        "region": "ZH",
        "language": "de",
        "meta": {
            "sentence_id": "s3", "sentence_source": "cv_sentences", "clip_is_valid": "True", "user_mean_clip_quality": "0.9",
            "clip_n_votes_correct": "2", "clip_n_votes_false": "0", "clip_n_times_reported": "0", "sentence_n_times_reported": "0",
        },
    }  # fmt: skip
    assert "8001" not in (tmp_path / "out/all.jsonl").read_text()
    assert sorted(report.accents) == ["gsw_bern", "gsw_graubunden", "gsw_zurich", "unknown"]


def test_the_one_table_is_divided_by_speaker_when_asked_for(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus, tmp_path / "out", dry_run=True).manifests == ("all.jsonl",)
    report = prepare(corpus, tmp_path / "out", splits="speaker", accent_map={"be": "ch", "zh": "ch", "graubünden": "ch"})
    assert report.overlap["train-test"]["speakers"] == 0
    with pytest.raises(CorpusError, match="names no official splits"):
        prepare(corpus, tmp_path / "out2", splits="official")


def test_tables_by_split_are_read_instead_of_the_one_table(divided: Path, tmp_path: Path) -> None:
    report = prepare(divided, tmp_path / "out")
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 6, "dev": 3, "test": 3}  # dev is carved by speaker
    assert "export_20211220.tsv is not read, as there are tables of the splits" in report.notes
    assert Manifest.read(tmp_path / "out/test.jsonl").speakers == ("sds200:p0",)


@pytest.mark.parametrize(
    ("check", "dropped"), [("all", {}), ("undisputed", {"voted-refuted": 3}), ("valid", {"voted-refuted": 3, "voted-undecided": 3})]
)
def test_votes_choose_train_rows_and_never_test_rows(divided: Path, tmp_path: Path, check: str, dropped: dict[str, int]) -> None:
    report = prepare(divided, tmp_path / "out", check, dry_run=True)
    assert report.dropped == dropped
    assert report.splits["test"]["utterances"] == 3
    assert report.rows_read == report.kept + sum(dropped.values()) == 12


def test_an_unknown_check_is_told(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match='check="votes": must be one of all, undisputed, valid'):
        prepare(corpus, tmp_path / "out", "votes")


def test_planted_defects_are_counted(corpus: Path, tmp_path: Path) -> None:
    table = corpus / "export_20211220.tsv"
    edit(table, "Satz Nummer 0.", 'Er kommt "morgen.')
    edit(table, "Satz Nummer 1.", "NA")
    edit(table, "Satz Nummer 2.", "")
    edit(table, "Satz Nummer 4.\t", "Satz Nummer 4.")
    edit(table, "005\tp1", "004\tp1")
    edit(table, "006\tp2", "005\tp2")
    edit(table, "007\tp2", "005\tp2")
    (corpus / "export_20211220_clips-001/p2/008.mp3").write_bytes(b"")
    (corpus / "export_20211220_clips-001/p3/009.mp3").unlink()
    with table.open("ab") as file:
        file.write(b"099\tp0/000.mp3\tk\xf6nnen" + b"\t" * 14 + b"\n")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"duplicate-id": 1, "empty": 1, "empty-text": 1, "missing": 1, "not-utf-8": 1, "wrong-columns": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 13
    assert report.dropped_examples["wrong-columns"] == ("export_20211220.tsv, line 6: 16 values for 17 columns. Correct the line.",)
    assert report.dropped_examples["missing"][0].startswith('row "009" (export_20211220.tsv, line 11): no file "p3/009.mp3" under ')
    texts = {u.id: u.text for u in Manifest.read(tmp_path / "out/all.jsonl")}
    assert (texts["sds200-000"], texts["sds200-001"]) == ('Er kommt "morgen.', "NA")


def test_paths_may_not_leave_the_corpus(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "secret.mp3", 0.5)
    for number, path in enumerate(["../../../secret.mp3", "..\\..\\..\\secret.mp3", str(tmp_path / "secret.mp3"), "n" * 300, "/etc/hostname"]):
        edit(corpus / "export_20211220.tsv", f"p{number // 3}/{number:03d}.mp3", path)
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"missing": 1, "outside-corpus": 4}
    assert '"../../../secret.mp3" leaves the folder of the corpus' in report.dropped_examples["outside-corpus"][0]


def test_other_columns_are_understood_or_told(corpus: Path, tmp_path: Path) -> None:
    table = corpus / "export_20211220.tsv"
    edit(table, "clip_id\tclip_path", "number\tpath")
    report = prepare(corpus, tmp_path / "out", dry_run=True)
    assert report.kept == 12
    edit(table, "number\tpath", "number\tfile")
    with pytest.raises(CorpusError, match=r"export_20211220\.tsv: no column clip_path or path; found number, file, sentence"):
        prepare(corpus, tmp_path / "out")


def test_the_parent_folder_is_accepted_and_another_is_not(corpus: Path, tmp_path: Path) -> None:
    (corpus.parent / "__MACOSX").mkdir()
    (corpus / "._export_20211220.tsv").write_bytes(b"\0junk")
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 12
    with pytest.raises(CorpusError, match=r"does not look like SDS-200; looked for a table \(\*\.tsv\), found: p0, p1, p2, p3\. It should be"):
        prepare(corpus / "export_20211220_clips-001", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")


def test_names_of_tables_and_cantons() -> None:
    names = ("train", "sds200_valid", "SDS-200 Test", "export_20211220", "training_all", "contest", "")
    assert [script.split_of(name) for name in names] == ["train", "dev", "test", None, "train", None, None]
    assert [script.accent_of(canton) for canton in ("zh", "Zürich", "VS", "St. Gallen")] == [
        "gsw_zurich",
        "gsw_zurich",
        "gsw_wallis",
        "gsw_st_gallen",
    ]


def test_a_second_run_and_an_interrupted_one_give_the_same(divided: Path, tmp_path: Path) -> None:
    prepare(divided, tmp_path / "out")
    before = contents(tmp_path / "out")
    assert prepare(divided, tmp_path / "out").repairs == {"audio of an earlier run kept": 12}
    assert contents(tmp_path / "out") == before
    audio = sorted((tmp_path / "out/audio").iterdir())
    audio[0].unlink()
    audio[1].write_bytes(audio[1].read_bytes()[:300])
    (tmp_path / "out/train.jsonl").write_text('{"id": "cut o')
    prepare(divided, tmp_path / "out")
    assert contents(tmp_path / "out") == before


@fuzz()
@hypothesis.given(odd=st.lists(st.one_of(st.text(max_size=40), st.lists(st.text(max_size=12), min_size=4, max_size=4).map("\t".join)), max_size=5))
def test_any_line_is_read_or_counted(tmp_path: Path, write_tone: Any, odd: list[str]) -> None:
    root = tmp_path / "fuzz"
    if not root.exists():
        write_tone(root / "clips/good.wav", 0.5)
    text = "clip_id\tclip_path\tsentence\tclip_is_valid\n1\tgood.wav\tein Satz\tTrue\n" + "\n".join(odd)
    (root / "export.tsv").write_bytes(text.encode("utf-8", "surrogatepass"))
    report = prepare(root, tmp_path / "fuzz-out", "undisputed", dry_run=True, allow_missing=True)
    assert report.kept >= 1
    assert report.rows_read == report.kept + sum(report.dropped.values()) == lines_in((root / "export.tsv").read_bytes(), "\n") - 1
