"""Recipes for corpora of people's speech, each from a miniature of its corpus to a verdict; what is missing, wrong or misspelled is told.

The miniatures hold tones, so nothing is learned but in the slow test: what is asserted is who and what stands in which set.
"""

import ast
import contextlib
import importlib.util
import io
import itertools
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_corpora as small

from speechadapt.bundled import bundled_folder, bundled_names, load_bundled, load_script
from speechadapt.cli import main
from speechadapt.corpora import choose_guard, choose_rows
from speechadapt.data.manifest import Manifest, join_manifests
from speechadapt.data.utterance import Utterance
from speechadapt.errors import ManifestError
from speechadapt.runs import Run
from speechadapt.settings import override, settings_of
from speechadapt.text.sentence import sentence_key

FEW = {"TRAIN.steps": "2", "TRAIN.evaluate_every": "1", "SPEC.rank": "2"}
ROOT = Path(__file__).resolve().parent.parent
CORPUS_RECIPES = (
    *("african_english", "chilean_spanish", "common_voice", "indian_english", "l2_arctic"),
    *("mandarin_dialect", "nigerian_english", "scottish_english", "swiss_german", "welsh_english"),
)
BRITISH = {"scottish_english_female": ("scf", 4), "southern_english_male": ("som", 3), "welsh_english_male": ("wem", 4)}


class Finished:
    """A run that has ended: its sets, its chosen rows by manifest, and what was told."""

    def __init__(self, folder: Path, told: str) -> None:
        self.folder, self.told = folder, told
        self.sets: list[dict[str, Any]] = json.loads((folder / "comparison.json").read_text())["sets"]
        self.rows = {path.stem: Manifest.read(path) for path in sorted((folder / "manifests").glob("*.jsonl"))}
        self.adapter: dict[str, Any] = json.loads((folder / "adapter/speechadapt.json").read_text())

    @property
    def roles(self) -> list[tuple[str, str]]:
        return [(one["name"], one["role"]) for one in self.sets]

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Rows and speakers of each manifest."""
        return {name: (len(rows), len(rows.speakers)) for name, rows in self.rows.items()}

    def assert_disjoint(self) -> None:
        """Train and dev share no speaker and, once leaks are dropped, no sentence with what is scored; train and dev share no speaker."""
        dropped = json.loads((self.folder / "leaks.json").read_text())
        scored = [name for name, _ in self.roles if name in self.rows]
        pairs = [("train", "dev"), *((first, second) for first in ("train", "dev") for second in scored)]
        for first, second in pairs:
            assert not set(self.rows[first].speakers) & set(self.rows[second].speakers), (first, second)
        for first, second in pairs[1:]:
            gone = {key for ids in dropped[first]["ids_by_cause"].values() for key in ids}
            kept = {sentence_key(u.text) for u in self.rows[first] if u.id not in gone}
            assert kept
            assert not kept & {sentence_key(u.text) for u in self.rows[second]}, (first, second)


Go = Callable[..., Finished]


def call(recipe: str, out: Path, **settings: object) -> tuple[int, str]:
    words = ["run", recipe, *(word for name, value in settings.items() for word in ("--set", f"{name}={value}")), "--out", str(out)]
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = main(words)
    return code, err.getvalue()


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ctc_folder: Callable[[str], Path]) -> Go:
    """`go(recipe, SOURCE=…)`: run it on a random CTC model in an empty folder; the run lies in `run` unless `out` says otherwise."""
    monkeypatch.chdir(tmp_path)

    def run(recipe: str, out: str = "run", **settings: object) -> Finished:
        code, told = call(recipe, tmp_path / out, **({"BASE": ctc_folder("wav2vec2-layer"), **FEW} | settings))
        assert (tmp_path / out / "comparison.json").is_file(), told
        assert code in (0, 1)  # 1: a random model may get worse
        return Finished(tmp_path / out, told)

    return run


@pytest.fixture(scope="module")
def british(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.write_openslr(tmp_path_factory.mktemp("british") / "SLR83", BRITISH)


@pytest.fixture(scope="module")
def plain_guard(british: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guard manifest of one's own, which spares the runs the synthetic voice."""
    from speechadapt.preparation import PrepareOptions

    out = tmp_path_factory.mktemp("guard")
    load_bundled("data_prep", "openslr").prepare(british / "southern_english_male", out, PrepareOptions())
    return out / "all.jsonl"


