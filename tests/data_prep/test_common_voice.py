"""Common Voice: a miniature of every release's columns, of Spontaneous Speech, and the defects that real releases hold."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st
from reruns import contents

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import PrepareOptions, PrepReport, read_settings

script: Any = load_bundled("data_prep", "common_voice")

COLUMNS = "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant locale segment"
COLUMNS_16 = "client_id path sentence up_votes down_votes age gender accents variant locale segment"
COLUMNS_12 = "client_id path sentence up_votes down_votes age gender accents locale segment"
COLUMNS_6 = "client_id path sentence up_votes down_votes age gender accent locale segment"
TWICE = "client_id path sentence up_votes down_votes age gender accents variant locale segment accents"
SOUTH_ASIA = "India and South Asia (India, Pakistan, Sri Lanka)"


def client(letter: str) -> str:
    return letter * 128


def clip(number: int) -> str:
    return f"common_voice_en_{number}.mp3"


def line(columns: str, number: int, who: str, sentence: str, **values: str) -> str:
    given = {
        "client_id": client(who) if len(who) == 1 else who, "path": clip(number), "sentence": sentence, "sentence_id": f"{number:064x}",
        "up_votes": "2", "down_votes": "0", "locale": "en", **values,
    }  # fmt: skip
    return "\t".join(given.get(name, "") for name in columns.split())


def write_table(path: Path, columns: str, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{one}\n" for one in (columns.replace(" ", "\t"), *lines)), encoding="utf-8")


TRAIN = [
    line(COLUMNS, 1, "a", 'He said "yes and left.', age="twenties", gender="male_masculine", accents="England English", sentence_domain="general"),
    line(COLUMNS, 2, "a", "The next line survives."),
    line(COLUMNS, 3, "b", "Two accents at once.", accents="United States English,England English", age="teens", gender="female_feminine"),
    line(COLUMNS, 4, "c", "A comma in parentheses.", accents=SOUTH_ASIA, gender="do_not_wish_to_say"),
    line(COLUMNS, 5, "c", ""),
    line(COLUMNS, 6, "d", "This clip is missing."),
    line(COLUMNS, 7, "d", "This clip is empty."),
    line(COLUMNS, 8, "NA", "None", accents="German English,Non native speaker"),
    line(COLUMNS, 9, "d", "Firefox", segment="Benchmark"),
    line(COLUMNS, 10, "e", "Nobody voted for it.", up_votes="0", accents="Mars English"),
]
DEV = [line(COLUMNS, 20, "p", "It is read in dev."), line(COLUMNS, 21, "q", "Yes", segment="Singleword Benchmark")]
TEST = [line(COLUMNS, 30, "t", "It is read in the test."), line(COLUMNS, 31, "u", "No", segment="Benchmark", up_votes="0")]
MORE = [
    line(COLUMNS, 40, "t", "By a client of the test."),
    line(COLUMNS, 41, "f", "it is read, in dev!"),
    line(COLUMNS, 42, "f", "Neither here nor there."),
    line(COLUMNS, 43, "a", "Put it “down”."),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, write_tone: Any) -> Path:
    root = tmp_path_factory.mktemp("common_voice") / "en"
    for name, lines in {"train": TRAIN, "dev": DEV, "test": TEST, "validated": [*MORE, *TRAIN, *DEV, *TEST], "other": TRAIN}.items():
        write_table(root / f"{name}.tsv", COLUMNS, lines)
    write_table(root / "invalidated.tsv", COLUMNS, [line(COLUMNS, 50, "z", "Voted down.")])
    write_table(root / "reported.tsv", "sentence sentence_id locale reason", ["He said\t00\ten\tgrammar"])
    write_table(root / "clip_durations.tsv", "clip duration[ms]", [f"{clip(1)}\t500"])
    write_table(root / "validated_sentences.tsv", "sentence_id sentence sentence_domain source is_used clips_count", [])
    for number in (1, 2, 3, 4, 5, 8, 9, 10, 20, 21, 30, 31, 40, 41, 42, 43):
        write_tone(root / "clips" / clip(number), 0.5 + number / 100, seed=number, sampling_rate=32_000 if number % 2 else 48_000)
    (root / "clips" / clip(7)).touch()
    (root / "clips/._common_voice_en_1.mp3").write_bytes(b"\0\5\x16\7 left by macOS")
    return root


@pytest.fixture
def corpus(tmp_path: Path, built: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "cv-corpus-17.0-2024-03-15/en"))


def prepare(source: Path, out: Path, assignments: tuple[str, ...] = (), **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), read_settings(script.Settings, assignments))
    assert report.rows_read == report.kept + report.not_chosen + sum(report.dropped.values())
    return report


def rows_of(out: Path) -> dict[str, Any]:
    return {u.id.removeprefix("common_voice-common_voice_en_"): u for path in sorted(out.glob("*.jsonl")) for u in Manifest.read(path)}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_rows_become_utterances_with_everything_the_corpus_says(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    u = rows_of(tmp_path / "out")["1"]
    assert u.to_json() == {
        "audio_sha1": u.audio_sha1,
        "id": "common_voice-common_voice_en_1", "audio_filepath": "audio/common_voice-common_voice_en_1.flac", "duration": 0.51,
        "text": 'He said "yes and left.', "text_raw": 'He said "yes and left.', "speaker": f"common_voice:{client('a')}", "gender": "male",
        "age": "twenties", "accent": "en_england", "accent_raw": "England English", "language": "en", "split": "train",
        "meta": {"sentence_id": f"{1:064x}", "sentence_domain": "general", "up_votes": 2, "down_votes": 0},
    }  # fmt: skip


def test_an_unbalanced_quote_swallows_no_row_and_every_loss_is_counted(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    physical = sum(len((corpus / f"{name}.tsv").read_text().splitlines()) - 1 for name in ("train", "dev", "test"))
    assert report.rows_read == physical == 14
    assert report.facts == {"rows of test.tsv": 2, "rows of dev.tsv": 2, "rows of train.tsv": 10}
    assert report.dropped == {"empty": 1, "empty-text": 1, "missing": 1, "single-word": 2}
    assert report.dropped_examples["missing"][0].startswith('row "common_voice_en_6" (train.tsv, line 7): no file "common_voice_en_6.mp3" under ')
    assert report.dropped_examples["single-word"] == (
        'row "common_voice_en_21" (dev.tsv, line 3): belongs to the single words ("Singleword Benchmark"). Keep them with --set single_words=true.',
        'row "common_voice_en_9" (train.tsv, line 10): belongs to the single words ("Benchmark"). Keep them with --set single_words=true.',
    )
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 6, "dev": 1, "test": 2}
    assert report.test_dropped == ()  # a single word of the test stays, so that scores can be compared
    assert all(report.overlap["train-test"][what] == 0 for what in ("speakers", "sentences", "audio"))


def test_accents_ages_and_genders_are_read_as_people_gave_them(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert (rows["3"].accent, rows["3"].accent_raw) == ("mixed", "United States English,England English")
    assert (rows["4"].accent, rows["4"].accent_raw, rows["4"].gender) == ("en_south_asia", SOUTH_ASIA, None)
    assert (rows["8"].accent, rows["8"].speaker, rows["8"].text) == ("en_l2_german", "common_voice:NA", "None")
    assert (rows["2"].accent, rows["2"].accent_raw) == (None, None)
    assert rows["10"].accent == "mars_english"
    assert [key for key, u in rows.items() if u.meta.get("child")] == ["3"]
    assert report.notes == (
        'accent labels that no map knows, with their rows: "Mars English" (1), "Non native speaker" (1); alone they are kept as slugs. '
        "Name them with --accent-map FILE.",
    )
    report = prepare(corpus, tmp_path / "out", accent_map={"mars english": "en_mars", "england english": "en_uk", "non native speaker": "en_l2"})
    rows = rows_of(tmp_path / "out")
    assert [rows[key].accent for key in ("10", "1", "8", "3")] == ["en_mars", "en_uk", "mixed", "mixed"]
    assert report.notes == ()


def test_some_accents_are_prepared_alone(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", ("accents=EN_england,en_l2_german",))
    assert sorted(rows_of(tmp_path / "out")) == ["1", "8"]
    assert report.dropped == {"missing": 1, "other-accent": 9, "single-word": 2}
    assert report.dropped_examples["other-accent"][0] == (
        'row "common_voice_en_30" (test.tsv, line 2): no accent stated, only EN_england, en_l2_german asked for.'
    )
    assert prepare(corpus, tmp_path / "label", ("accents=england english",), dry_run=True).kept == 1  # `mixed` is another accent
    propagated = prepare(corpus, tmp_path / "more", ("accents=en_england", "propagate_accents=true"), dry_run=True)
    assert propagated.kept == 2
    with pytest.raises(MisuseError, match=r'nobody has the accent "klingon"; the most frequent ones are: .*en_england \(1 rows\)'):
        prepare(corpus, tmp_path / "none", ("accents=Klingon",))


def test_validated_rows_leave_out_whoever_and_whatever_is_tested(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", ("validated=true",))
    assert report.dropped == {"empty": 1, "empty-text": 1, "missing": 1, "sentence-in-dev": 1, "single-word": 2, "speaker-in-test": 1}
    assert report.dropped_examples["sentence-in-dev"] == (
        'row "common_voice_en_41" (validated.tsv, line 3): its sentence stands in dev too, so it is not trained on.',
    )
    assert report.facts["rows of validated.tsv"] == 18
    assert report.facts["rows of validated.tsv that were read from dev.tsv or test.tsv"] == 4
    assert report.rows_read == 18  # 2 of test, 2 of dev, 14 more
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 8, "dev": 1, "test": 2}
    assert sorted(key for key, u in rows_of(tmp_path / "out").items() if u.split == "train") == ["1", "10", "2", "3", "4", "42", "43", "8"]
    assert all(report.overlap[pair][what] == 0 for pair in ("train-dev", "train-test") for what in ("speakers", "sentences"))


def test_a_test_clip_without_audio_still_protects_its_speaker_and_sentence(corpus: Path, tmp_path: Path) -> None:
    (corpus / "clips" / clip(30)).unlink()
    edit(corpus / "validated.tsv", "Neither here nor there.", "It is READ in the test")
    report = prepare(corpus, tmp_path / "out", ("validated=true",))
    assert (report.dropped["speaker-in-test"], report.dropped["sentence-in-test"]) == (1, 1)
    assert [(drop.id, drop.reason) for drop in report.test_dropped] == [("common_voice-common_voice_en_30", "missing")]


def test_all_validated_rows_can_be_divided_by_client(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", ("validated=true", "single_words=true"), splits="speaker")
    assert report.dropped == {"empty": 1, "empty-text": 1, "missing": 1}
    assert report.rows_read == 18
    assert sum(part["utterances"] for part in report.splits.values()) == 15
    assert all(pair["speakers"] == 0 for pair in report.overlap.values())


def test_train_and_dev_can_be_chosen_from_and_test_cannot(corpus: Path, tmp_path: Path) -> None:
    report = prepare(corpus, tmp_path / "out", ("min_votes=1", "min_words=3", "single_words=true"))
    assert report.dropped == {"empty": 1, "empty-text": 1, "few-votes": 1, "few-words": 3, "missing": 1}
    assert report.splits["test"]["utterances"] == 2
    assert report.dropped_examples["few-votes"] == (
        'row "common_voice_en_10" (train.tsv, line 11): 0 votes for it, at least 1 are asked for by min_votes.',
    )


def test_an_accent_is_propagated_where_a_client_says_only_one(corpus: Path, tmp_path: Path) -> None:
    edit(corpus / "train.tsv", "Nobody voted for it.", "Nobody voted for this.")
    edit(corpus / "train.tsv", client("e"), client("b"))  # b says two things now
    edit(corpus / "train.tsv", line(COLUMNS, 6, "d", "This clip is missing."), line(COLUMNS, 5, "b", "Which of the two?").replace("_5.", "_9."))
    report = prepare(corpus, tmp_path / "out", ("propagate_accents=true",))
    rows = rows_of(tmp_path / "out")
    assert (rows["2"].accent, rows["2"].accent_raw, rows["2"].meta["accent_source"]) == ("en_england", "England English", "propagated")
    assert (rows["9"].text, rows["9"].accent) == ("Which of the two?", None)
    assert "accent_source" not in rows["1"].meta
    assert report.repairs["accent taken from other clips of the same client"] == 2  # clip 2, and clip 5, which has no sentence
    prepare(corpus, tmp_path / "plain")
    assert rows_of(tmp_path / "plain")["2"].accent is None


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        (COLUMNS_6, {"accent": "us", "gender": "female"}),
        (COLUMNS_12, {"accents": "United States English", "gender": "female"}),
        (COLUMNS_16, {"accents": "United States English,southern drawl", "gender": "female"}),
        (COLUMNS, {"accents": "United States English", "gender": "female_feminine"}),
        (COLUMNS, {"accents": "southern drawl|United States English", "gender": "female_feminine"}),
    ],
)
def test_every_header_gives_the_same_record(tmp_path: Path, write_tone: Any, columns: str, values: dict[str, str]) -> None:
    write_table(tmp_path / "en/train.tsv", columns, [line(columns, 1, "a", "One sentence.", age="fourties", **values)])
    write_tone(tmp_path / "en/clips" / clip(1), 0.5)
    prepare(tmp_path / "en", tmp_path / "out")
    (u,) = Manifest.read(tmp_path / "out/train.jsonl")
    assert (u.accent, u.gender, u.age, u.text, u.language) == ("en_us", "female", "fourties", "One sentence.", "en")
    assert u.accent_raw == values.get("accent", values.get("accents"))


def test_a_header_that_repeats_accents_is_read_by_its_first(tmp_path: Path, write_tone: Any) -> None:
    good = line(COLUMNS_16, 1, "a", "One sentence.", accents="Scottish English")
    write_table(tmp_path / "en/train.tsv", TWICE, [f"{good}\tWelsh English", line(COLUMNS_16, 2, "b", "Short of a value.")])
    write_tone(tmp_path / "en/clips" / clip(1), 0.5)
    report = prepare(tmp_path / "en", tmp_path / "out")
    (u,) = Manifest.read(tmp_path / "out/train.jsonl")
    assert (u.accent, u.accent_raw) == ("en_scotland", "Scottish English")
    assert report.dropped_examples["wrong-columns"] == (
        "train.tsv, line 3: 11 values for 12 columns. Correct the line, or unpack the archive again.",
    )


def test_the_codes_of_old_releases_are_english_only_in_english(tmp_path: Path, write_tone: Any) -> None:
    write_table(tmp_path / "fr/train.tsv", COLUMNS_6, [line(COLUMNS_6, 1, "a", "Une phrase.", accent="canada", locale="fr")])
    write_tone(tmp_path / "fr/clips" / clip(1), 0.5)
    prepare(tmp_path / "fr", tmp_path / "out")
    (u,) = Manifest.read(tmp_path / "out/train.jsonl")
    assert (u.accent, u.accent_raw, u.language) == ("canada", "canada", "fr")


def test_names_without_extension_and_rows_without_locale(tmp_path: Path, write_tone: Any) -> None:
    bare = line(COLUMNS_6, 1, "a", "First.", path="common_voice_zh-CN_1", locale="")
    write_table(tmp_path / "x/train.tsv", COLUMNS_6, [bare, line(COLUMNS_6, 2, "", "Second.", path="odd.WAV", locale="")])
    write_tone(tmp_path / "x/clips/common_voice_zh-CN_1.mp3", 0.5, seed=1)
    write_tone(tmp_path / "x/clips/odd.wav", 0.5, seed=2)
    prepare(tmp_path / "x", tmp_path / "out")
    first, second = Manifest.read(tmp_path / "out/train.jsonl")
    assert (first.id, first.language) == ("common_voice-common_voice_zh-CN_1", "zh-CN")
    assert (second.id, second.language, second.speaker) == ("common_voice-odd", None, None)


def test_a_variant_can_be_the_accent(tmp_path: Path, write_tone: Any) -> None:
    rows = [
        line(COLUMNS, 1, "a", "Una frase.", accents="barceloní", variant="Valencià", locale="ca"),
        line(COLUMNS, 2, "b", "Una altra.", locale="ca"),
    ]
    write_table(tmp_path / "ca/train.tsv", COLUMNS, rows)
    for number in (1, 2):
        write_tone(tmp_path / "ca/clips" / clip(number), 0.5, seed=number)
    prepare(tmp_path / "ca", tmp_path / "out", ("accent_from=variant",))
    first, second = Manifest.read(tmp_path / "out/train.jsonl")
    assert (first.accent, first.accent_raw, first.meta["variant"], second.accent) == ("valencia", "Valencià", "Valencià", None)
    prepare(tmp_path / "ca", tmp_path / "out")
    assert Manifest.read(tmp_path / "out/train.jsonl")[0].accent == "barceloni"


def test_a_delta_archive_gives_undivided_rows_and_says_so(corpus: Path, tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        (corpus / f"{name}.tsv").unlink()
    report = prepare(corpus, tmp_path / "out")
    assert list(report.splits) == ["all"]
    assert (report.rows_read, report.dropped["single-word"]) == (18, 3)
    assert (
        "no dev.tsv or test.tsv, as in a delta archive, which holds new clips only: the rows of validated.tsv carry no official split."
        in report.notes[0]
    )
    with pytest.raises(CorpusError, match="this corpus names no official splits"):
        prepare(corpus, tmp_path / "out", splits="official")
    assert sum(part["utterances"] for part in prepare(corpus, tmp_path / "out", splits="speaker").splits.values()) == report.kept


def test_the_same_command_twice_and_after_an_interruption(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(corpus, out)
    before = contents(out)
    prepare(corpus, out)
    assert contents(out) == before
    files = sorted((out / "audio").iterdir())
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:100])
    (out / "train.jsonl").write_text("{")
    prepare(corpus, out)
    assert contents(out) == before


def test_folders_above_are_accepted_and_others_told(corpus: Path, tmp_path: Path, write_tone: Any) -> None:
    for source in (corpus.parent, corpus.parent.parent):
        assert prepare(source, tmp_path / "out", dry_run=True).kept == 9
    with pytest.raises(
        CorpusError,
        match=r"does not look like Common Voice; looked for clips/ with train\.tsv or validated\.tsv, .*, found: common_voice_en_1\.mp3, ",
    ):
        prepare(corpus / "clips", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(corpus / "nowhere", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: a file"):
        prepare(corpus / "train.tsv", tmp_path / "out")
    (tmp_path / "cv-corpus-17-en.tar.gz").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"an archive\. Unpack it \(tar -xf cv-corpus-17-en\.tar\.gz\)"):
        prepare(tmp_path / "cv-corpus-17-en.tar.gz", tmp_path / "out")
    write_table(corpus.parent / "cy-southwes/train.tsv", COLUMNS, [])
    (corpus.parent / "cy-southwes/clips").mkdir()
    with pytest.raises(CorpusError, match=r"holds 2 languages or releases \(cy-southwes, en\), one is prepared at a time"):
        prepare(corpus.parent, tmp_path / "out")


def test_tables_that_are_none(corpus: Path, tmp_path: Path) -> None:
    write_table(corpus / "dev.tsv", "client_id path text", [])
    with pytest.raises(CorpusError, match=r"dev\.tsv: no column sentence; found client_id, path, text\. Check that this is the right table\."):
        prepare(corpus, tmp_path / "out")
    (corpus / "dev.tsv").write_text("")
    with pytest.raises(CorpusError, match=r"dev\.tsv: empty, expected a header line"):
        prepare(corpus, tmp_path / "out")
    (corpus / "dev.tsv").write_bytes("client_id\tpath\tsentence\n".encode("utf-16"))
    with pytest.raises(CorpusError, match=r"dev\.tsv: its header is not UTF-8"):
        prepare(corpus, tmp_path / "out")
    (corpus / "validated.tsv").unlink()
    (corpus / "dev.tsv").unlink()
    with pytest.raises(CorpusError, match=r"validated\.tsv: no such table"):
        prepare(corpus, tmp_path / "out", ("validated=true",))


def test_bytes_lengths_and_line_ends_of_a_damaged_table(corpus: Path, tmp_path: Path) -> None:
    lines = [line(COLUMNS, number, "a", "Line " + "abcdefgh"[number]) for number in (1, 2, 3, 4)]
    lines[1] = lines[1].replace("Line c", "x" * (1 << 20))
    data = [
        "\ufeff" + COLUMNS.replace(" ", "\t"),
        lines[0],
        lines[1],
        lines[2].replace("Line d", "Caf\xe9"),
        lines[3].replace("Line e", "one\rtwo\u2028three"),
    ]
    (corpus / "train.tsv").write_bytes("\r\n".join([*data, "", "\t\t", ""]).encode("utf-8").replace("Caf\xe9".encode(), b"Caf\xe9"))
    report = prepare(corpus, tmp_path / "out")
    assert (report.dropped["line-too-long"], report.dropped["not-utf-8"], report.facts["rows of train.tsv"]) == (1, 1, 4)
    assert "train.tsv, line 4: byte 0xe9 at character " in report.dropped_examples["not-utf-8"][0]
    assert rows_of(tmp_path / "out")["4"].text == "one two three"
    (corpus / "train.tsv").write_text("\r".join([COLUMNS.replace(" ", "\t"), lines[0], lines[2]]), newline="")
    assert prepare(corpus, tmp_path / "out").facts["rows of train.tsv"] == 2


def test_quotes_and_backslashes_of_table_writers_are_undone(corpus: Path, tmp_path: Path) -> None:
    edit(corpus / "train.tsv", 'He said "yes and left.', 'He said ""yes"" and left.')
    edit(corpus / "train.tsv", "The next line survives.", 'The next\\\tline \\"survives\\".')
    report = prepare(corpus, tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert (rows["1"].text, rows["1"].text_raw) == ('He said "yes" and left.', 'He said ""yes"" and left.')
    assert (rows["2"].text, rows["2"].text_raw) == ('The next line "survives".', 'The next\\\tline \\"survives\\".')
    assert report.repairs == {"backslashes or doubled quotes of the table's writer undone": 2}


@pytest.mark.parametrize("path", ["../../../secret.mp3", "clips/../../../../secret.mp3", "{absolute}", "/etc/hostname", "..", "link.mp3"])
def test_paths_may_not_leave_the_corpus(corpus: Path, tmp_path: Path, write_tone: Any, path: str) -> None:
    secret = write_tone(tmp_path / "secret.mp3", 0.5)
    (corpus / "clips/link.mp3").symlink_to(secret)
    edit(corpus / "train.tsv", clip(1), path.replace("{absolute}", str(secret)))
    report = prepare(corpus, tmp_path / "out")
    lost = report.dropped.get("outside-corpus", 0) + report.dropped["missing"]
    assert lost == 2
    assert report.kept == 8
    if path != "..":
        assert "leaves the folder of the corpus" in report.dropped_examples["outside-corpus"][0]


def test_a_clip_in_two_splits_stays_in_the_test(corpus: Path, tmp_path: Path) -> None:
    edit(corpus / "train.tsv", clip(2), clip(30))
    report = prepare(corpus, tmp_path / "out")
    assert report.dropped["duplicate-id"] == 1
    assert rows_of(tmp_path / "out")["30"].split == "test"


def test_audio_can_stay_where_it_is_even_behind_a_linked_folder(corpus: Path, tmp_path: Path) -> None:
    (corpus / "clips").rename(tmp_path / "disk")
    (corpus / "clips").symlink_to(tmp_path / "disk")
    report = prepare(corpus, tmp_path / "out", in_place=True)
    assert report.kept == 9
    assert rows_of(tmp_path / "out")["1"].audio_filepath == str((tmp_path / "disk" / clip(1)).resolve())


SPOKEN = (
    "client_id audio_id audio_file duration_ms prompt_id prompt transcription votes age gender accents variant language prompt_upvotes "
    "prompt_reports is_edited split char_per_sec quality_tags"
)


def answer(number: int, transcription: str, split: str, **values: str) -> str:
    given = {
        "client_id": client("abcdefgh"[number]), "audio_id": str(number), "audio_file": f"spontaneous-speech-en-{number}.mp3", "votes": "1",
        "transcription": transcription, "split": split, "language": "en", "prompt_id": f"p{number}", "prompt": "What do you see?", **values,
    }  # fmt: skip
    return "\t".join(given.get(name, "") for name in SPOKEN.split())


@pytest.fixture
def spoken(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "sps-corpus-1.0-2025-09-05-en"
    answers = [
        answer(
            0, "Well, I [disfluency] went home.", "train", accents="Irish English|Northern Irish", gender="male_masculine", votes="3", age="teens"
        ),
        answer(1, "[noise]", "train"),
        answer(2, "", "train"),
        answer(3, "A very long answer.", "train", quality_tags="long audio"),
        answer(4, "Not assigned.", "unassigned"),
        answer(5, "For dev.", "dev"),
        answer(6, "For the test.", "test", quality_tags="short audio|low cps", audio_file="audios/spontaneous-speech-en-6.mp3"),
        answer(7, "Short.", "train", quality_tags="short audio", language="English", accents="Irish English"),
    ]
    write_table(root / "ss-corpus-en.tsv", SPOKEN, answers)
    write_table(root / "ss-reported-audios-en.tsv", "audio_id reason", ["1\tnoise"])
    for number in range(8):
        write_tone(root / f"audios/spontaneous-speech-en-{number}.mp3", 31.0 if number == 3 else 0.6, seed=number)
    return root


def test_spontaneous_speech_is_known_by_its_layout(spoken: Path, tmp_path: Path) -> None:
    report = prepare(spoken.parent, tmp_path / "out")
    assert report.corpus.name == "common_voice_spontaneous"
    assert report.dropped == {"empty-text": 2, "no-split": 1, "too-long": 1}
    assert (report.rows_read, report.kept, report.facts) == (8, 4, {"rows of ss-corpus-en.tsv": 8})
    assert report.repairs == {"tags in brackets taken out of the transcript": 2}
    assert {name: part["utterances"] for name, part in report.splits.items()} == {"train": 2, "dev": 1, "test": 1}
    first, last = Manifest.read(tmp_path / "out/train.jsonl")
    assert first.to_json() == {
        "audio_sha1": first.audio_sha1,
        "id": "common_voice_spontaneous-spontaneous-speech-en-0", "audio_filepath": "audio/common_voice_spontaneous-spontaneous-speech-en-0.flac",
        "duration": pytest.approx(0.6, abs=0.08), "text": "Well, I went home.", "text_raw": "Well, I [disfluency] went home.",
        "speaker": f"common_voice:{client('a')}", "gender": "male", "age": "teens", "accent": "mixed", "accent_raw": "Irish English|Northern Irish",
        "language": "en", "split": "train", "meta": {"prompt_id": "p0", "votes": 3, "child": True},
    }  # fmt: skip
    assert (last.accent, last.language, last.meta["quality_tags"]) == ("en_ireland", "en", "short audio")
    assert report.corpus.license == "CC0-1.0"


def test_spontaneous_speech_can_be_chosen_and_divided(spoken: Path, tmp_path: Path) -> None:
    report = prepare(spoken, tmp_path / "out", ("flagged=false", "min_votes=2"))
    assert report.dropped == {"few-votes": 6}  # the test row has one vote, too
    assert sum(part["utterances"] for part in report.splits.values()) == 2
    report = prepare(spoken, tmp_path / "out", ("flagged=false",))
    assert report.dropped == {"empty-text": 2, "flagged": 2, "no-split": 1}
    assert 'flagged as "long audio". Keep such rows with --set flagged=true.' in report.dropped_examples["flagged"][0]
    report = prepare(spoken, tmp_path / "out", splits="speaker")
    assert sum(part["utterances"] for part in report.splits.values()) + report.dropped.get("too-long", 0) == 6
    (spoken / "ss-corpus-cy.tsv").write_text("")
    with pytest.raises(CorpusError, match=r"2 tables \(ss-corpus-cy\.tsv, ss-corpus-en\.tsv\), one is read"):
        prepare(spoken, tmp_path / "out")


CELL = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12) | st.sampled_from(
    ['"', '""', "\\", "a\\", "(", "|", "NA", "[x]", clip(1), clip(2)]
)
CELLS = st.lists(CELL, min_size=10, max_size=14).map("\t".join)
ODD = st.binary(max_size=40) | CELLS.map(str.encode) | st.sampled_from([one.encode() for one in (*TRAIN, *MORE)])


@fuzz(120)
@given(lines=st.lists(ODD, max_size=6), end=st.sampled_from([b"\n", b"\r\n"]))
def test_any_table_is_read_or_refused(corpus: Path, tmp_path: Path, lines: list[bytes], end: bytes) -> None:
    good = line(COLUMNS, 1, "a", "A good line.").encode()
    table = end.join([COLUMNS.replace(" ", "\t").encode(), good, *lines])
    (corpus / "train.tsv").write_bytes(table)
    physical = [one for one in table.decode("utf-8", "replace").split("\n")[1:] if one.strip()]
    report = prepare(corpus, tmp_path / "out", ("propagate_accents=true",), dry_run=True, allow_missing=True)
    assert report.facts["rows of train.tsv"] == len(physical)
    assert report.rows_read == len(physical) + 4
    assert report.kept >= 1


@fuzz(60)
@given(header=st.lists(st.sampled_from([*COLUMNS.split(), "x", ""]), max_size=14), rest=st.binary(max_size=200))
def test_any_header_is_read_or_refused(corpus: Path, tmp_path: Path, header: list[str], rest: bytes) -> None:
    (corpus / "train.tsv").write_bytes("\t".join(header).encode() + b"\n" + rest)
    needed = {"client_id", "path", "sentence"} <= set(header)
    if needed:
        assert prepare(corpus, tmp_path / "out", dry_run=True, allow_missing=True).kept >= 3
    else:
        with pytest.raises(CorpusError, match=r"train\.tsv: (no column|empty|its header is not UTF-8)"):
            prepare(corpus, tmp_path / "out", dry_run=True, allow_missing=True)
