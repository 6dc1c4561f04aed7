"""OpenSLR's crowd-sourced sets: numbers used for several people, lists in several shapes, zips packed and unpacked."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzz
from hypothesis import given
from hypothesis import strategies as st
from reruns import assert_reruns_change_nothing

from speechadapt.bundled import load_bundled
from speechadapt.data.manifest import Manifest
from speechadapt.errors import CorpusError, MisuseError
from speechadapt.preparation import Intake, PrepareOptions, PrepReport

script: Any = load_bundled("data_prep", "openslr")

WELSH = {
    "wef_12484_01482829612": ("EN1223", "The sun provides energy"),
    "wef_12484_00000000002": ("BI0057", "It cost me £ 9.50, I’m afraid"),
    "wef_00487_00000000003": ("GC0034", "Read by everyone"),
}
SOUTHERN = {
    "som_12484_00000000004": ("GC0034", "Read by everyone"),
    "som_12484_00000000005": ("LN0001", "NA"),
}
ARGENTINIAN = {"arf_00295_00000228946": "Y las otras dos son una cajita", "arf_00610_00000000007": "¿Cuánto cuesta?"}


def write_set(folder: Path, write_tone: Any, lines: dict[str, str], index: str = "line_index.tsv", seed: int = 0) -> Path:
    """One unpacked zip: recordings at 48 kHz beside their list."""
    for number, stem in enumerate(lines):
        write_tone(folder / f"{stem}.wav", 0.5 + number / 10, seed=seed + number, sampling_rate=48_000)
    (folder / index).write_bytes("".join(f"{line}\n" for line in lines.values()).encode())
    return folder


def comma_lines(rows: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {stem: f"{line_id}, {stem}, {text}" for stem, (line_id, text) in rows.items()}


@pytest.fixture
def slr83(tmp_path: Path, write_tone: Any) -> Path:
    root = tmp_path / "SLR83"
    write_set(root / "welsh_english_female", write_tone, comma_lines(WELSH), "line_index.csv")
    write_set(root / "southern_english_male", write_tone, comma_lines(SOUTHERN), "line_index.csv", seed=50)
    everything = [*comma_lines(SOUTHERN).values(), *comma_lines(WELSH).values()]
    (root / "line_index_all.csv").write_text("\n".join(everything) + "\n", encoding="utf-8")
    (root / "about.html").touch()
    return root


@pytest.fixture
def slr61(tmp_path: Path, write_tone: Any) -> Path:
    lines = {stem: f"{stem}\t{text}" for stem, text in ARGENTINIAN.items()}
    write_set(tmp_path / "SLR61/es_ar_female", write_tone, lines, seed=100)
    return tmp_path / "SLR61"


def prepare(source: Path, out: Path, slr: int | None = None, **options: Any) -> PrepReport:
    report: PrepReport = script.prepare(source, out, PrepareOptions(**options), script.Settings(slr=slr))
    return report


def pack(folder: Path) -> Path:
    """The folder as the flat zip it came in, with what macOS adds; the folder goes."""
    archive = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in sorted(folder.iterdir()):
            zipped.write(path, path.name)
            path.unlink()
        zipped.writestr("__MACOSX/._line_index.tsv", "junk")
    folder.rmdir()
    return archive


def test_a_number_alone_is_no_speaker_and_a_row_has_all_the_corpus_says(slr83: Path, tmp_path: Path) -> None:
    report = assert_reruns_change_nothing(lambda out: prepare(slr83, out), tmp_path / "out")
    assert (report.rows_read, report.kept, report.dropped, report.speakers) == (5, 5, {}, 3)
    assert report.facts == {"lines_repeated_in_another_list": 0, "orphan_recordings": 0}  # the list of everything was not needed
    assert report.corpus.title == "OpenSLR crowd-sourced speech (SLR83)"
    assert (report.corpus.license, report.corpus.home) == ("CC BY-SA 4.0", "https://www.openslr.org/83/")
    rows = {u.id: u for u in Manifest.read(tmp_path / "out/all.jsonl")}
    assert {u.speaker for u in rows.values()} == {"openslr:wef_12484", "openslr:wef_00487", "openslr:som_12484"}
    assert rows["openslr-wef_12484_00000000002"].to_json() == {
        "audio_sha1": rows["openslr-wef_12484_00000000002"].audio_sha1,
        "id": "openslr-wef_12484_00000000002", "audio_filepath": "audio/openslr-wef_12484_00000000002.flac", "duration": 0.6,
        "text": "It cost me £ 9.50, I'm afraid", "text_raw": "It cost me £ 9.50, I’m afraid", "speaker": "openslr:wef_12484",
        "gender": "female", "accent": "en_wales", "accent_raw": "Welsh English", "region": "Wales", "language": "en",
        "meta": {"slr": 83, "line_id": "BI0057"},
    }  # fmt: skip
    south = rows["openslr-som_12484_00000000005"]
    assert (south.text, south.gender, south.accent, south.region) == ("NA", "male", "en_england", "Southern England")


def test_splits_by_speaker_share_sentences_and_say_so(tmp_path: Path, write_tone: Any) -> None:
    rows = {f"scm_{speaker:05d}_{line:011d}": (f"GC{line:04d}", f"sentence number {line}") for speaker in range(6) for line in range(4)}
    write_set(tmp_path / "c/scottish_english_male", write_tone, comma_lines(rows), "line_index.csv")
    report = prepare(tmp_path / "c", tmp_path / "out", splits="speaker")
    assert report.overlap["train-test"] | {"sentences": 4, "speakers": 0, "test_rows_with_shared_sentence": 8} == report.overlap["train-test"]
    assert "many speakers read the same sentences" in report.notes[0]
    both = prepare(tmp_path / "c", tmp_path / "both", splits="speaker+sentence")
    assert both.overlap.get("train-test", {}).get("sentences", 0) == 0
    assert both.rows_read == both.kept + sum(both.dropped.values()) == 24


def test_accents_are_mapped_as_the_user_says(slr83: Path, tmp_path: Path) -> None:
    report = prepare(slr83, tmp_path / "out", dry_run=True, accent_map={"welsh english": "cymru"})
    assert sorted(report.accents) == ["cymru", "en_england"]


def test_odd_lines_are_rescued_or_counted(tmp_path: Path, write_tone: Any) -> None:
    lines = {
        "mrt_01523_00000000001": "mrt_01523_00000000001\t\tदोन टॅब",
        "mrt_01523_00000000002": "mrt_01523_00000000002\tmiddle\tमधला स्तंभ\t",
        "mrt_01523_00000000003": "mrt_01523_00000000003",
        "mrt_01524_00000000004": "mrt_01524_00000000004.wav\tपूर्ण नाव \u2028 ?",
        "mrt_01524_00000000005": "mrt_01524_00000000005\ta\tb\tc",
        "mrt_01524_00000000006": "MRT_01524_00000000006\tdifferent case",
        "nospeaker": "nospeaker\ttext",
        "mrt_01524_00000000008": "mrt_01524_00000000009\tno such recording",
    }
    write_set(tmp_path / "mr_in_female", write_tone, lines)
    index = tmp_path / "mr_in_female/line_index.tsv"
    index.write_bytes(b"\xef\xbb\xbf" + index.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    (tmp_path / "mr_in_female/._line_index.tsv").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "mr_in_female/._mrt_01523_00000000001.wav").write_bytes(b"\x00\x05\x16\x07")
    report = prepare(tmp_path / "mr_in_female", tmp_path / "out")
    assert report.dropped == {"malformed-line": 2, "missing": 1}
    assert report.rows_read == report.kept + sum(report.dropped.values()) == 8
    assert report.repairs == {"file name with its ending, removed": 1, "file name without a speaker, left empty": 1}
    assert report.facts["orphan_recordings"] == 3  # of the two malformed lines and the wrong name
    rows = {u.id: u for u in Manifest.read(tmp_path / "out/all.jsonl")}
    assert rows["openslr-mrt_01523_00000000001"].text == "दोन टॅब"
    assert rows["openslr-mrt_01523_00000000002"].text == "मधला स्तंभ"
    first = rows["openslr-mrt_01524_00000000004"]
    assert (first.text, first.speaker, first.gender, first.language) == ("पूर्ण नाव ?", "openslr:mrt_01524", "female", "mr")
    assert (first.accent, first.region, rows["openslr-nospeaker"].speaker) == (None, "India", None)
    assert report.dropped_examples["malformed-line"][0] == (
        'mr_in_female/line_index.tsv, line 3: found "mrt_01523_00000000003", expected a file name and a text. Correct the line.'
    )
    assert report.corpus.language == "mr"


def test_zips_are_unpacked_once_and_only_under_the_output(slr83: Path, slr61: Path, tmp_path: Path) -> None:
    unpacked = prepare(tmp_path / "SLR83", tmp_path / "reference")
    pack(slr83 / "welsh_english_female")
    pack(slr83 / "southern_english_male")
    with zipfile.ZipFile(slr83 / "photos.zip", "w") as other:
        other.writestr("secret.txt", "not of this corpus")
    (slr83 / "line_index_all.csv").unlink()
    source = sorted(path.name for path in slr83.iterdir())
    with pytest.raises(MisuseError, match=r"southern_english_male\.zip: is packed, and --dry-run writes nothing"):
        prepare(slr83, tmp_path / "dry", dry_run=True)
    assert not (tmp_path / "dry").exists()
    report = assert_reruns_change_nothing(lambda out: prepare(slr83, out), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out/unpacked").iterdir()) == ["southern_english_male", "welsh_english_female"]
    assert (report.kept, report.speakers, report.accents) == (unpacked.kept, unpacked.speakers, unpacked.accents)
    assert report.repairs == {"archive member left out: junk of an operating system": 2}
    assert (tmp_path / "out/all.jsonl").read_bytes() == (tmp_path / "reference/all.jsonl").read_bytes()
    assert sorted(path.name for path in slr83.iterdir()) == source
    assert prepare(slr83, tmp_path / "out", dry_run=True).kept == 5  # what an earlier run unpacked is there
    in_place = prepare(slr83, tmp_path / "out", in_place=True)
    assert in_place.kept == 5
    assert Manifest.read(tmp_path / "out/all.jsonl")[0].audio_filepath.startswith(str((tmp_path / "out/unpacked").resolve()))


def test_a_zip_beside_its_folder_is_left_alone_and_output_inside_the_source_is_no_corpus(slr61: Path) -> None:
    folder = slr61 / "es_ar_female"
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    pack(folder)
    folder.mkdir()
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    report = assert_reruns_change_nothing(lambda out: prepare(slr61, out), slr61 / "prepared")
    assert (report.kept, report.dropped) == (2, {})
    assert report.repairs == {"archive left packed: the folder of its name lies beside it": 1}
    assert not (slr61 / "prepared/unpacked").exists()


def test_what_an_earlier_run_unpacked_inside_the_source_is_not_read_again(slr61: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = slr61 / "es_ar_female"
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    pack(folder)
    monkeypatch.chdir(slr61)
    report = assert_reruns_change_nothing(lambda out: prepare(slr61, out), Path("prepared"))  # relative, and the source is not
    assert (report.kept, report.facts) == (2, {"lines_repeated_in_another_list": 0, "orphan_recordings": 0})
    folder.mkdir()
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    report = prepare(slr61, Path("prepared"))
    assert (report.kept, report.facts) == (2, {"lines_repeated_in_another_list": 0, "orphan_recordings": 0})


def test_several_numbers_lie_together_under_a_parent(slr83: Path, slr61: Path, tmp_path: Path) -> None:
    corpora = tmp_path / "corpora"
    corpora.mkdir()
    slr83.rename(corpora / "a")
    slr61.rename(corpora / "b")
    report = prepare(corpora, tmp_path / "out")
    assert (report.kept, report.corpus.language) == (7, None)
    assert report.corpus.home == "https://www.openslr.org/61/, https://www.openslr.org/83/"
    assert set(report.accents) == {"en_england", "en_wales", "es_argentina"}
    u = next(u for u in Manifest.read(tmp_path / "out/all.jsonl") if u.language == "es")
    assert (u.accent_raw, u.region, u.meta, u.gender) == ("Argentinian Spanish", "Argentina", {"slr": 61}, "female")


def test_a_list_of_the_page_serves_folders_without_their_own(slr61: Path, tmp_path: Path) -> None:
    folder = slr61 / "es_ar_female"
    (folder / "line_index.tsv").rename(slr61 / "line_index_female.tsv")
    report = prepare(slr61, tmp_path / "out")
    assert (report.kept, report.facts["lines_repeated_in_another_list"]) == (2, 0)
    (folder / "line_index.tsv").write_text("arf_00295_00000228946\tY las otras dos son una cajita\n")
    (folder / "line_index_female.tsv").write_bytes((slr61 / "line_index_female.tsv").read_bytes())
    report = prepare(slr61, tmp_path / "out")  # both lists beside the recordings
    assert (report.kept, report.rows_read, report.facts["lines_repeated_in_another_list"]) == (2, 2, 1)
    (folder / "line_index.tsv").write_text("arf_00295_00000228946\tanother text\narf_00295_00000228946\tanother text\n")
    report = prepare(slr61, tmp_path / "out")
    assert (report.kept, report.dropped) == (2, {"duplicate-id": 2})


def test_the_number_is_a_setting_where_no_name_tells_it(slr61: Path, slr83: Path, tmp_path: Path, write_tone: Any) -> None:
    lines = {"clf_00001_00000000001": "clf_00001_00000000001\tHola"}
    write_set(tmp_path / "mine/female", write_tone, lines)
    with pytest.raises(CorpusError, match=r'female/line_index\.tsv, line 1: neither a folder nor the file name "clf_00001_00000000001" tells which'):
        prepare(tmp_path / "mine", tmp_path / "out")
    report = prepare(tmp_path / "mine", tmp_path / "out", slr=71)
    assert (list(report.accents), report.corpus.language) == (["es_chile"], "es")
    assert Manifest.read(tmp_path / "out/all.jsonl")[0].gender == "female"
    with pytest.raises(CorpusError, match=r"its name says SLR61, --set slr says 71"):
        prepare(slr61, tmp_path / "out2", slr=71)
    with pytest.raises(MisuseError, match=r"--set slr=12: must be one of 61, 63, 64"):
        prepare(slr61, tmp_path / "out2", slr=12)
    (slr83 / "welsh_english_female").rename(slr83 / "one")
    report = prepare(slr83 / "one", tmp_path / "out3")  # the files of SLR83 tell it themselves
    assert Manifest.read(tmp_path / "out3/all.jsonl")[0].gender == "female"
    assert list(report.accents) == ["en_wales"]


def test_paths_may_not_leave_the_corpus(tmp_path: Path, write_tone: Any) -> None:
    secret = write_tone(tmp_path / "secret_1_1.wav")
    lines = {"arf_1_1": "arf_1_1\tgood", "a": "../../secret_1_1\tup", "b": f"{secret.with_suffix('')}\tabsolute", "c": "/etc/hostname\tsystem"}
    folder = write_set(tmp_path / "deep/es_ar_female", write_tone, {"arf_1_1": lines["arf_1_1"]})
    (folder / "line_index.tsv").write_text("\n".join(lines.values()))
    report = prepare(folder, tmp_path / "out")
    assert (report.kept, report.dropped) == (1, {"outside-corpus": 3})
    assert '"../../secret_1_1.wav" leaves the folder of the corpus' in report.dropped_examples["outside-corpus"][0]


def test_a_folder_without_lists_and_a_list_that_is_no_text_are_told(slr61: Path, tmp_path: Path) -> None:
    (tmp_path / "empty/photos").mkdir(parents=True)
    with pytest.raises(
        CorpusError, match=r"looked for line_index\.csv, line_index\.tsv and zips named like .*, found: photos\. It should be a folder"
    ):
        prepare(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(CorpusError, match="found: no such folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    (slr61 / "es_ar_female/line_index.tsv").write_bytes(b"arf_00295_00000228946\tca\xf1a\n")
    with pytest.raises(CorpusError, match="UTF-8"):
        prepare(slr61, tmp_path / "out")


@pytest.mark.parametrize(
    ("line", "comma", "parsed"),
    [
        ("EN1223, wef_12484_01482829612, The sun provides energy", True, ("EN1223", "wef_12484_01482829612", "The sun provides energy")),
        ("EN1, wef_1_2, one, two", True, ("EN1", "wef_1_2", "one, two")),
        ("EN1, wef_1_2,", True, None),
        ("EN1, wef_1_2", True, None),
        ("arf_1_2\tHola, qué tal", False, (None, "arf_1_2", "Hola, qué tal")),
        ("arf_1_2\t\t \tHola\t", False, (None, "arf_1_2", "Hola")),
        ("arf_1_2\tx\tHola", False, (None, "arf_1_2", "Hola")),
        ("arf_1_2", False, None),
        ("arf_1_2\tx\ty\tHola", False, None),
    ],
)
def test_lines(line: str, comma: bool, parsed: tuple[str | None, str, str] | None) -> None:
    assert script.parse_line(line, comma) == parsed


def test_every_zip_of_the_family_is_known_by_its_name() -> None:
    names = "es_ar_male es_weather_messages es_cl_female es_co_male es_pe_male es_pr_female es_ve_male en_ng_male ml_in_male mr_in_female ta_in_male"
    more = "te_in_male ca_es_male eu_es_male gl_es_male gu_in_male kn_in_male my_mm_female yo_ng_male irish_english_male midlands_english_female"
    numbers = [script.find_variety([name]).slr for name in (names + " " + more).split()]
    assert numbers == [61, 61, 71, 72, 73, 74, 75, 70, 63, 64, 65, 66, 69, 76, 77, 78, 79, 80, 86, 83, 83]
    assert script.find_variety(["wavs", "SLR-71"]).region == "Chile"
    assert script.find_variety(["wavs", "SLR83"]) is None  # six varieties
    assert [script.find_gender([name]) for name in ("es_ar_male", "es-ar-FEMALE", "es_weather_messages")] == ["male", "female", None]


PARTS = st.sampled_from(
    ["wef_12484_01482829612", "EN1223", ", ", "\t", "text", "../x", "/etc/passwd", "\0", "x" * 300, "£", "\u2028", "\r", '"', ".wav"]
)


@fuzz(150)
@given(lines=st.lists(st.one_of(st.lists(PARTS, max_size=6).map("".join), st.text(max_size=40)), max_size=4), suffix=st.sampled_from(["csv", "tsv"]))
def test_any_list_is_read_or_refused_in_words(lines: list[str], suffix: str, tmp_path: Path, write_tone: Any) -> None:
    folder = tmp_path / "welsh_english_female"
    if not folder.exists():
        write_tone(folder / "wef_12484_01482829612.wav", 0.5)
    for old in folder.glob("line_index.*"):
        old.unlink()
    text = "\n".join(line.encode("utf-8", "replace").decode() for line in lines)
    (folder / f"line_index.{suffix}").write_bytes(text.encode())
    intake = Intake()
    read = script.read_rows(folder, [folder], script.FolderNames(folder, [folder], None), PrepareOptions(), intake)
    expected = sum(1 for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip(" \t"))
    assert len(list(read)) + len(intake.drops) == expected