def accents(rows: Manifest) -> set[str | None]:
    return {u.accent for u in rows}


def test_scottish_and_welsh_english_share_what_was_prepared(go: Go, british: Path, whisper_folder: Callable[[str], Path], tmp_path: Path) -> None:
    scottish = go("scottish_english", SOURCE=british, BASE=whisper_folder("english"))
    assert scottish.roles == [("test", "test"), ("guard", "guard")]
    assert scottish.sizes() == {"train": (8, 2), "dev": (4, 1), "test": (6, 1), "guard": (18, 3)}
    assert [accents(scottish.rows[name]) for name in ("train", "dev", "test", "guard")] == [{"en_scotland"}] * 3 + [{"en_england"}]
    scottish.assert_disjoint()
    assert (scottish.adapter["language"], scottish.adapter["family"]) == ("en", "whisper")
    assert scottish.sets[0]["short_window"] is not None
    assert "preparing OpenSLR crowd-sourced speech" in scottish.told
    assert "license: CC BY-SA 4.0; commercial use: yes, with attribution; share-alike" in scottish.told
    assert "en_scotland: 24 of 66 rows; divided by speaker and sentence, rows that fit no part: 6 sentence-in-test" in scottish.told
    about = json.loads((scottish.folder / "manifests/corpus.json").read_text())
    assert (about["name"], about["license"], about["audio_roots"]) == ("openslr", "CC BY-SA 4.0", [str((tmp_path / "data/openslr83").resolve())])
    groups = json.loads((scottish.folder / "reports/test.base.json").read_text())["groups"]
    assert sorted(groups) == ["accent", "gender", "speaker"]
    welsh = go("welsh_english", out="welsh", DATA="data/openslr83")
    assert "prepared before, from" in welsh.told
    assert accents(welsh.rows["train"]) == {"en_wales"}
    assert welsh.sizes() == {"train": (8, 2), "dev": (4, 1), "test": (6, 1), "guard": (18, 3)}
    welsh.assert_disjoint()


def test_nigerian_english_takes_a_guard_that_is_given_or_lies_beside(go: Go, plain_guard: Path, tmp_path: Path) -> None:
    source = small.write_openslr(tmp_path / "SLR70", {"en_ng_female": ("ngf", 4), "southern_english_male": ("som", 2)})
    run = go("nigerian_english", SOURCE=source, GUARDS=plain_guard)
    assert run.roles == [("test", "test"), ("all", "guard")]
    assert accents(run.rows["test"]) == {"en_nigeria"}
    beside = go("nigerian_english", out="beside", GUARD_ACCENT="Southern English")
    assert beside.roles == [("test", "test"), ("guard", "guard")]
    assert accents(beside.rows["guard"]) == {"en_england"}
    beside.assert_disjoint()


def test_chilean_spanish_is_guarded_by_another_variety(go: Go, tmp_path: Path) -> None:
    source = small.write_openslr(tmp_path / "both", {"es_cl_female": ("clf", 4), "es_co_male": ("com", 3)})
    run = go("chilean_spanish", SOURCE=source)
    assert run.roles == [("test", "test"), ("guard", "guard")]
    assert [accents(run.rows[name]) for name in ("train", "test", "guard")] == [{"es_chile"}, {"es_chile"}, {"es_colombia"}]
    assert (run.adapter["language"], run.sets[0]["normalizer"]) == ("es", "basic:es")
    run.assert_disjoint()


def test_svarah_is_divided_here_and_nisp_keeps_its_lists(go: Go, plain_guard: Path, tmp_path: Path) -> None:
    svarah = go("indian_english", SOURCE=small.write_svarah(tmp_path / "Svarah"), GUARDS=plain_guard)
    assert svarah.roles == [("test", "test"), ("all", "guard")]
    assert {name: speakers for name, (_, speakers) in svarah.sizes().items()} == {"train": 3, "dev": 2, "test": 2}
    assert sum(rows for rows, _ in svarah.sizes().values()) == 28
    assert accents(svarah.rows["test"]) == {"en_l2_hindi", "en_l2_tamil"}  # both first languages are tested
    svarah.assert_disjoint()
    source = small.write_nisp(tmp_path / "NISP")
    nisp = go("indian_english", out="nisp", CORPUS="nisp", SOURCE=source, FIRST_LANGUAGE="Hindi", GUARDS=plain_guard)
    assert nisp.rows["test"].speakers == ("nisp:Hin_0004",)
    assert {u.l1 for part in nisp.rows.values() for u in part} == {"hindi"}
    assert "data/nisp" in nisp.told
    nisp.assert_disjoint()  # the sentence that everyone reads left train
    assert re.search(r"train: \d of \d rows dropped because they share something with test, all: \d by sentence", nisp.told)


