"""STT4SG-350: a miniature with the published columns, a byte-order mark, and sentences that every region reads."""

import zlib
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

script: Any = load_bundled("data_prep", "stt4sg")

COLUMNS = ("path", "duration", "sentence", "sentence_source", "client_id", "dialect_region", "canton", "zipcode", "age", "gender")
REGIONS = {"Bern": "BE", "Zürich": "ZH", "Graubünden": "GR"}
CLIENTS = {"train_all": ("a1", "a2", "a3"), "valid": ("b1",), "test": ("c1", "c2", "c3")}


def line(table: str, client: str, number: int) -> dict[str, str]:
    place = CLIENTS[table].index(client)
    region = list(REGIONS)[place]
    text = f"Satz {number} hören alle Regionen." if table == "test" else f"Satz {number} der Person {client}."
    return dict(zip(COLUMNS, (
        f"{client}/{client}x{number}.flac", "99.5", text, "news", client, region, REGIONS[region], "3000", "thirties", ("female", "male")[place % 2],
    ), strict=True))  # fmt: skip


def write_table(path: Path, lines: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> None:
    text = "\n".join("\t".join(row) for row in [columns, *([row[name] for name in columns] for row in lines)]) + "\n"
    path.write_bytes(text.encode("utf-8-sig"))


def build(root: Path, write_tone: Any) -> Path:
    """Seven speakers with three clips each; the durations of the tables are wrong, as only the audio counts."""
    root.mkdir(parents=True)
    for table, clients in CLIENTS.items():
        lines = [line(table, client, number) for client in clients for number in range(3)]
        write_table(root / f"{table}.tsv", lines)
        folder = "clips__test" if table == "test" else "clips__train_valid"
        for row in lines:
            write_tone(root / folder / row["path"], 0.5, seed=zlib.crc32(row["path"].encode()))
    write_table(root / "train_balanced.tsv", [line("train_all", client, 0) for client in CLIENTS["train_all"]])
    return root


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    return build(tmp_path / "download/STT4SG-350 v2.1", write_tone)


def prepare(source: Path, out: Path, train: str = "all", **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(train=train))
    return report


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())


def test_rows_carry_everything_the_corpus_says_but_the_zip_code(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped, report.repairs) == (21, 21, {}, {})
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 9, "dev": 3, "test": 9}
    u = next(u for u in Manifest.read(tmp_path / "out/test.jsonl") if u.id == "stt4sg-c3x1")
    assert u.to_json() == {
        "audio_sha1": u.audio_sha1,
        "audio_filepath": "audio/stt4sg-c3x1.flac",
        "duration": 0.5,
        "text": "Satz 1 hören alle Regionen.",
        "id": "stt4sg-c3x1",
        "text_raw": "Satz 1 hören alle Regionen.",
        "speaker": "stt4sg:c3",
        "gender": "female",
        "age": "thirties",
        "accent": "gsw_graubunden",
        "accent_raw": "Graubünden",
        "region": "GR",
        "language": "de",
        "split": "test",
        "meta": {"sentence_source": "news"},
    }
    assert "3000" not in (tmp_path / "out/train.jsonl").read_text()
    assert "texts are Standard German, speech is Swiss German: report BLEU or chrF beside the word error rate" in report.notes


def test_a_sentence_in_several_regions_stays_in_test(corpus: Path, tmp_path: Path) -> None:
    edit(corpus / "train_all.tsv", "Satz 0 der Person a1.", "Satz 0 hören alle Regionen.")
    report = prepare(corpus, tmp_path / "out")
    assert report.splits["test"] == {"utterances": 9, "hours": report.splits["test"]["hours"], "speakers": 3, "children": 0}
    assert report.overlap["train-test"]["train_rows_with_shared_sentence"] == 1
    assert report.overlap["train-test"]["test_rows_with_shared_sentence"] == 3
    assert report.overlap["train-test"]["speakers"] == 0


def test_the_balanced_train_set_can_be_chosen(corpus: Path, tmp_path: Path) -> None:
    assert prepare(corpus, tmp_path / "out", "balanced", dry_run=True).splits["train"]["utterances"] == 3
    (corpus / "train_all.tsv").unlink()
    with pytest.raises(CorpusError, match=r"no train_all\.tsv, but train_balanced\.tsv is there\. Run with --set train=balanced\."):
        prepare(corpus, tmp_path / "out")
    with pytest.raises(MisuseError, match='train="some": must be one of all, balanced'):
        prepare(corpus, tmp_path / "out", "some")


def test_parts_may_be_missing_and_folders_may_have_a_suffix(corpus: Path, tmp_path: Path) -> None:
    (corpus / "clips__train_valid").rename(corpus / "clips__train_valid-001")
    assert prepare(corpus, tmp_path / "out", dry_run=True).kept == 21
    for name in ("train_all", "train_balanced", "valid"):
        (corpus / f"{name}.tsv").unlink()
    report = prepare(corpus, tmp_path / "out")
    assert report.manifests == ("test.jsonl",)
    assert "no valid.tsv: the corpus is prepared without its dev part" in report.notes


