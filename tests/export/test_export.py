"""Exports of small random models: side files, proofs that pass and proofs that fail, and what is never overwritten."""

from __future__ import annotations

import dataclasses
import json
import re
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file
from tiny_ctc import edit_json

from speechadapt.adapt.adapter import load_adapter, read_adapter
from speechadapt.cli import main
from speechadapt.errors import AdapterError, ExportError, ManifestError, MissingExtraError, MisuseError, ModelError, SpeechadaptError
from speechadapt.export.card import loading
from speechadapt.export.export import export_adapter
from speechadapt.export.onnx_folder import _place, export_graph, quantize
from speechadapt.export.source import load_source
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.serve.mixing import Part, mix_adapters
from speechadapt.transcriber import Transcriber

Folders = Callable[[str], Path]
WHISPER_FILES = {"config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"}


def texts(folder: Path, clips: Path, **given: str) -> list[str]:
    transcriber = Transcriber(str(folder), device="cpu", **given)  # type: ignore[arg-type]
    return [transcriber.transcribe(path).text for path in sorted((clips.parent / "audio").iterdir())]


# What comes out


@pytest.mark.parametrize(("kind", "mels"), [("english", 80), pytest.param("v3", 128, marks=pytest.mark.slow)])
def test_a_merged_whisper(kind: str, mels: int, whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    given = {} if kind == "english" else {"language": "de", "task": "translate"}
    adapter = make_adapter(whisper_folder(kind), **given)
    done = export_adapter(adapter, tmp_path / "out", target="merged", clips=clips)
    assert {path.name for path in done.folder.iterdir()} == WHISPER_FILES | {"model.safetensors", "README.md", "proof.json"}
    assert json.loads((done.folder / "preprocessor_config.json").read_text())["feature_size"] == mels
    generation = json.loads((done.folder / "generation_config.json").read_text())
    assert {name: generation.get(name) for name in ("language", "task")} == {"language": given.get("language"), "task": given.get("task")}
    assert done.proof.passed
    assert (done.proof.identical, done.proof.clips) == (3, 3)
    assert texts(done.folder, clips, **given) == texts(adapter_base(adapter), clips, adapter=str(adapter), **given)
    assert any(texts(done.folder, clips, **given))


def adapter_base(adapter: Path) -> Path:
    return Path(json.loads((adapter / "speechadapt.json").read_text())["base_id"])


@pytest.mark.parametrize("method", ["dora", "rslora"])
def test_other_methods_are_merged_too(method: str, whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    adapter = make_adapter(whisper_folder("english"), method=method)
    done = export_adapter(adapter, tmp_path / "out", target="merged", clips=clips)
    assert done.proof.identical == 3
    assert texts(done.folder, clips) != texts(whisper_folder("english"), clips)


KINDS = ["wav2vec2-layer", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("wav2vec2-group", "hubert", "wavlm", "data2vec", "w2v-bert"))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["merged", "onnx"])
def test_ctc_models(kind: str, target: str, ctc_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    adapter = make_adapter(ctc_folder(kind))
    done = export_adapter(adapter, tmp_path / "out", target=target, clips=clips)
    assert (done.proof.identical, done.proof.clips) == (3, 3)
    assert (done.folder / ("model.safetensors" if target == "merged" else "model.onnx")).is_file()
    if target == "merged":
        assert texts(done.folder, clips) == texts(ctc_folder(kind), clips, adapter=str(adapter))


@pytest.mark.parametrize("target", ["merged", "onnx"])
def test_a_new_vocabulary_travels(target: str, ctc_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    adapter = make_adapter(ctc_folder("wav2vec2-layer"), texts=["გამარჯობა მეგობარო", "კარგი"])
    done = export_adapter(adapter, tmp_path / "out", target=target, clips=clips)
    assert json.loads((done.folder / "vocab.json").read_text()) == json.loads((adapter / "vocab.json").read_text())
    assert done.proof.identical == 3
    assert done.proof.normalizer == "basic"
    assert re.search(r"[\u10d0-\u10ff]", (done.folder / "vocab.json").read_text())
    if target == "merged":
        assert texts(done.folder, clips) == texts(ctc_folder("wav2vec2-layer"), clips, adapter=str(adapter))


def test_mms_keeps_its_language(ctc_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    adapter = make_adapter(ctc_folder("mms"), language="swh")
    done = export_adapter(adapter, tmp_path / "out", target="merged", clips=clips)
    assert (done.folder / "adapter.swh.safetensors").is_file()
    assert done.proof.identical == 3
    assert texts(done.folder, clips, language="swh") == texts(ctc_folder("mms"), clips, language="swh", adapter=str(adapter))


def test_a_model_trained_whole(ctc_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    adapter = make_adapter(ctc_folder("wav2vec2-layer"), method="full")
    done = export_adapter(adapter, tmp_path / "out", target="merged", clips=clips)
    assert done.proof.identical == 3
    assert texts(done.folder, clips) != texts(ctc_folder("wav2vec2-layer"), clips)


def test_whisper_as_graphs(whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    done = export_adapter(make_adapter(whisper_folder("english")), tmp_path / "out", target="onnx", clips=clips)
    graphs = {"encoder_model.onnx", "decoder_model.onnx"}
    assert {path.name for path in done.folder.iterdir()} == WHISPER_FILES | graphs | {"README.md", "proof.json"}
    assert done.proof.identical == 3


def test_weights_beside_a_large_graph_come_into_one_file(tmp_path: Path) -> None:
    """Above 2 GB torch writes a file per weight beside the graph; here onnx does, so that the graph may be small."""
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    torch.manual_seed(0)
    layers, given = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 8)), torch.randn(2, 64)
    (tmp_path / "scattered").mkdir()
    written, path = tmp_path / "scattered" / "model.onnx", tmp_path / "out" / "model.onnx"
    export_graph(layers, (given,), path, {"value": [0]}, {"logits": [0]})
    assert [one.name for one in path.parent.iterdir()] == ["model.onnx"]
    onnx.save(onnx.load(path), written, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0)
    assert len(list(written.parent.iterdir())) == 5
    _place(written, path)
    for _ in range(2):  # as it was written, then as int8
        assert sorted(one.name for one in path.parent.iterdir()) == ["model.onnx", "model.onnx_data"]
        (found,) = onnxruntime.InferenceSession(str(path)).run(None, {"value": given.numpy()})
        np.testing.assert_allclose(found, layers(given).detach(), atol=0.05)
        quantize(path.parent)
    export_graph(layers, (given,), path, {"value": [0]}, {"logits": [0]})
    assert [one.name for one in path.parent.iterdir()] == ["model.onnx"]


def test_half_precision_is_half_as_large(whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    adapter = make_adapter(whisper_folder("english"))
    sizes = []
    for quantization in ("float32", "float16"):
        done = export_adapter(adapter, tmp_path / quantization, target="merged", quantization=quantization, clips=clips)
        sizes.append((done.folder / "model.safetensors").stat().st_size)
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.01)


def test_the_record_and_the_card(
    whisper_folder: Folders, make_adapter: Callable[..., Path], finish_run: Callable[..., Path], clips: Path, tmp_path: Path
) -> None:
    run = finish_run(make_adapter(whisper_folder("english")), clips)
    done = export_adapter(run, tmp_path / "out", target="merged")
    record = json.loads((done.folder / "proof.json").read_text())
    assert record["passed"] is True
    assert record["about"]["from"] == "all 3 clips of the run's test set clips/test.jsonl"
    assert record["tolerance"]["sentence"] == "every text identical to the source's"
    assert set(record["files"]) == WHISPER_FILES | {"model.safetensors"}
    assert record["source"]["adapter_sha256"] == json.loads((run / "adapter" / "speechadapt.json").read_text())["weights_sha256"]
    text = (done.folder / "README.md").read_text()
    assert str(tmp_path) not in text.replace(str(adapter_base(run / "adapter")), ""), "a card tells nothing of this disk but the base's name"
    card = ModelCard(text)
    assert card.data.library_name == "transformers"
    assert card.data.eval_results[0].metric_value == 25.0
    for heading in ("Verdict", "Proof", "Data", "Intended use and limits", "Consent", "Load it"):
        assert f"\n## {heading}\n" in text
    assert "Result: 3 of 3 texts identical" in text


def test_whisper_cpp_is_told_a_language_where_it_has_one(whisper_folder: Folders, make_adapter: Callable[..., Path]) -> None:
    adapter = read_adapter(make_adapter(whisper_folder("english")))
    unknown = dataclasses.replace(adapter, language=None)
    given = [(adapter, False), (unknown, False), (dataclasses.replace(adapter, language="de"), True), (unknown, True)]
    found = [re.findall(r'language="(\w+)"', loading("ggml", one, multilingual=several)) for one, several in given]
    assert found == [["en"], ["en"], ["de"], ["auto"]]


def test_the_runs_test_set_is_found_where_the_run_has_moved(
    whisper_folder: Folders, make_adapter: Callable[..., Path], finish_run: Callable[..., Path], clips: Path, tmp_path: Path
) -> None:
    run = finish_run(make_adapter(whisper_folder("english")), clips)
    shutil.copytree(clips.parent, run / "data" / "clips")
    comparison = json.loads((run / "comparison.json").read_text())
    comparison["sets"][0]["manifest"] = "elsewhere/run/data/clips/test.jsonl"
    (run / "comparison.json").write_text(json.dumps(comparison))
    done = export_adapter(run, tmp_path / "out", target="merged", limit=2)
    assert done.proof.about["from"] == "2 of the 3 clips of the run's test set clips/test.jsonl"


def test_without_a_test_set_synthetic_sentences_stand_in(
    whisper_folder: Folders, make_adapter: Callable[..., Path], finish_run: Callable[..., Path], clips: Path, tmp_path: Path
) -> None:
    pytest.importorskip("hibari", reason="the synthetic voice is not installed")
    run = finish_run(make_adapter(whisper_folder("english")), clips)
    (clips.parent / "audio" / "1.wav").unlink()
    done = export_adapter(run, tmp_path / "out", target="merged", limit=1)
    assert done.proof.about["from"] == "1 sentences of synthetic_english (the audio of clips/test.jsonl is not there)"


@pytest.mark.parametrize("target", ["merged", "onnx"])
def test_an_adapter_mixed_from_others(target: str, whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    one = make_adapter(whisper_folder("english"))
    other = Path(shutil.copytree(one, tmp_path / "other"))
    mix_adapters([Part(folder=one, weight=0.5), Part(folder=other, weight=1.5)], tmp_path / "mixed")
    done = export_adapter(tmp_path / "mixed", tmp_path / "out", target=target, clips=clips)
    assert done.proof.identical == 3
    base = whisper_folder("english")
    assert texts(base, clips, adapter=str(tmp_path / "mixed")) != texts(base, clips, adapter=str(one))


# Proofs that fail


def test_rounding_that_is_heard_fails(whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    """Random weights are all near ties, so that int8 says something else: what a bad export looks like."""
    pytest.importorskip("faster_whisper", reason="the extra faster-whisper is not installed")
    out = tmp_path / "out"
    with pytest.raises(ExportError) as told:
        export_adapter(make_adapter(whisper_folder("english")), out, target="ctranslate2", clips=clips)
    assert re.search(r'the first that differs is clip "clip-\d": source ".*", export ".*"', str(told.value), re.DOTALL)
    assert "WER against the source's text is" in str(told.value)
    assert f"It lies in {out}.failed for a look" in str(told.value)
    assert not out.exists()
    failed = json.loads((tmp_path / "out.failed" / "proof.json").read_text())
    assert failed["passed"] is False
    assert failed["failures"]
    assert (tmp_path / "out.failed" / "tokenizer.json").is_file()
    assert not list(tmp_path.glob(".*"))


def test_another_text_fails_an_exact_target(
    monkeypatch: pytest.MonkeyPatch, whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path
) -> None:
    from speechadapt.export import export

    real = export.write_merged

    def forgetful(source: object, out: Path, **given: str) -> None:
        real(source, out, **given)  # type: ignore[arg-type]
        weights = load_file(out / "model.safetensors")
        weights["model.encoder.layer_norm.weight"].mul_(-1)
        save_file(weights, out / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(export, "write_merged", forgetful)
    with pytest.raises(ExportError, match=r"3 of 3 texts differ from the source's, none may; the first that differs is clip \"clip-0\""):
        export_adapter(make_adapter(whisper_folder("english")), tmp_path / "out", target="merged", clips=clips)
    (tmp_path / "out.failed" / "proof.json").write_text("{}")
    with pytest.raises(ExportError, match=r"It was removed, because .*out.failed is taken by something else."):
        export_adapter(tmp_path / "run", tmp_path / "out", target="merged", clips=clips)
    assert not list(tmp_path.glob(".*"))


# What goes wrong on the way


def test_a_full_disk(whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    adapter = make_adapter(whisper_folder("english"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))  # the weights are larger, and every other file is smaller
    try:
        with pytest.raises(SpeechadaptError, match=r"out: could not be written \(.*File too large.*\); what was there before is untouched. Free"):
            export_adapter(adapter, tmp_path / "out", target="merged", clips=clips)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "run"]


def test_stopped_in_the_middle(whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    adapter = make_adapter(whisper_folder("english"))
    seen: list[str] = []

    def stop(message: str) -> None:
        if message.startswith("proving"):
            seen.extend(path.name for path in tmp_path.glob(".out.*/*"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_adapter(adapter, tmp_path / "out", target="merged", clips=clips, say=stop)
    assert "model.safetensors" in seen
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "run"]


def test_what_comes_to_the_place_meanwhile_stays(whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    adapter, out = make_adapter(whisper_folder("english")), tmp_path / "out"

    def put(message: str) -> None:
        if message.startswith("proving"):
            shutil.copytree(adapter, out)

    with pytest.raises(MisuseError, match=r"out: an adapter is there, which is never overwritten"):
        export_adapter(adapter, out, target="merged", clips=clips, force=True, say=put)
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in adapter.iterdir())
    assert not list(tmp_path.glob(".*"))


# What is refused


def test_nothing_but_an_earlier_export_is_replaced(whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    adapter = make_adapter(whisper_folder("english"))
    done = export_adapter(adapter, tmp_path / "out", target="merged", clips=clips)
    with pytest.raises(MisuseError, match=r"out: exists already, an earlier export. Give another folder, or replace it by --force."):
        export_adapter(adapter, done.folder, target="merged", clips=clips)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    other = Path(shutil.copytree(adapter, tmp_path / "other"))
    (tmp_path / "link").symlink_to(other)
    unproven = Path(shutil.copytree(whisper_folder("english"), tmp_path / "base"))
    places = {
        adapter: "is or holds the adapter itself",
        adapter.parent: "is or holds the adapter itself",
        adapter / "inside": "lies inside .*adapter, which is an adapter or a model",
        other: "an adapter is there, which is never overwritten, not by --force either",
        tmp_path / "link": "an adapter is there",
        unproven: "a model is there",
        unproven / "inside": "lies inside .*base, which is an adapter or a model",
        tmp_path / "notes": "a folder that is no export is there",
        tmp_path / "notes" / "mine.txt": "a file is there",
    }
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for place, told in places.items():
        with pytest.raises(MisuseError, match=told):
            export_adapter(adapter, place, target="merged", clips=clips, force=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    inside = Path(shutil.copytree(adapter, done.folder / "mine"))
    with pytest.raises(MisuseError, match=r"out: an export with files that are not of it \(mine/README.md, mine/adapter_config.json, .*\) is there"):
        export_adapter(adapter, done.folder, target="merged", clips=clips, force=True)
    shutil.rmtree(inside)
    again = export_adapter(adapter, done.folder, target="merged", clips=clips, limit=1, force=True)
    assert again.proof.clips == 1
    load_adapter(load_model(str(whisper_folder("english")), device="cpu"), adapter)  # still whole


def test_wishes_that_mean_nothing(
    whisper_folder: Folders, ctc_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(MisuseError, match=r'--to "tflite": must be one of merged, ctranslate2, onnx, ggml. Correct it.'):
        export_adapter(tmp_path, out, target="tflite")
    with pytest.raises(MisuseError, match=r'--quantization "int4": onnx has float32, int8. Choose one of them.'):
        export_adapter(tmp_path, out, target="onnx", quantization="int4")
    with pytest.raises(AdapterError, match=r"nowhere: no such folder. Give a run folder"):
        export_adapter(tmp_path / "nowhere", out, target="merged")
    with pytest.raises(AdapterError, match=r"neither a run .* nor an adapter"):
        export_adapter(tmp_path, out, target="merged")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "settings.json").write_text("{}")
    with pytest.raises(AdapterError, match=r"a run without an adapter .* has not finished. Go on with it by --resume."):
        export_adapter(tmp_path / "unfinished", out, target="merged")
    adapter = make_adapter(ctc_folder("wav2vec2-layer"))
    for target, program in (("ggml", "whisper.cpp runs"), ("ctranslate2", "faster-whisper runs")):
        with pytest.raises(MisuseError, match=rf"is a CTC model, and {program} Whisper alone. Export it --to onnx or --to merged."):
            export_adapter(adapter, out, target=target, clips=clips)
    # before the base is looked for, which takes long where it is there
    with pytest.raises(MisuseError, match="--limit 0: must be 1 or more"):
        export_adapter(adapter, out, target="merged", clips=clips, limit=0, base="nowhere")
    (clips.parent / "empty.jsonl").write_text("")
    with pytest.raises(ManifestError, match=r"empty.jsonl"):
        export_adapter(adapter, out, target="merged", clips=clips.parent / "empty.jsonl", base="nowhere")
    assert not out.exists()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from speechadapt.export import export

    monkeypatch.setattr(export, "package_version", lambda name: None)
    for target, extra in (("ctranslate2", "faster-whisper"), ("onnx", "onnx"), ("ggml", "ggml")):
        with pytest.raises(MissingExtraError, match=rf"pip install 'speechadapt\[{extra}\]'"):
            export_adapter(tmp_path, tmp_path / "out", target=target)


def test_a_base_that_has_gone(whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(whisper_folder("english"), tmp_path / "base"))
    adapter = make_adapter(base)
    base.rename(tmp_path / "moved")
    with pytest.raises(ModelError, match=r"its base cannot be loaded. .* If it lies elsewhere now, give it with --base."):
        export_adapter(adapter, tmp_path / "out", target="merged", clips=clips)
    done = export_adapter(adapter, tmp_path / "out", target="merged", clips=clips, base=str(tmp_path / "moved"))
    assert done.proof.passed


def test_an_adapter_of_another_base(whisper_folder: Folders, make_adapter: Callable[..., Path], tmp_path: Path) -> None:
    from tiny_whisper import write_tiny_whisper

    adapter = make_adapter(whisper_folder("english"))
    write_tiny_whisper("english", tmp_path / "other", seed=1)
    with pytest.raises(AdapterError, match="was trained on"):
        load_source(adapter, base=str(tmp_path / "other"))


def test_the_command(
    capsys: pytest.CaptureFixture[str], whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path, tmp_path: Path
) -> None:
    adapter, out = make_adapter(whisper_folder("english")), tmp_path / "out"
    assert main(["export", str(adapter), "--to", "merged", str(out), "--clips", str(clips), "--json"]) == 0
    told = capsys.readouterr()
    row = json.loads(told.out)
    assert (row["target"], row["quantization"], row["folder"]) == ("merged", "float32", str(out))
    assert row["proof"]["passed"] is True
    assert "clips: all 3 clips of clips/test.jsonl" in told.err
    assert main(["export", str(adapter), "--to", "merged", str(out), "--clips", str(clips)]) == 2
    assert main(["export", str(adapter), "--to", "merged", str(out), "--clips", str(clips), "--force"]) == 0
    assert "merged (float32)" in capsys.readouterr().out
    edit_json(adapter / "speechadapt.json", weights_sha256="0" * 64)
    assert main(["export", str(adapter), "--to", "merged", str(tmp_path / "b"), "--clips", str(clips)]) == 1
    assert "Copy the adapter again." in capsys.readouterr().err


def test_the_source_is_decoded_alike_whatever_stands_beside_it(whisper_folder: Folders, make_adapter: Callable[..., Path], clips: Path) -> None:
    """The merged network says what PEFT's does with the adapter beside the weights."""
    from speechadapt.audio.waveform import read_waveform

    adapter = make_adapter(whisper_folder("english"))
    source = load_source(adapter)
    beside = load_model(str(whisper_folder("english")), device="cpu")
    load_adapter(beside, adapter)
    waveforms = [read_waveform(path) for path in sorted((clips.parent / "audio").iterdir())]
    settings = DecodeSettings(precision="fp32")
    assert [one.text for one in source.model.decode(waveforms, settings)] == [one.text for one in beside.decode(waveforms, settings)]