def test_common_voice_by_language_keeps_the_official_test(go: Go, tmp_path: Path) -> None:
    source = small.write_common_voice(tmp_path / "cy", "cy", {"a" * 64: "", "b" * 64: "", "c" * 64: "", "d" * 64: ""})
    run = go("common_voice", LANGUAGE="cy", SOURCE=source)
    assert run.roles == [("test", "test")]
    assert run.sizes() == {"train": (6, 2), "dev": (3, 1), "test": (3, 1)}  # six validated rows, of which two are official
    assert (run.adapter["language"], run.sets[0]["normalizer"]) == ("cy", "basic:cy")
    assert "data/common_voice_cy" in run.told
    assert "no guard set: none was given, and none can be made for cy" in run.told
    run.assert_disjoint()


def test_common_voice_by_accent_divides_its_clients_and_is_guarded_by_another(go: Go, tmp_path: Path) -> None:
    clients = (
        {letter * 64: "Scottish English" for letter in "abcd"} | {letter * 64: "England English" for letter in "efg"} | {"h" * 64: "", "i" * 64: ""}
    )
    source = small.write_common_voice(tmp_path / "en", "en", clients)
    run = go("common_voice", ACCENT="en_scotland", GUARD_ACCENT="en_england", SOURCE=source)
    assert run.roles == [("test", "test"), ("guard", "guard")]
    assert run.sizes() == {"train": (6, 2), "dev": (3, 1), "test": (3, 1), "guard": (3, 1)}
    assert [accents(run.rows[name]) for name in ("train", "test", "guard")] == [{"en_scotland"}, {"en_scotland"}, {"en_england"}]
    assert "prepared: 21 of 27 rows" in run.told
    assert "left out: 6 other-accent" in run.told
    assert (tmp_path / "data/common_voice_en_en_scotland_en_england/prep_report.json").is_file()
    assert run.sets[0]["normalizer"] == "english"
    run.assert_disjoint()


def test_common_voice_by_the_variety_that_speakers_chose(go: Go, tmp_path: Path) -> None:
    clients = {letter * 64: "Northern Welsh" for letter in "abc"} | {letter * 64: "Southern Welsh" for letter in "def"}
    source = small.write_common_voice(tmp_path / "cy", "cy", clients, column="variant")
    settings = {"LANGUAGE": "cy", "ACCENT": "Northern Welsh", "GUARD_ACCENT": "Southern Welsh", "ACCENT_FROM": "variant", "SOURCE": source}
    run = go("common_voice", **settings)
    assert [accents(run.rows[name]) for name in ("train", "test", "guard")] == [{"northern_welsh"}, {"northern_welsh"}, {"southern_welsh"}]


def test_l2_arctic_tests_an_unseen_speaker_on_unseen_sentences(go: Go, tmp_path: Path) -> None:
    source = small.write_l2_arctic(tmp_path / "l2arctic_release_v5.0", ["ASI", "RRBI", "SVBI", "TNI", "NJS"])
    run = go("l2_arctic", SOURCE=source)
    assert {name: rows.speakers for name, rows in run.rows.items()} == {
        "train": ("l2_arctic:ASI", "l2_arctic:RRBI"), "dev": ("l2_arctic:SVBI",), "test": ("l2_arctic:TNI",), "guard": ("l2_arctic:NJS",),
    }  # fmt: skip
    sentences = {name: {u.text for u in rows} for name, rows in run.rows.items()}
    assert not sentences["train"] & (sentences["dev"] | sentences["test"] | sentences["guard"])
    assert not sentences["dev"] & (sentences["test"] | sentences["guard"])
    assert len(run.rows["train"]) == 2 * len(sentences["train"])
    lost = 4 * 12 - sum(len(run.rows[name]) for name in ("train", "dev", "test"))
    assert f"hindi: 48 of 60 rows; every sentence given to one part, rows that fit none: {lost}" in run.told
    run.assert_disjoint()