def test_planted_defects_are_counted_and_test_losses_listed(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    edit(corpus / "train_all.tsv", "Satz 1 der Person a1.", 'Er rief: "Satz 1!')  # an open quote swallows nothing
    edit(corpus / "train_all.tsv", "Satz 2 der Person a1.", "NA")
    edit(corpus / "train_all.tsv", "\tSatz 0 der Person a2.\tnews", "\tSatz 0 der Person a2.")
    edit(corpus / "valid.tsv", "Satz 0 der Person b1.", " ")
    (corpus / "clips__test/c1/c1x0.flac").unlink()
    (corpus / "clips__test/c1/c1x1.flac").write_bytes(b"")
    (corpus / "clips__test/c1/c1x2.flac").unlink()
    write_tone(corpus / "clips__test/c1/c1x2.mp3", 0.5, seed=5)
    with (corpus / "train_all.tsv").open("ab") as file:
        file.write(b"a3/a3x9.flac\t1\tk\xf6nnen\tnews\ta3\tBern\tBE\t3000\t\t\n\n")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"empty": 1, "empty-text": 1, "missing": 1, "not-utf-8": 1, "wrong-columns": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 22
    assert report.repairs == {"clip found under another format or in its speaker's folder": 1}
    assert [(drop.id, drop.reason) for drop in report.test_dropped] == [("stt4sg-c1x0", "missing"), ("stt4sg-c1x1", "empty")]
    assert report.dropped_examples["wrong-columns"] == ("train_all.tsv, line 5: 9 values for 10 columns. Correct the line.",)
    texts = {u.id: u.text for u in Manifest.read(tmp_path / "out/train.jsonl")}
    assert (texts["stt4sg-a1x1"], texts["stt4sg-a1x2"]) == ('Er rief: "Satz 1!', "NA")


def test_paths_may_not_leave_the_corpus(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "secret.flac", 0.5)
    edit(corpus / "train_all.tsv", "a1/a1x0.flac", "../../../secret.flac")
    edit(corpus / "train_all.tsv", "a1/a1x1.flac", str(tmp_path / "secret.flac"))
    edit(corpus / "train_all.tsv", "a1/a1x2.flac", "n" * 300 + ".flac")
    edit(corpus / "train_all.tsv", "a2/a2x0.flac", "nul\0.flac")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"missing": 2, "outside-corpus": 2}
    assert '"../../../secret.flac" leaves the folder of the corpus' in report.dropped_examples["outside-corpus"][0]


def test_clips_of_one_name_stay_apart_and_a_repeated_row_belongs_to_test(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    for client in ("a1", "a2"):
        edit(corpus / "train_all.tsv", f"{client}/{client}x0.flac", f"{client}/same.flac")
        write_tone(corpus / f"clips__train_valid/{client}/same.flac", 0.5, seed=ord(client[1]))
    write_table(
        corpus / "valid.tsv", [line("valid", "b1", 0), line("valid", "b1", 0), {**line("test", "c1", 0), "path": "../clips__test/c1/c1x0.flac"}]
    )
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"duplicate-id": 1, "outside-corpus": 1}
    assert {"stt4sg-a1-same", "stt4sg-a2-same"} <= {u.id for u in Manifest.read(tmp_path / "out/train.jsonl")}
    assert report.splits["test"]["utterances"] == 9


def test_a_path_without_its_speakers_folder_is_found(corpus: Path, tmp_path: Path) -> None:
    edit(corpus / "train_all.tsv", "a1/a1x0.flac", "a1x0.FLAC")
    edit(corpus / "train_all.tsv", "a1/a1x1.flac", "a1\\a1x1.FLAC")  # another case is no repair
    report = prepare(corpus, tmp_path / "out")
    assert (report.kept, report.repairs) == (21, {"clip found under another format or in its speaker's folder": 1})


def test_the_parent_folder_is_accepted_and_another_is_not(corpus: Path, tmp_path: Path) -> None:
    (corpus.parent / "._junk").mkdir()
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 21
    with pytest.raises(CorpusError, match=r"does not look like STT4SG-350; looked for train_all\.tsv, .*found: c1, c2, c3\. It should be a folder"):
        prepare(corpus / "clips__test", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")
    write_table(corpus / "test.tsv", [line("test", "c1", 0)], columns=("path", "duration", "client_id"))
    with pytest.raises(CorpusError, match=r"test\.tsv: no column sentence; found path, duration, client_id"):
        prepare(corpus, tmp_path / "out")


def test_the_accent_map_comes_first(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", dry_run=True, accent_map={"graubünden": "bündnerdeutsch"})
    assert sorted(report.accents) == ["bündnerdeutsch", "gsw_bern", "gsw_zurich"]


def test_a_second_run_and_an_interrupted_one_give_the_same(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    before = contents(tmp_path / "out")
    assert prepare(corpus, tmp_path / "out").repairs == {"audio of an earlier run kept": 21}
    assert contents(tmp_path / "out") == before
    audio = sorted((tmp_path / "out/audio").iterdir())
    audio[0].unlink()
    audio[1].write_bytes(audio[1].read_bytes()[:300])
    (tmp_path / "out/train.jsonl").write_text('{"id": "cut o')
    prepare(corpus, tmp_path / "out")
    assert contents(tmp_path / "out") == before


@fuzz()
@hypothesis.given(odd=st.lists(st.one_of(st.text(max_size=40), st.lists(st.text(max_size=12), min_size=3, max_size=3).map("\t".join)), max_size=5))
def test_any_line_is_read_or_counted(tmp_path: Path, write_tone: Any, odd: list[str]) -> None:
    root = tmp_path / "fuzz"
    if not root.exists():
        write_tone(root / "clips__test/c/good.flac", 0.5)
    text = "path\tsentence\tclient_id\nc/good.flac\tein Satz\tc\n" + "\n".join(odd)
    (root / "test.tsv").write_bytes(text.encode("utf-8", "surrogatepass"))
    report = prepare(root, tmp_path / "fuzz-out", dry_run=True, allow_missing=True)
    assert report.kept >= 1
    assert report.rows_read == report.kept + sum(report.dropped.values()) == lines_in((root / "test.tsv").read_bytes(), "\n") - 1
