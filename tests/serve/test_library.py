"""Many adapters on one base: what each clip gets is what it would get from its own adapter alone."""

from __future__ import annotations

import functools
import json
import pickle
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from random_adapters import write_adapter
from safetensors.torch import load_file, save_file
from tiny_whisper import write_tiny_whisper

from speechadapt.adapt.adapter import FACTS_FILE, WEIGHTS_FILE
from speechadapt.errors import AdapterError, MisuseError
from speechadapt.files import sha256_of
from speechadapt.models.speech_model import Decoded, DecodeSettings
from speechadapt.serve.library import AdapterLibrary
from speechadapt.transcriber import Transcriber

if TYPE_CHECKING:
    from conftest import Tone

Folder = Callable[[str], Path]
EXACT = DecodeSettings(precision="fp32")
SHORT = DecodeSettings(precision="fp32", window="short")
BEAM = DecodeSettings(precision="fp32", window="short", beam=3)
NAMES = ("lora", "rslora", "dora", "wide")
TOLERANCE = 1e-4
"""Of average log-probabilities: the same sums in another order, in float32."""


@pytest.fixture(scope="module")
def adapters(whisper_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of adapters of the English tiny model."""
    root = tmp_path_factory.mktemp("library")
    base = whisper_folder("english")
    for seed, method in enumerate(("lora", "rslora", "dora")):
        write_adapter(base, root / method, seed=seed, method=method)
    write_adapter(base, root / "wide", seed=7, rank=5, targets="attention")
    return root


def with_all(base: Path, adapters: Path) -> AdapterLibrary:
    made = AdapterLibrary(str(base), device="cpu", settings=EXACT)
    for name in NAMES:
        made.add(name, adapters / name)
    return made


@pytest.fixture
def library(whisper_folder: Folder, adapters: Path) -> AdapterLibrary:
    return with_all(whisper_folder("english"), adapters)


@pytest.fixture(scope="module")
def steady(whisper_folder: Folder, adapters: Path) -> AdapterLibrary:
    """The same for tests that leave it as it is: making one takes longer than most of them."""
    return with_all(whisper_folder("english"), adapters)


@pytest.fixture(scope="module")
def clips(tone: Tone) -> list[Any]:
    return [tone(0.3 + 0.1 * seed, seed=seed) for seed in range(6)]


def same(one: list[Decoded], other: list[Decoded]) -> bool:
    return [row.text for row in one] == [row.text for row in other] and all(
        abs(left.avg_logprob - right.avg_logprob) < TOLERANCE for left, right in zip(one, other, strict=True)
    )


def alone(base: Path, folder: Path | None, clips: list[Any], settings: DecodeSettings) -> list[Decoded]:
    return transcriber(base, folder).decode(clips, settings)


@functools.cache
def transcriber(base: Path, folder: Path | None) -> Transcriber:
    return Transcriber(str(base), folder, device="cpu", settings=EXACT)


# One adapter, many, none


@pytest.mark.parametrize("settings", [EXACT, SHORT, BEAM], ids=["full", "short", "beam"])
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_adapter_is_what_a_transcriber_says(
    steady: AdapterLibrary, whisper_folder: Folder, adapters: Path, clips: list[Any], name: str, settings: DecodeSettings
) -> None:
    wanted = alone(whisper_folder("english"), adapters / name, clips, settings)
    assert same(steady.decode(clips, [name] * len(clips), settings), wanted)
    assert wanted != alone(whisper_folder("english"), None, clips, EXACT)  # or it would prove nothing


@pytest.mark.parametrize("settings", [EXACT, SHORT, BEAM], ids=["full", "short", "beam"])
def test_in_a_mixed_batch_every_clip_has_its_own(
    steady: AdapterLibrary, whisper_folder: Folder, adapters: Path, clips: list[Any], settings: DecodeSettings
) -> None:
    names = ["dora", "lora", "wide", "rslora", "lora", "dora"]
    found = steady.decode(clips, names, settings)
    for place, name in enumerate(names):
        assert same([found[place]], [alone(whisper_folder("english"), adapters / name, clips, settings)[place]]), name
    assert len({row.text for row in found}) > 2


def test_clips_of_the_base_are_the_bases_bit_by_bit_in_a_batch_of_the_same_size(
    steady: AdapterLibrary, whisper_folder: Folder, clips: list[Any]
) -> None:
    base = alone(whisper_folder("english"), None, clips, EXACT)
    assert steady.decode(clips, [None] * 6) == base
    mixed = steady.decode(clips, ["lora", None, "dora", "base", "wide", None])
    assert [mixed[place] for place in (1, 3, 5)] == [base[place] for place in (1, 3, 5)]
    assert mixed[0] != base[0]


def test_word_times_are_those_of_each_clips_adapter(steady: AdapterLibrary, whisper_folder: Folder, adapters: Path, clips: list[Any]) -> None:
    settings = DecodeSettings(precision="fp32", words=True)
    found = steady.decode(clips, ["lora", "wide"] * 3, settings)
    for name, start in (("lora", 0), ("wide", 1)):
        wanted = alone(whisper_folder("english"), adapters / name, clips, settings)
        for mine, theirs in zip(found[start::2], wanted[start::2], strict=True):
            assert [(word.text, word.start, word.end) for word in mine.words] == [(word.text, word.start, word.end) for word in theirs.words]
    assert any(row.words for row in found)


def test_the_base_is_heard_in_its_full_window_when_adapters_are_in_the_short_one(
    steady: AdapterLibrary, whisper_folder: Folder, clips: list[Any]
) -> None:
    found = steady.decode(clips[:3], ["lora", None, "lora"], SHORT)
    assert found[1] == alone(whisper_folder("english"), None, clips[1:2], EXACT)[0]


def test_the_base_is_untouched_afterwards(steady: AdapterLibrary, clips: list[Any]) -> None:
    before = {name: parameter.clone() for name, parameter in steady.model.network.named_parameters()}
    steady.decode(clips, ["dora", "lora", None, "wide", "rslora", "lora"])
    assert all(torch.equal(before[name], parameter) for name, parameter in steady.model.network.named_parameters())
    assert steady.model.adapted is False


def test_an_empty_batch_and_one_of_other_length(steady: AdapterLibrary, clips: list[Any]) -> None:
    assert steady.decode([], []) == []
    with pytest.raises(MisuseError, match=r"^1 adapters for 2 waveforms, must be as many\."):
        steady.decode(clips[:2], ["lora"])


def test_each_adapter_brings_its_language_and_task(whisper_folder: Folder, tmp_path: Path, clips: list[Any]) -> None:
    base = whisper_folder("multilingual")
    write_adapter(base, tmp_path / "de", seed=1, language="de", task="translate")
    write_adapter(base, tmp_path / "fr", seed=2, language="fr")
    library = AdapterLibrary(str(base), device="cpu", settings=EXACT)
    library.scan(tmp_path)
    found = library.decode(clips[:3], ["de", "fr", None])
    assert [row.language for row in found[:2]] == ["de", "fr"]
    for place, name in enumerate(("de", "fr", None)):
        assert same([found[place]], alone(base, tmp_path / name if name else None, clips[place : place + 1], EXACT))
    assert [row.language for row in library.decode(clips[:2], ["de", None], DecodeSettings(language="nl"))] == ["nl", "nl"]
    assert library.model.task == "transcribe"


# CTC


def test_ctc_adapters_mix_and_those_with_a_head_of_their_own_stand_apart(ctc_folder: Folder, tmp_path: Path, clips: list[Any]) -> None:
    base = ctc_folder("wav2vec2-layer")
    write_adapter(base, tmp_path / "plain", seed=1)
    write_adapter(base, tmp_path / "dora", seed=2, method="dora")
    write_adapter(base, tmp_path / "grown", seed=3, texts=("né à nô",), vocabulary="extend")
    write_adapter(base, tmp_path / "cyrillic", seed=4, texts=("добрый день",), vocabulary="new")
    write_adapter(base, tmp_path / "whole", seed=5, method="full")
    library = AdapterLibrary(str(base), device="cpu", settings=EXACT)
    assert library.scan(tmp_path).added == ("cyrillic", "dora", "grown", "plain", "whole")
    before = {name: parameter.clone() for name, parameter in library.model.network.named_parameters()}
    names = ["plain", "grown", "dora", "cyrillic", "whole", None]
    found = library.decode(clips, names)
    for place, name in enumerate(names):
        assert same([found[place]], alone(base, tmp_path / name if name else None, clips[place : place + 1], EXACT)), name
    assert set(found[3].text) <= set("добрый ень")
    assert len({row.text for row in found}) == 6
    beams = library.decode(clips, names, DecodeSettings(precision="fp32", beam=4))
    assert same([beams[3]], alone(base, tmp_path / "cyrillic", clips[3:4], DecodeSettings(precision="fp32", beam=4)))
    assert all(torch.equal(before[name], parameter) for name, parameter in library.model.network.named_parameters())
    assert library.decode(clips, [None] * 6) == alone(base, None, clips, EXACT)
    with pytest.raises(MisuseError, match=r'window is "short"'):
        library.decode(clips, names, SHORT)


@pytest.mark.parametrize("kind", ["wav2vec2-group", "hubert", "wavlm", "conformer", "conformer-rotary", "data2vec", "w2v-bert", "mms"])
def test_every_ctc_architecture_mixes(ctc_folder: Folder, tmp_path: Path, clips: list[Any], kind: str) -> None:
    base = ctc_folder(kind)
    language = "eng" if kind == "mms" else None
    for seed, name in enumerate(("one", "two")):
        write_adapter(base, tmp_path / name, seed=seed + 1, language=language)
    library = AdapterLibrary(str(base), language=language, device="cpu", settings=EXACT)
    library.scan(tmp_path)
    found = library.decode(clips[:3], ["one", None, "two"])
    for place, name in enumerate(("one", None, "two")):
        wanted = Transcriber(str(base), tmp_path / name if name else None, language=language, device="cpu", settings=EXACT).decode(clips[:3])
        assert same([found[place]], [wanted[place]]), name


# Transcripts


def test_transcribe_uses_the_named_adapter_the_default_or_the_base(
    library: AdapterLibrary, whisper_folder: Folder, adapters: Path, clips: list[Any]
) -> None:
    base = whisper_folder("english")
    made = {
        name: Transcriber(str(base), name and adapters / name, device="cpu", settings=EXACT).transcribe(clips[2]) for name in (None, "lora", "wide")
    }
    assert (library.transcribe(clips[2]).text, library.transcribe(clips[2]).adapter) == (made[None].text, None)
    assert (library.transcribe(clips[2], "lora").text, library.transcribe(clips[2], "lora").adapter) == (made["lora"].text, "lora")
    library.use("wide")
    assert library.transcribe(clips[2]).text == made["wide"].text
    assert library.transcribe(clips[2], "base").text == made[None].text
    library.remove("wide")
    assert library.default is None
    library.use("lora")
    library.use(None)
    assert library.transcribe(clips[2]).adapter is None


# Names


def test_unknown_names_say_what_there_is(steady: AdapterLibrary, clips: list[Any]) -> None:
    told = r'^no adapter is named "welsh"; there are: dora, lora, rslora, wide\. Add it'
    for ask in (
        lambda: steady.decode(clips[:1], ["welsh"]),
        lambda: steady.use("welsh"),
        lambda: steady.remove("welsh"),
        lambda: steady.transcribe(clips[0], "welsh"),
        lambda: steady.facts("welsh"),
    ):
        with pytest.raises(AdapterError, match=told):
            ask()


@pytest.mark.parametrize("name", ["", "base", "a/b", "..", "a b", "x" * 101, "a\n", "-x"])
def test_names_that_cannot_be_one(steady: AdapterLibrary, adapters: Path, name: str) -> None:
    with pytest.raises(AdapterError, match=r"must be up to 100 letters, digits"):
        steady.add(name, adapters / "lora")


def test_a_name_is_given_once_unless_it_is_to_be_replaced(library: AdapterLibrary, adapters: Path) -> None:
    with pytest.raises(AdapterError, match=r'^an adapter is named "lora" already \(.*/lora\)\. Remove that one first'):
        library.add("lora", adapters / "wide")
    library.add("lora", adapters / "wide", replace=True)
    assert library.facts("lora").spec.rank == 5
    assert library.names == ("dora", "lora", "rslora", "wide")
    library.add("schottisch_ö", adapters / "lora")


# Memory


def test_the_longest_unused_leaves_and_comes_back(whisper_folder: Folder, adapters: Path, clips: list[Any]) -> None:
    base = str(whisper_folder("english"))
    roomy = AdapterLibrary(base, device="cpu", settings=EXACT)
    sizes = {}
    for name in ("lora", "rslora", "wide"):
        before = roomy.nbytes
        roomy.add(name, adapters / name)
        sizes[name] = roomy.nbytes - before
    library = AdapterLibrary(base, device="cpu", settings=EXACT, memory=sizes["lora"] + sizes["wide"])
    for name in ("lora", "rslora", "wide"):
        library.add(name, adapters / name)
    assert (library.loaded, library.names, library.evictions) == (("rslora", "wide"), ("lora", "rslora", "wide"), 1)
    library.decode(clips[:1], ["rslora"])  # now `wide` is the one longest unused
    assert same(library.decode(clips, ["lora"] * 6), roomy.decode(clips, ["lora"] * 6))
    assert (library.loaded, library.evictions, library.reloads) == (("lora", "rslora"), 2, 1)
    # a batch with more adapters than fit is cut, and right all the same
    names = ["lora", "wide", "rslora", None, "wide", "lora"]
    for mine, theirs in zip(library.decode(clips, names), roomy.decode(clips, names), strict=True):
        assert same([mine], [theirs])
    assert library.nbytes <= sizes["lora"] + sizes["wide"]


def test_an_adapter_larger_than_the_memory_and_a_memory_of_nothing(whisper_folder: Folder, adapters: Path) -> None:
    base = str(whisper_folder("english"))
    library = AdapterLibrary(base, device="cpu", memory=1000)
    with pytest.raises(AdapterError, match=r"takes [\d,]+ bytes, the library's adapters may take 1,000\. Raise memory\."):
        library.add("lora", adapters / "lora")
    assert library.names == ()
    with pytest.raises(MisuseError, match=r"^memory is 0, must be above 0 bytes"):
        AdapterLibrary(base, device="cpu", memory=0)


def test_one_that_changed_on_disk_does_not_come_back_under_its_name(whisper_folder: Folder, adapters: Path, tmp_path: Path, clips: list[Any]) -> None:
    for name in ("one", "two"):
        shutil.copytree(adapters / "lora", tmp_path / name)
    probe = AdapterLibrary(str(whisper_folder("english")), device="cpu")
    probe.add("one", tmp_path / "one")
    library = AdapterLibrary(str(whisper_folder("english")), device="cpu", memory=probe.nbytes)
    library.add("one", tmp_path / "one")
    library.add("two", tmp_path / "two")
    shutil.rmtree(tmp_path / "one")
    shutil.copytree(adapters / "rslora", tmp_path / "one")
    with pytest.raises(AdapterError, match=r'is no longer the adapter that was added as "one"'):
        library.decode(clips[:1], ["one"])
    assert len(library.decode(clips[:1], ["two"])) == 1


# Adapters that are not to be trusted


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], None], **config: Any) -> None:
    """Change an adapter's tensors or configuration, and its digests with them."""
    tensors = load_file(folder / WEIGHTS_FILE)
    change(tensors)
    save_file(tensors, folder / WEIGHTS_FILE)
    settings = json.loads((folder / "adapter_config.json").read_text()) | config
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    sign(folder)


def sign(folder: Path) -> None:
    facts = json.loads((folder / FACTS_FILE).read_text())
    facts["weights_sha256"] = sha256_of(folder / WEIGHTS_FILE)
    facts["side_files"]["adapter_config.json"] = sha256_of(folder / "adapter_config.json")
    (folder / FACTS_FILE).write_text(json.dumps(facts))


NINTH = "base_model.model.model.decoder.layers.9.encoder_attn.k_proj.lora_{}.weight"
FIRST = "base_model.model.model.decoder.layers.0.encoder_attn.k_proj.lora_A.weight"


def nothing(tensors: dict[str, torch.Tensor]) -> None: ...


BROKEN: dict[str, tuple[Callable[[dict[str, torch.Tensor]], Any], dict[str, Any], str]] = {
    "other shape": (lambda t: t.update({FIRST: torch.zeros(2, 48)}), {}, r"A has shape 2 x 48 and B 32 x 2, must be 2 x 32 and 32 x 2"),
    "other rank": (lambda t: t.update({FIRST: torch.zeros(3, 32)}), {}, r"A has shape 3 x 32 and B 32 x 2, adapter_config.json says rank 2"),
    "one matrix": (lambda t: t.pop(FIRST), {}, "has only one of its two matrices"),
    "unknown layer": (
        lambda t: t.update({NINTH.format("A"): t[FIRST].clone(), NINTH.format("B"): t[FIRST].T.contiguous()}),
        {}, "has matrices for model.decoder.layers.9.encoder_attn.k_proj, which is no linear layer",
    ),
    "whole weight": (lambda t: t.update({"base_model.model.nonsense": t[FIRST].clone()}), {}, "nonsense: the base has no such weight"),
    "whole weight of another size": (
        lambda t: t.update({"base_model.model.proj_out.weight": t[FIRST].clone()}),
        {}, r"proj_out.weight: has shape 2 x 32, the base's has 51864 x 32"
    ),
    "not finite": (lambda t: t[FIRST].fill_(float("nan")), {}, "holds numbers that are not finite"),
    "empty": (lambda t: t.clear(), {}, "holds no matrices at all"),
    "dora without magnitudes": (nothing, {"use_dora": True}, "use_dora is True, which its weights contradict"),
    "biases": (nothing, {"bias": "all"}, "peft_type LORA, bias all; must be LORA without biases"),
    "another method": (nothing, {"peft_type": "IA3"}, "peft_type IA3, bias none; must be LORA"),
    "rank as text": (nothing, {"r": "2"}, "is not what PEFT writes"),
    "rank 0": (nothing, {"r": 0}, "above 0"),
    "layer replication": (nothing, {"layer_replication": [[0, 1]]}, "layer_replication is set, which is not supported here"),
    "endless pattern": (nothing, {"rank_pattern": {"(a+)+$": 3}}, r"the pattern \"\(a\+\)\+\$\" is more than a name"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_adapters_are_refused(steady: AdapterLibrary, adapters: Path, tmp_path: Path, case: str) -> None:
    change, config, told = BROKEN[case]
    shutil.copytree(adapters / "lora", tmp_path / "x")
    rewrite(tmp_path / "x", change, **config)
    with pytest.raises(AdapterError, match=told):
        steady.add("x", tmp_path / "x")
    assert steady.names == ("dora", "lora", "rslora", "wide")


def test_altered_pickled_and_incomplete_ones_are_refused(steady: AdapterLibrary, adapters: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(adapters / "lora", folder)
    data = bytearray((folder / WEIGHTS_FILE).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(data)
    with pytest.raises(AdapterError, match=r"Copy the adapter again"):
        steady.add("x", folder)
    (folder / WEIGHTS_FILE).write_bytes(pickle.dumps({"a": 1}))
    sign(folder)
    with pytest.raises(AdapterError, match=r"not a safetensors file .* Pickled weights are never read"):
        steady.add("x", folder)
    (folder / WEIGHTS_FILE).unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(AdapterError, match=r"no adapter_model.safetensors in it"):
        steady.add("x", folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(AdapterError, match=r"no speechadapt.json in it"):
        steady.add("x", tmp_path / "empty")


def test_a_changed_configuration_is_refused(steady: AdapterLibrary, adapters: Path, tmp_path: Path) -> None:
    shutil.copytree(adapters / "lora", tmp_path / "x")
    path = tmp_path / "x" / "adapter_config.json"
    path.write_text(path.read_text().replace('"lora_alpha": 4.0', '"lora_alpha": 400.0'))
    with pytest.raises(AdapterError, match=r"not the one that was saved with the weights"):
        steady.add("x", tmp_path / "x")


def test_scales_follow_patterns_that_are_names(
    library: AdapterLibrary, adapters: Path, tmp_path: Path, clips: list[Any], whisper_folder: Folder
) -> None:
    shutil.copytree(adapters / "lora", tmp_path / "x")
    rewrite(tmp_path / "x", nothing, alpha_pattern={"k_proj": 16, "fc1": 1})
    library.add("x", tmp_path / "x")
    found = library.decode(clips, ["x"] * 6)
    assert same(found, alone(whisper_folder("english"), tmp_path / "x", clips, EXACT))
    assert not same(found, library.decode(clips, ["lora"] * 6))


def test_an_adapter_of_another_base_is_refused(steady: AdapterLibrary, ctc_folder: Folder, tmp_path: Path) -> None:
    write_tiny_whisper("english", tmp_path / "other", seed=5)
    write_adapter(tmp_path / "other", tmp_path / "x", seed=1)
    with pytest.raises(AdapterError, match=r"was trained on .*other \(fingerprint [0-9a-f]{12}\), the base given is"):
        steady.add("x", tmp_path / "x")
    write_adapter(ctc_folder("wav2vec2-layer"), tmp_path / "y", seed=1)
    with pytest.raises(AdapterError, match=r"is for ctc models, .* is a whisper model"):
        steady.add("y", tmp_path / "y")


def test_a_vocabulary_of_another_size_is_refused(ctc_folder: Folder, tmp_path: Path) -> None:
    base = ctc_folder("wav2vec2-layer")
    write_adapter(base, tmp_path / "x", seed=4, texts=("добрый день",), vocabulary="new")
    table = json.loads((tmp_path / "x" / "vocab.json").read_text())
    (tmp_path / "x" / "vocab.json").write_text(json.dumps(table | {"ж": len(table)}))
    facts = json.loads((tmp_path / "x" / FACTS_FILE).read_text())
    facts["side_files"]["vocab.json"] = sha256_of(tmp_path / "x" / "vocab.json")
    (tmp_path / "x" / FACTS_FILE).write_text(json.dumps(facts))
    library = AdapterLibrary(str(base), device="cpu")
    with pytest.raises(AdapterError, match=r"its output layer has 11 rows, its vocab.json names 12 tokens, must be as many"):
        library.add("x", tmp_path / "x")


def test_links_out_of_the_adapters_folder_are_refused(whisper_folder: Folder, adapters: Path, tmp_path: Path) -> None:
    root, outside = tmp_path / "adapters", tmp_path / "outside"
    shutil.copytree(adapters / "lora", root / "good")
    shutil.copytree(adapters / "wide", outside)
    (root / "link").symlink_to(outside)
    (root / "inner").symlink_to(root / "good")
    shutil.copytree(adapters / "wide", root / "file")
    (root / "file" / WEIGHTS_FILE).unlink()
    (root / "file" / WEIGHTS_FILE).symlink_to(outside / WEIGHTS_FILE)
    (root / "nothing").mkdir()
    (root / "note.txt").write_text("not an adapter")
    library = AdapterLibrary(str(whisper_folder("english")), device="cpu", folder=root)
    scan = library.scan(root)
    assert scan.added == ("good", "inner")
    told = dict(scan.refused)
    assert sorted(told) == ["file", "link", "nothing"]
    assert told["link"].startswith(f"{root / 'link'}: leads to {outside}, which is outside {root}.")
    assert told["file"].startswith(f"{root / 'file' / WEIGHTS_FILE}: leads to {outside / WEIGHTS_FILE}, which is outside {root}.")
    assert "no speechadapt.json in it" in told["nothing"]
    with pytest.raises(AdapterError, match=r"which is outside"):
        library.add("outside", outside)
    with pytest.raises(AdapterError, match=r"which is outside"):
        library.add("outside", root / ".." / "outside")
    assert library.scan(root).added == ()  # a second time nothing is new
    AdapterLibrary(str(whisper_folder("english")), device="cpu").add("outside", root / "link")  # whoever names it himself may


def test_scanning_tells_of_two_of_one_name_and_of_nothing(steady: AdapterLibrary, adapters: Path, tmp_path: Path) -> None:
    shutil.copytree(adapters / "wide", tmp_path / "more" / "lora")
    scan = steady.scan(tmp_path / "more")
    assert scan.added == ()
    assert scan.refused[0][0] == "lora"
    assert 'an adapter is named "lora" already' in scan.refused[0][1]
    (tmp_path / "empty").mkdir()
    with pytest.raises(AdapterError, match=r"holds no folder, so no adapter"):
        steady.scan(tmp_path / "empty")
    with pytest.raises(AdapterError, match=r"no such folder"):
        steady.scan(tmp_path / "missing")


# Threads


class Pause:
    """Stops a library's first batch inside the model's `decode`, and tells which task each batch was decoded with."""

    def __init__(self, library: AdapterLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        self.tasks: list[str | None] = []
        self.decode = library.model.decode
        self.model = library.model
        monkeypatch.setattr(library.model, "decode", self)

    def __call__(self, waveforms: Any, settings: DecodeSettings) -> list[Decoded]:
        self.tasks.append(self.model.task)
        self.reached.set()
        assert self.go.wait(120)
        return self.decode(waveforms, settings)


def test_who_waits_for_a_turn_neither_holds_adapters_nor_sees_anothers_task(
    whisper_folder: Folder, tmp_path: Path, clips: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = whisper_folder("multilingual")
    for seed, name in enumerate(("de", "fr", "nl")):
        write_adapter(base, tmp_path / name, seed=seed, language=name, task="translate" if name == "de" else "transcribe")
    probe = AdapterLibrary(str(base), device="cpu", settings=EXACT)
    probe.add("de", tmp_path / "de")
    library = AdapterLibrary(str(base), language="nl", device="cpu", settings=EXACT, memory=probe.nbytes)
    for name in ("fr", "nl", "de"):
        library.add(name, tmp_path / name)
    pause = Pause(library, monkeypatch)
    found: dict[str | None, list[Decoded]] = {}
    names = ("de", "fr", "nl", None)
    threads = [threading.Thread(target=lambda name=name: found.update({name: library.decode(clips[:1], [name])})) for name in names]
    threads[0].start()
    try:
        assert pause.reached.wait(120)
        for thread in threads[1:]:
            thread.start()
        time.sleep(0.5)  # they could have read their adapters by now
        assert (library.loaded, library.reloads) == (("de",), 0)
    finally:
        pause.go.set()
    for thread in threads:
        thread.join()
    assert pause.tasks == ["translate", "transcribe", "transcribe", "transcribe"]
    assert sorted(row.language for rows in found.values() for row in rows) == ["de", "fr", "nl", "nl"]
    assert library.nbytes == probe.nbytes


def test_what_is_read_while_a_batch_exchanges_the_bases_weights_is_held_against_the_base(
    ctc_folder: Folder, tmp_path: Path, clips: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ctc_folder("wav2vec2-layer")
    write_adapter(base, tmp_path / "whole", seed=5, method="full")
    write_adapter(base, tmp_path / "late", seed=2, method="dora")  # its gains are computed from the base's weights
    library = AdapterLibrary(str(base), device="cpu", settings=EXACT)
    library.add("whole", tmp_path / "whole")
    decode, fingerprint = library.model.decode, library.fingerprint

    def meanwhile(waveforms: Any, settings: DecodeSettings) -> list[Decoded]:
        if "late" not in library.names:
            library.add("late", tmp_path / "late")
            assert library.fingerprint == fingerprint
        return decode(waveforms, settings)

    monkeypatch.setattr(library.model, "decode", meanwhile)
    library.decode(clips, ["whole"] * 6)
    assert library.names == ("late", "whole")
    assert same(library.decode(clips, ["late"] * 6), alone(base, tmp_path / "late", clips, EXACT))


def test_a_long_recording_keeps_the_adapter_that_it_began_with(ctc_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = ctc_folder("wav2vec2-layer")
    for seed, name in enumerate(("one", "two"), start=1):
        write_adapter(base, tmp_path / name, seed=seed)
    settings = DecodeSettings(precision="fp32", batch_seconds=30)
    talk = np.random.default_rng(0).normal(0, 0.1, 70 * 16_000).astype(np.float32)
    library = AdapterLibrary(str(base), device="cpu", settings=settings, vad=False)
    library.add("name", tmp_path / "one")
    wanted = library.transcribe(talk, "name")
    decode, batches = library.model.decode, []

    def meanwhile(waveforms: Any, settings: DecodeSettings) -> list[Decoded]:
        batches.append(len(waveforms))
        if len(batches) == 1:
            library.add("name", tmp_path / "two", replace=True)
        if len(batches) == 2:
            library.remove("name")
        return decode(waveforms, settings)

    monkeypatch.setattr(library.model, "decode", meanwhile)
    assert library.transcribe(talk, "name") == wanted
    assert len(batches) >= 3
    assert library.names == ()


def test_threads_add_remove_and_decode_at_once(whisper_folder: Folder, adapters: Path, clips: list[Any]) -> None:
    base = str(whisper_folder("english"))
    steady = AdapterLibrary(base, device="cpu", settings=SHORT)
    for name in NAMES:
        steady.add(name, adapters / name)
    pair = [clips[3], np.roll(clips[3], 1000)]  # as long as each other: a batch cut for want of memory has the same short window
    wanted = {name: steady.decode(pair, [name, name]) for name in NAMES}
    library = AdapterLibrary(base, device="cpu", settings=SHORT, memory=steady.nbytes // 2)  # so that they leave and come back all the time
    for name in NAMES:
        library.add(name, adapters / name)
    wrong: list[str] = []
    stop = threading.Event()

    def ask(seed: int) -> None:
        random = np.random.default_rng(seed)
        try:
            for _ in range(8):
                names = [str(name) for name in random.choice(NAMES, 2)]
                found = library.decode(pair, names)
                for place, name in enumerate(names):
                    if not same([found[place]], [wanted[name][place]]):
                        wrong.append(f"{name}: {found[place]} for {wanted[name][place]}")
        except Exception as error:
            wrong.append(repr(error))

    def churn() -> None:
        try:
            while not stop.is_set():
                library.add("guest", adapters / "rslora")
                library.remove("guest")
                library.add("lora", adapters / "lora", replace=True)
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    changer = threading.Thread(target=churn)
    for thread in (*threads, changer):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    changer.join()
    assert not wrong
    assert library.nbytes <= steady.nbytes // 2
    assert library.reloads > 0