def test_swiss_german_is_german_and_a_region_is_guarded_by_the_others(go: Go, whisper_folder: Callable[[str], Path], tmp_path: Path) -> None:
    source = small.write_stt4sg(tmp_path / "STT4SG-350")
    run = go("swiss_german", SOURCE=source, BASE=whisper_folder("multilingual"))
    assert run.roles == [("test", "test")]
    assert run.sizes() == {"train": (18, 6), "dev": (9, 3), "test": (9, 3)}
    assert (run.adapter["language"], run.sets[0]["normalizer"]) == ("de", "basic:de")
    assert "no guard set: none was given, and none can be made for de" in run.told
    wallis = go("swiss_german", out="wallis", REGION="wallis")
    assert [accents(wallis.rows[name]) for name in ("train", "test", "guard")] == [{"gsw_wallis"}, {"gsw_wallis"}, {"gsw_bern", "gsw_basel"}]
    wallis.assert_disjoint()


def test_a_mandarin_dialect_is_counted_by_characters(go: Go, whisper_folder: Callable[[str], Path], tmp_path: Path) -> None:
    run = go("mandarin_dialect", SOURCE=small.write_kespeech(tmp_path / "KeSpeech"), BASE=whisper_folder("multilingual"))
    assert run.roles == [("test", "test"), ("guard", "guard")]
    assert run.sizes() == {"train": (10, 2), "dev": (5, 1), "test": (4, 1), "guard": (3, 1)}
    assert [accents(run.rows[name]) for name in ("train", "test", "guard")] == [{"zh_jiang_huai"}, {"zh_jiang_huai"}, {"zh_mandarin"}]
    assert (run.adapter["language"], run.sets[0]["normalizer"]) == ("zh", "basic:zh")
    assert run.sets[0]["base"]["words"] == sum(map(len, small.CHINESE[:4])) == 21  # every character is a word
    assert "train: 2 of 10 rows dropped because they share something with test, guard: 2 by sentence" in run.told
    run.assert_disjoint()


def test_african_accents_that_nobody_in_train_has_are_tested_apart(go: Go, plain_guard: Path, tmp_path: Path) -> None:
    source = small.write_afrispeech(tmp_path / "afrispeech-200")
    run = go("african_english", SOURCE=source, GUARDS=plain_guard)
    assert run.roles == [("test", "test"), ("unheard", "test"), ("all", "guard")]
    assert run.sizes() == {"train": (9, 3), "dev": (6, 2), "test": (6, 2), "unheard": (6, 2)}
    assert [accents(run.rows[name]) for name in ("train", "test", "unheard")] == [{"yoruba", "zulu"}, {"yoruba", "zulu"}, {"twi"}]
    run.assert_disjoint()
    zulu = go("african_english", out="zulu", ACCENTS="zulu", GUARDS=plain_guard)
    assert [accents(zulu.rows[name]) for name in ("train", "dev", "test", "unheard")] == [{"zulu"}, {"zulu"}, {"zulu"}, {"yoruba", "twi"}]
    few = go("african_english", out="few", ACCENTS="yoruba", DOWNLOADED="yoruba", SOURCE=source, GUARDS=plain_guard)
    assert few.roles == [("test", "test"), ("all", "guard")]
    assert (tmp_path / "data/afrispeech_yoruba/prep_report.json").is_file()


def test_a_resumed_run_decodes_nothing_again(go: Go, british: Path, tmp_path: Path, ctc_folder: Callable[[str], Path]) -> None:
    first = go("welsh_english", SOURCE=british)
    kept = {name: rows.fingerprint for name, rows in first.rows.items()}
    words = ["run", "welsh_english", "--set", f"SOURCE={british}", "--set", f"BASE={ctc_folder('wav2vec2-layer')}", "--out", "run", "--resume"]
    words += [word for name, value in FEW.items() for word in ("--set", f"{name}={value}")]
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        assert main(words) in (0, 1)
    assert err.getvalue().count("hypotheses kept from the earlier start") == 4
    assert {name: rows.fingerprint for name, rows in Finished(tmp_path / "run", "").rows.items()} == kept


# What is missing, wrong or misspelled. Nothing is left behind, so that the corrected command can be typed again.


def refused(recipe: str, **settings: object) -> tuple[int, str]:
    """The exit code and the message of a run that must not start."""
    code, told = call(recipe, Path("refused"), **settings)
    assert not Path("refused").exists(), told
    return code, told.splitlines()[-1]


