"""SwissDial: a miniature of three dialects in which everybody reads the same sentences, with planted defects."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzz, places, spoil
from hypothesis import given
from hypothesis import strategies as st
from reruns import contents

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError, SpeechadaptError
from speechadapt.preparation import PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "swissdial")

NUMBERS = ("eins", "zwei", "drei", "vier", "fünf", "sechs")
SPOKEN = {"zh": "eis zwei drü vier füf sächs", "be": "eis zwöi drü vier füf sächs", "vs": "eis zwei dri vier fimf säggsch"}


def build(root: Path, write_tone: Any) -> Path:
    """Six sentences in three dialects; dialect vs never recorded sentence 2; junk and an orphan beside the recordings."""
    sentences = []
    for number, word in enumerate(NUMBERS):
        sentence = {"id": number, "thema": "Zahlen", "de": f"Ich zähle {word}."}
        for place, (dialect, words) in enumerate(SPOKEN.items()):
            if (dialect, number) == ("vs", 2):
                continue
            sentence[f"ch_{dialect}"] = f"I zele {words.split()[number]}."
            write_tone(root / f"{dialect}/ch_{dialect}_{number:04d}.wav", 0.5 + 0.02 * number, seed=10 * number + place)
        sentences.append(sentence)
    (root / "zh/._ch_zh_0000.wav").write_bytes(b"junk of a file system")
    write_tone(root / "be/ch_be_0999.wav", 0.5, seed=999)
    write_list(root, sentences)
    return root


def write_list(root: Path, sentences: list[Any]) -> None:
    (root / "sentences_ch_de_transcribed.json").write_text(json.dumps(sentences, ensure_ascii=False), encoding="utf-8")


def read_list(root: Path) -> list[Any]:
    listed: list[Any] = json.loads((root / "sentences_ch_de_transcribed.json").read_text(encoding="utf-8"))
    return listed


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Any) -> Path:
    return build(tmp_path / "download/data1.1", write_tone)


def prepare(source: Path, out: Path, target: str = "dialect", **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(target=target))
    return report


def read_rows(out: Path) -> dict[str, Any]:
    return {u.id: u for name in ("train", "dev", "test") for u in Manifest.read(out / f"{name}.jsonl")}


def test_rows_carry_everything_the_corpus_says(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped) == (17, 17, {})
    assert report.facts == {"orphan_recordings": 1, "sentences_not_recorded": {"vs": 1}}
    assert "no folder of ag, bs, gr, lu, sg: these dialects were not read" in report.notes
    u = read_rows(tmp_path / "out")["swissdial-zh-0004"]
    assert u.to_json() == {
        "audio_sha1": u.audio_sha1,
        "audio_filepath": "audio/swissdial-zh-0004.flac",
        "duration": 0.58,
        "text": "I zele füf.",
        "id": "swissdial-zh-0004",
        "text_raw": "I zele füf.",
        "speaker": "swissdial:zh",
        "accent": "gsw_zurich",
        "accent_raw": "zh",
        "region": "Zürich",
        "language": "gsw",
        "split": u.split,
        "meta": {"sentence_id": "0004", "topic": "Zahlen", "standard_german": "Ich zähle fünf."},
    }
    assert sorted(report.accents) == ["gsw_bern", "gsw_wallis", "gsw_zurich"]
    assert report.speakers == 3


def test_the_target_switches_text_and_language(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out", "standard")
    u = read_rows(tmp_path / "out")["swissdial-vs-0005"]
    assert (u.text, u.language, u.accent) == ("Ich zähle sechs.", "de", "gsw_wallis")
    assert u.meta == {"sentence_id": "0005", "topic": "Zahlen", "dialect_text": "I zele säggsch."}
    with pytest.raises(MisuseError, match=r'target="german": must be one of dialect, standard'):
        prepare(corpus, tmp_path / "out2", "german")


@pytest.mark.parametrize("target", ["dialect", "standard"])
def test_a_sentence_goes_to_one_side_with_all_its_dialects(corpus: Path, tmp_path: Path, target: str) -> None:
    listed = read_list(corpus)
    listed[3]["de"] = "Ich zähle EINS!"  # the same sentence as the first, under another id
    write_list(corpus, listed)
    report = prepare(corpus, tmp_path / "out", target)
    sides: dict[str, set[str]] = {}
    for u in read_rows(tmp_path / "out").values():
        sides.setdefault(u.meta["sentence_id"], set()).add(u.split)
    assert all(len(side) == 1 for side in sides.values())
    assert sides["0000"] == sides["0003"]
    assert {part for side in sides.values() for part in side} == {"train", "dev", "test"}
    if target == "standard":
        assert all(pair["sentences"] == 0 for pair in report.overlap.values())
    assert report.overlap["train-test"]["speakers"] > 0


def test_the_division_depends_on_the_seed_and_not_on_the_order(corpus: Path, tmp_path: Path) -> None:
    sentences = read_list(corpus)
    parts = [script.divide_sentences(sentences, PrepareOptions(seed=seed)) for seed in range(8)]
    assert parts[0] == script.divide_sentences(sentences[::-1], PrepareOptions())
    assert len({tuple(sorted(part.items())) for part in parts}) > 1
    assert all(sorted(part.values()) == ["dev", "test", "train", "train", "train", "train"] for part in parts)
    with pytest.raises(MisuseError, match="every dialect has one speaker"):
        prepare(corpus, tmp_path / "out", splits="speaker")
    with pytest.raises(CorpusError, match=r"--strict refuses .* train and test share \d speakers"):
        prepare(corpus, tmp_path / "out", strict=True)


def test_planted_defects_are_counted(corpus: Path, tmp_path: Path) -> None:
    listed = read_list(corpus)
    listed[0]["ch_zh"] = " "
    listed[1]["ch_zh"] = 7
    listed[1]["ch_be"] = "half \ud800 a character"
    listed += ["no object", {"de": "Kein Name."}, {"id": "../../etc/passwd", "ch_zh": "bös"}, {"id": True, "ch_zh": "wahr"}]
    (corpus / "sentences_ch_de_transcribed.json").write_text(json.dumps(listed))
    (corpus / "be/ch_be_0002.wav").unlink()
    (corpus / "be/ch_be_0003.wav").write_bytes(b"")
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped == {"broken-entry": 4, "broken-text": 2, "empty": 1, "empty-text": 1, "missing": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 21
    assert report.dropped_examples["broken-entry"][2] == (
        "sentences_ch_de_transcribed.json, entry 8: no object with a number as its id. Correct the entry."
    )
    assert report.dropped_examples["missing"][0].startswith('row "be-0002" (sentence 0002, be): no file "be/ch_be_0002.wav" under ')


def test_the_numerics_are_used_where_nothing_else_is_there(corpus: Path, tmp_path: Path) -> None:
    (corpus / "sentences_ch_de_transcribed.json").rename(corpus / "sentences_ch_de_numerics.json")
    assert prepare(corpus, tmp_path / "out", dry_run=True).kept == 17
    (corpus / "sentences_ch_de_numerics.json").write_text('{"id": 1}')
    with pytest.raises(CorpusError, match=r"sentences_ch_de_numerics\.json: dict, expected a list of sentences"):
        prepare(corpus, tmp_path / "out2")
    (corpus / "sentences_ch_de_numerics.json").write_bytes(b'[{"de": "\xff"}]')
    with pytest.raises(SpeechadaptError, match="not valid JSON"):
        prepare(corpus, tmp_path / "out2")


def test_the_parent_folder_is_accepted_and_another_is_not(corpus: Path, tmp_path: Path) -> None:
    (corpus.parent / "__MACOSX").mkdir()
    assert prepare(corpus.parent, tmp_path / "out", dry_run=True).kept == 17
    with pytest.raises(
        CorpusError, match=r"does not look like SwissDial; looked for sentences_ch_de_transcribed\.json and .* found: ch_be_0000\.wav"
    ):
        prepare(corpus / "be", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")


def test_the_accent_map_comes_first(corpus: Path, tmp_path: Path) -> None:
    assert sorted(prepare(corpus, tmp_path / "out", dry_run=True, accent_map={"zh": "züritüütsch"}).accents) == [
        "gsw_bern",
        "gsw_wallis",
        "züritüütsch",
    ]


def test_links_out_of_the_corpus_are_not_followed(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    write_tone(tmp_path / "secret.wav")
    (corpus / "zh/ch_zh_0001.wav").unlink()
    (corpus / "zh/ch_zh_0001.wav").symlink_to(tmp_path / "secret.wav")
    assert prepare(corpus, tmp_path / "out").dropped == {"outside-corpus": 1}


def test_a_second_run_and_an_interrupted_one_give_the_same(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    before = contents(tmp_path / "out")
    report = prepare(corpus, tmp_path / "out")
    assert report.repairs == {"audio of an earlier run kept": 17}
    assert contents(tmp_path / "out") == before
    audio = sorted((tmp_path / "out/audio").iterdir())
    audio[0].unlink()
    audio[1].write_bytes(audio[1].read_bytes()[:300])
    (tmp_path / "out/train.jsonl").write_text('{"id": "cut o')
    (tmp_path / "out/test.jsonl").unlink()
    prepare(corpus, tmp_path / "out")
    assert contents(tmp_path / "out") == before


values = st.one_of(st.none(), st.booleans(), st.integers(-2, 12), st.text(max_size=8), st.lists(st.integers(), max_size=2))
names = st.sampled_from(["id", "de", "thema", "ch_zh", "ch_be", "ch_vs", "ch_xx"])


GOOD = b'{"id": 0, "de": "Guten Tag.", "ch_zh": "Gr\\u00fcezi.", "ch_be": "Gr\\u00fcessech."}'


@pytest.mark.parametrize("content", ["[" * 100_000, f"[{'7' * 5000}]"])
def test_lists_that_no_parser_takes_are_told(corpus: Path, tmp_path: Path, content: str) -> None:
    path = next(corpus.rglob("sentences_ch_de_transcribed.json"))
    path.write_text(content)
    with pytest.raises(SpeechadaptError, match=r"sentences_ch_de_transcribed\.json: not valid JSON"):
        prepare(corpus, tmp_path / "out")


def number_of(entry: Any) -> int | None:
    """The number of an entry; None for what is no entry, or has none."""
    given = entry.get("id") if isinstance(entry, dict) else None
    plain = isinstance(given, int | str) and not isinstance(given, bool) and re.fullmatch("[0-9]{1,9}", str(given).strip())
    return int(given) if plain else None


def rows_in(entry: Any) -> int:
    """One for each dialect it was recorded in, of the two whose folders are there; one for an entry that cannot be read at all."""
    return sum(entry.get(f"ch_{dialect}") is not None for dialect in ("zh", "be")) if number_of(entry) is not None else 1


@fuzz(120)
@given(odd=st.lists(st.one_of(values, st.dictionaries(names, values, max_size=6)), max_size=4), damage=st.just([]) | places)
def test_no_entry_of_a_spoilt_list_is_lost(tmp_path: Path, write_tone: Any, odd: list[Any], damage: list[tuple[float, int, bytes | str]]) -> None:
    root = tmp_path / "fuzz"
    for dialect in ("zh", "be"):
        if not (root / f"{dialect}/ch_{dialect}_0000.wav").exists():
            write_tone(root / f"{dialect}/ch_{dialect}_0000.wav", 0.5)
    data = b"".join([b"[", GOOD, *(b", " + spoil(json.dumps(one).encode(), damage) for one in odd), b"]"])
    (root / "sentences_ch_de_transcribed.json").write_bytes(data)
    try:
        entries = json.loads(data.decode())
    except ValueError:
        with pytest.raises(SpeechadaptError, match=r"sentences_ch_de_transcribed\.json: not valid JSON"):
            prepare(root, tmp_path / "fuzz-out", dry_run=True, allow_missing=True)
        return
    report = prepare(root, tmp_path / "fuzz-out", dry_run=True, allow_missing=True)
    assert report.kept >= 1
    assert report.rows_read == report.kept + sum(report.dropped.values()) == sum(map(rows_in, entries))
    sentences = [one for one in entries if number_of(one) is not None]
    assert report.dropped.get("broken-entry", 0) == len(entries) - len(sentences)
    for dialect in ("zh", "be"):
        unrecorded = sum(one.get(f"ch_{dialect}") is None for one in sentences)
        assert report.facts["sentences_not_recorded"].get(dialect, 0) == unrecorded