@pytest.mark.parametrize("recipe", CORPUS_RECIPES)
def test_without_the_corpus_it_says_what_to_get_under_which_terms_and_what_to_type(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, told = refused(recipe, **{"TRAIN.steps": 3})
    assert code == 2
    corpus = load_bundled("data_prep", make_recipes().corpora_of(bundled_folder("recipes") / f"{recipe}.py")[0]).CORPUS
    assert "no prepared corpus in it, and no SOURCE was given. Get " in told
    assert f"(license: {corpus.license}; commercial use: {corpus.commercial_use})" in told
    assert corpus.home in told or "https://www.openslr.org/7" in told
    assert told.endswith(f"Then: speechadapt run {recipe} --set SOURCE=FOLDER --set TRAIN.steps=3 --out refused")
    assert list(tmp_path.iterdir()) == []


def test_a_copy_of_a_recipe_is_named_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cp", "l2_arctic", "mine.py"]) == 0
    assert "Then: speechadapt run mine.py --set SOURCE=FOLDER --out refused" in refused("mine.py")[1]


def test_a_source_that_is_not_there_or_another_corpus_is_told(british: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, told = refused("scottish_english", SOURCE="nowhere")
    assert (code, told.split(". Get ")[0]) == (1, "speechadapt run: nowhere: no such file or folder")
    assert "https://www.openslr.org/83/" in told
    code, told = refused("mandarin_dialect", SOURCE=british)
    assert code == 1
    assert "does not look like KeSpeech; looked for Tasks/ASR/test/wav.scp" in told
    assert "scottish_english_female" in told  # what was found instead


def test_data_of_another_corpus_is_refused(british: Path, plain_guard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, told = refused("swiss_german", DATA=plain_guard.parent)
    assert code == 2
    assert told.endswith(f'{plain_guard.parent}: holds the prepared corpus "openslr", this recipe is for "stt4sg". Set DATA to another folder.')


def test_a_folder_that_was_prepared_otherwise_is_used_and_told(
    ctc_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = small.write_l2_arctic(tmp_path / "l2", ["ASI", "RRBI", "SVBI", "TNI"])
    assert main(["prepare", "l2_arctic", str(source), "data/l2_arctic", "--set", "test_speakers=ASI", "--set", "dev_speakers=TNI"]) == 0
    stop = {"BASE": ctc_folder("wav2vec2-layer"), "FIRST_LANGUAGE": "klingon"}
    code, told = call("l2_arctic", Path("refused"), **stop)
    assert code == 2
    assert (
        "data/l2_arctic: was prepared with --set dev_speakers=TNI --set test_speakers=ASI, this recipe would prepare it with --set suitcase=false; "
        "it is used as it is" in told
    )
    assert 'no row has the first language "klingon"; there are: hindi (48 rows). Correct the setting' in told


def test_a_preparation_that_was_cut_off_is_finished(
    british: Path, ctc_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stop = {"BASE": ctc_folder("wav2vec2-layer"), "ACCENT": "klingon"}
    refused("welsh_english", SOURCE=british, **stop)
    made = Path("data/openslr83/all.jsonl").read_bytes()
    assert 'no row has the accent "klingon"' in refused("welsh_english", **stop)[1]  # the corpus is there, SOURCE is not needed
    Path("data/openslr83/all.jsonl").unlink()
    assert "no prepared corpus in it" in refused("welsh_english", **stop)[1]
    code, told = call("welsh_english", Path("refused"), SOURCE=british, **stop)
    assert code == 2
    assert "prepared: 66 of 66 rows" in told
    assert Path("data/openslr83/all.jsonl").read_bytes() == made


THERE = "there are: en_england (18 rows), en_scotland (24 rows), en_wales (24 rows). Correct the setting"
MISSPELLED = {
    "accent": ({"ACCENT": "en_scotlnd"}, f'data/openslr83: no row has the accent "en_scotlnd"; {THERE}'),
    "guard": ({"GUARD_ACCENT": "en_us"}, f'data/openslr83: no row for the guard has the accent "en_us"; {THERE}'),
    "itself": ({"GUARD_ACCENT": "en_scotland"}, 'the guard "en_scotland" is what is trained on. Choose another one, or none for no such guard.'),
    "language": ({"LANGUAGE": "de"}, 'language is "de", but'),
    "setting": ({"ACENT": "x"}, 'no setting is called "ACENT". Did you mean "ACCENT"? There are: BASE, LANGUAGE, ACCENT, SOURCE, DATA, '),
    "manifest": ({"GUARDS": "nowhere.jsonl"}, "nowhere.jsonl: no such manifest."),
}


@pytest.mark.parametrize("case", MISSPELLED)
def test_what_is_misspelled_is_answered_with_what_there_is(
    case: str, british: Path, whisper_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings, expected = MISSPELLED[case]
    code, told = refused("scottish_english", BASE=whisper_folder("english"), SOURCE=british, **settings)
    assert code == (1 if case == "manifest" else 2)
    assert expected in told


def test_common_voice_of_another_language_or_without_the_accent_is_told(
    ctc_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = small.write_common_voice(tmp_path / "en", "en", {letter * 64: "Scottish English" for letter in "abcd"})
    base = ctc_folder("wav2vec2-layer")
    code, told = refused("common_voice", BASE=base, SOURCE=source, LANGUAGE="cy")
    assert code == 2
    assert told.endswith('12 rows are in "en", the setting LANGUAGE says "cy". Correct the setting, or give another corpus.')
    code, told = refused("common_voice", BASE=base, SOURCE=source, ACCENT="en_wales")
    assert code == 2
    assert told.endswith('nobody has the accent "en_wales"; the most frequent ones are: en_scotland (12 rows). Check the spelling.')
    assert "must be one of: accents, variant" in refused("common_voice", SOURCE=source, ACCENT_FROM="names")[1]


def test_too_few_speakers_are_told_with_what_they_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ctc_folder: Callable[[str], Path]) -> None:
    monkeypatch.chdir(tmp_path)
    source = small.write_openslr(tmp_path / "SLR70", {"en_ng_female": ("ngf", 2)})
    code, told = refused("nigerian_english", BASE=ctc_folder("wav2vec2-layer"), SOURCE=source)
    assert code == 1
    assert "en_nigeria: 12 of 12 rows; divided by speaker and sentence, rows that fit no part: none; nothing is left for dev" in told


# Choosing rows, on manifests without audio.


def write_prepared(folder: Path, **parts: list[tuple[str, str, str]]) -> Path:
    """A prepared folder: by part, the speaker, accent and text of each row."""
    for part, rows in parts.items():
        utterances = [
            Utterance(id=f"{part}-{number}", audio_filepath=f"audio/{part}-{number}.flac", duration=1.0, text=text, speaker=who, accent=accent)
            for number, (who, accent, text) in enumerate(rows)
        ]
        Manifest(utterances, folder=folder, name=part).write(folder / f"{part}.jsonl")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "run").mkdir()
    return Run(folder=tmp_path / "run")


def rows_of(run: Run, name: str) -> Manifest:
    return Manifest.read(run.manifests / f"{name}.jsonl")


def test_where_everyone_reads_one_script_sentences_are_divided_too(run: Run, tmp_path: Path) -> None:
    script = [f"sentence {number}" for number in range(100)]
    corpus = write_prepared(tmp_path / "corpus", all=[(f"s{who:02d}", "x" if who < 12 else "y", text) for who in range(15) for text in script])
    assert choose_rows(run, corpus, accent="x", divide="speaker+sentence") == run.manifests
    parts = {name: rows_of(run, name) for name in ("train", "dev", "test")}
    texts = {name: {u.text for u in part} for name, part in parts.items()}
    assert not (texts["train"] & texts["dev"] | texts["train"] & texts["test"] | texts["dev"] & texts["test"])
    assert sum(map(len, texts.values())) == 100
    assert {name: len(part.speakers) for name, part in parts.items()} == {"train": 7, "dev": 2, "test": 3}
    before = {name: part.fingerprint for name, part in parts.items()}
    choose_rows(run, corpus, accent="x", divide="speaker+sentence")
    assert {name: rows_of(run, name).fingerprint for name in parts} == before
    choose_rows(run, corpus, accent="x", divide="speaker+sentence", seed=1)
    assert {name: rows_of(run, name).fingerprint for name in parts} != before
    choose_rows(run, corpus, accent="x", divide="speaker+sentence")
    (guard,) = choose_guard(run, corpus, accent="y", rows=20)
    kept = Manifest.read(guard)
    assert len(kept) == 20
    assert sorted(sum(u.speaker == who for u in kept) for who in kept.speakers) == [6, 7, 7]  # the speakers in turn
    assert {u.text for u in kept} <= texts["test"]
    assert "guard: 20 of 300 rows of other speakers; " in (run.folder / "log.txt").read_text()


def test_a_guard_that_shares_every_sentence_with_train_is_refused(run: Run, tmp_path: Path) -> None:
    rows = [("a", "x", "one"), ("b", "x", "two"), ("z", "y", "one")]
    corpus = write_prepared(tmp_path / "corpus", train=rows, dev=[("c", "x", "three")], test=[("d", "x", "four")])
    choose_rows(run, corpus, accent="x")
    with pytest.raises(ManifestError, match="all 1 rows of the guard share a speaker, recording or sentence with train or dev"):
        choose_guard(run, corpus, accent="y")
    assert choose_guard(run, corpus) == ()


def test_others_are_nobody_where_all_accents_are_trained_on(run: Run, tmp_path: Path) -> None:
    corpus = write_prepared(tmp_path / "corpus", train=[("a", "x", "one")], dev=[("c", "x", "three")], test=[("d", "x", "four")])
    choose_rows(run, corpus)
    assert choose_guard(run, corpus, accent="others") == ()
    assert "no guard in the corpus: all its accents are trained on" in (run.folder / "log.txt").read_text()


def test_a_missing_dev_set_is_carved_out_of_train_by_speaker(run: Run, tmp_path: Path) -> None:
    train = [(who, "x", f"{who} {number}") for who in "abcd" for number in range(3)]
    corpus = write_prepared(tmp_path / "corpus", train=train, test=[("t", "x", "test")])
    choose_rows(run, corpus, accent="X ")
    assert (len(rows_of(run, "train")), len(rows_of(run, "dev"))) == (9, 3)
    assert not set(rows_of(run, "train").speakers) & set(rows_of(run, "dev").speakers)


def test_a_dev_set_is_carved_before_every_sentence_is_given_to_one_part(run: Run, tmp_path: Path) -> None:
    script = [f"sentence {number}" for number in range(60)]
    train, test = ([(who, "x", text) for who in speakers for text in script] for speakers in ("abcd", "t"))
    choose_rows(run, write_prepared(tmp_path / "corpus", train=train, test=test), divide="sentence")
    parts = {name: rows_of(run, name) for name in ("train", "dev", "test")}
    texts = {name: {u.text for u in part} for name, part in parts.items()}
    assert {name: len(part.speakers) for name, part in parts.items()} == {"train": 3, "dev": 1, "test": 1}
    assert sum(map(len, texts.values())) == len(set().union(*texts.values())) == 60
    lost = 5 * 60 - sum(map(len, parts.values()))
    told = f"dev carved out of train by speaker; every sentence given to one part, rows that fit none: {lost}"
    assert told in (run.folder / "log.txt").read_text()


def test_a_corpus_without_a_train_part_is_told_how_to_get_one(run: Run, tmp_path: Path) -> None:
    corpus = write_prepared(tmp_path / "corpus", test=[("t", "x", "test")])
    with pytest.raises(ManifestError, match=r"nothing is left for train \(train 0, dev 0, test 1\).*--splits speaker"):
        choose_rows(run, corpus)
    with pytest.raises(ManifestError, match=r"no train\.jsonl, dev\.jsonl, test\.jsonl or all\.jsonl in it"):
        choose_rows(run, tmp_path / "empty")
    assert not run.manifests.exists()


def test_audio_that_was_left_in_place_is_found(run: Run, tmp_path: Path) -> None:
    corpus = write_prepared(tmp_path / "corpus", train=[("a", "x", "one")], dev=[("b", "x", "two")], test=[("c", "x", "three")])
    for part in ("train", "dev", "test"):
        path = corpus / f"{part}.jsonl"
        path.write_text(path.read_text().replace('"audio/', f'"{tmp_path}/elsewhere/'))
    with pytest.raises(ManifestError, match="is absolute and lies under none of the folders"):
        choose_rows(run, corpus)
    (corpus / "corpus.json").write_text(json.dumps({"name": "x", "audio_roots": [str(tmp_path / "elsewhere")]}))
    choose_rows(run, corpus)
    rows = rows_of(run, "train")
    assert rows.audio_path(rows[0]) == (tmp_path / "elsewhere/train-0.flac").resolve()


# What recipes and their page say.


def make_recipes() -> Any:
    spec = importlib.util.spec_from_file_location("make_recipes", ROOT / "docs/make_recipes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def docstring(recipe: str) -> str:
    return ast.get_docstring(ast.parse((bundled_folder("recipes") / f"{recipe}.py").read_text(encoding="utf-8"))) or ""


def test_the_page_is_what_recipes_and_records_say() -> None:
    assert (ROOT / "recipes/README.md").read_text(encoding="utf-8") == make_recipes().page(), (
        "recipes/README.md is stale; write it again with: make docs"
    )


def test_the_page_has_a_row_with_the_terms_for_every_corpus_recipe() -> None:
    made = make_recipes()
    rows = {line.split("`")[1]: line for line in made.table().splitlines() if line.startswith("| `")}
    assert tuple(rows) == CORPUS_RECIPES
    for name, row in rows.items():
        for corpus in made.corpora_of(bundled_folder("recipes") / f"{name}.py"):
            record = load_bundled("data_prep", corpus).CORPUS
            assert record.license in row
            assert record.commercial_use in row
        assert row.endswith("| nobody has run this recipe on it yet |")


@pytest.mark.parametrize("recipe", CORPUS_RECIPES)
def test_a_recipe_says_for_whom_how_large_under_which_terms_and_how_it_is_divided(recipe: str) -> None:
    told = " ".join(docstring(recipe).split())
    for word in ("License: ", "Splits: ", "guard", "Whole corpus: nobody has run this recipe on it yet; its tests run it on a miniature of tones."):
        assert word in told, f"recipes/{recipe}.py: its first lines do not say: {word}"


@pytest.mark.parametrize("recipe", bundled_names("recipes"))
def test_commands_in_a_recipe_name_settings_that_exist(recipe: str) -> None:
    commands = re.findall(r"^ {4}(speechadapt run .*)$", docstring(recipe).replace("\\\n", " "), re.MULTILINE)
    assert commands or recipe not in CORPUS_RECIPES
    for command in commands:
        words = shlex.split(command)
        given = [value for flag, value in itertools.pairwise(words) if flag == "--set"]
        assert words[2] in bundled_names("recipes")
        override(settings_of(load_script(bundled_folder("recipes") / f"{words[2]}.py", "recipes", fresh=True)), given)


@pytest.mark.slow
def test_an_accent_in_the_shape_of_slr83_is_learned(go: Go, tmp_path: Path) -> None:
    """Synthetic speech with a simulated accent, laid out as the zips of SLR83: from the download to an adapter that hears it better."""
    pytest.importorskip("hibari", reason="the synthetic voice is not installed")
    from speechadapt.preparation import PrepareOptions

    script = load_bundled("data_prep", "synthetic_english")
    for folder, prefix, accent, speakers in (("scottish_english_female", "scf", "hindi", 48), ("southern_english_male", "som", "standard", 8)):
        sizes = script.Settings(train_speakers=speakers, train_utterances=20, dev_speakers=0, test_speakers=0)
        script.prepare(accent, tmp_path / f"spoken-{accent}", PrepareOptions(), sizes)
        spoken = join_manifests([Manifest.read(path) for path in sorted((tmp_path / f"spoken-{accent}").glob("*.jsonl"))], name=accent)
        lines = []
        for number, u in enumerate(spoken):
            stem = f"{prefix}_{spoken.speakers.index(str(u.speaker)):05d}_{number:011d}"
            target = tmp_path / "SLR83" / folder / f"{stem}.wav"
            target.parent.mkdir(parents=True, exist_ok=True)
            small.copy_as_wav(spoken.audio_path(u), target)
            lines.append(f"EN{number:04d}, {stem}, {u.text}")
        small.write_lines(tmp_path / "SLR83" / folder / "line_index.csv", lines)
    settings = {
        "SPEC.rank": 64,
        "SPEC.alpha": 128,
        "TRAIN.steps": "none",
        "TRAIN.epochs": 3,
        "TRAIN.batch_seconds": 40,
        "TRAIN.evaluate_every": "none",
    }
    settings |= {"TRAIN.learning_rate": 1.5e-3, "TRAIN.speed_perturb": "1.0", "TRAIN.time_masks": 0}
    run = go("scottish_english", SOURCE=tmp_path / "SLR83", BASE="embedded:wav2vec2-small", **settings)
    run.assert_disjoint()
    test = run.sets[0]
    assert test["verdict"] == "better"
    assert test["adapted"]["wer"] < 0.85 * test["base"]["wer"]
    assert test["ci95"][1] < 0
