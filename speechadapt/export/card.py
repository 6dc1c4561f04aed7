"""The card of an export: what it was made of, the proof that it says the same, and how to load it by the program it is made for."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard

from speechadapt.adapt.adapter import AdapterRef
from speechadapt.adapt.card import TASK, eval_results, is_hub_id, verdict_section, with_results
from speechadapt.errors import SpeechadaptError
from speechadapt.export.ggml_file import GGML_FILE
from speechadapt.export.proof import Proof
from speechadapt.export.source import COMPARISON
from speechadapt.files import read_json

FOLDER = "path/to/this/folder"
LIBRARIES = {"merged": "transformers", "ctranslate2": "ctranslate2", "onnx": "onnx", "ggml": "whisper.cpp"}
TAGS = {"ctranslate2": ("ctranslate2", "faster-whisper"), "ggml": ("ggml", "whisper.cpp")}
MOST_DIFFERENCES = 5
KEPT_SECTIONS = ("Data", "Intended use and limits", "Consent")
"""Of the adapter's card."""


def export_card(adapter: AdapterRef, target: str, quantization: str, proof: Proof, *, multilingual: bool, run: Path | None) -> str:
    """Markdown with the metadata block that the Hub reads.

    Args:
        adapter: what was exported.
        target, quantization: what to.
        proof: of this export.
        multilingual: whether a runtime must be told the language.
        run: whose verdict is told, or None.
    """
    theirs = (adapter.folder / "README.md").read_text(encoding="utf-8") if (adapter.folder / "README.md").is_file() else ""
    sets = read_sets(run)
    head = ["---"]
    if is_hub_id(adapter.base_id):
        relation = "quantized" if quantization.startswith("int") else "finetune"
        head += [f"base_model: {json.dumps(adapter.base_id)}", f"base_model_relation: {relation}"]
    head += [f"library_name: {LIBRARIES[target]}", f"pipeline_tag: {TASK}", *_inherited(theirs)]
    tags = ["speechadapt", "speech-recognition", *TAGS.get(target, ())]
    head += [f"tags: [{', '.join(map(json.dumps, tags))}]", "---", ""]
    parts = [
        f"# {adapter.base_id} with an adapter merged in, for {LIBRARIES[target]} ({quantization})",
        f"Exported by speechadapt from an adapter (sha256 of its weights `{adapter.weights_sha256}`) of base revision `{adapter.base_revision}`. "
        "These are whole weights: keep them apart from the adapter, and out of its repository.",
        "## Verdict\n\n" + _verdict(sets),
        "## Proof\n\n" + proof_section(proof),
        *(f"## {name}\n\n{text}" for name in KEPT_SECTIONS if (text := _section(theirs, name))),
        "## Load it\n\n" + loading(target, adapter, multilingual=multilingual),
    ]
    card = "\n".join(head) + "\n\n".join(parts) + "\n"
    if proof.tolerance.identical:  # it says what the adapter says, so the adapter's figures are its own
        return with_results(card, eval_results(sets))
    return with_results(card, _measured(proof))


def read_sets(run: Path | None) -> list[Mapping[str, Any]]:
    """The sets of a run's `comparison.json`; empty where there is none, or nothing usable in it."""
    if run is None or not (run / COMPARISON).is_file():
        return []
    try:
        value = read_json(run / COMPARISON)
        sets = list(value["sets"])
        verdict_section(sets)
    except (SpeechadaptError, KeyError, TypeError, AttributeError):
        return []
    return sets


def _measured(proof: Proof) -> list[EvalResult]:
    """The export's own WER on the clips of its proof."""
    if proof.wer_export is None:
        return []
    name = _line(proof.about["from"])
    given: dict[str, Any] = {"task_type": TASK, "dataset_type": "speechadapt-export-proof", "dataset_name": name, "metric_type": "wer"}
    return [EvalResult(**given, metric_name=f"WER, normalizer {proof.normalizer}", metric_value=round(100 * proof.wer_export, 2))]


def _verdict(sets: Sequence[Mapping[str, Any]]) -> str:
    if not sets:
        return "The run of the adapter is not beside it, so whether it helps, and whom, is not told here."
    return f"Of the adapter, before it was exported:\n\n{verdict_section(sets)}"


def proof_section(proof: Proof) -> str:
    """What was compared, what came out, and the first differences."""
    lines = [
        f"The same clips were transcribed by the source (speechadapt, float32) and by this export ({proof.runtime}): {_line(proof.about['from'])}.",
        f"Allowed: {proof.tolerance.sentence}. Result: {proof.sentence}.",
    ]
    if proof.wer_apart is not None:
        lines.append(f"WER of the export against the source's text: {100 * proof.wer_apart:.2f} %. Normalizer: {proof.normalizer}.")
    lines.append(f"Seconds for {proof.about['seconds']:.0f} s of audio: source {proof.seconds_source:.1f}, export {proof.seconds_export:.1f}.")
    if proof.unpadded is not None:
        rate = "" if proof.unpadded["wer"] is None else f", WER {100 * proof.unpadded['wer']:.2f} %"
        lines.append(
            "The clips were padded with silence to 30 s, as Whisper and the adapter were trained. Given shorter, the program fills them up with "
            f"something else: then {proof.unpadded['identical']} of {proof.clips} texts are identical{rate}. So pad, as below."
        )
    if proof.differences:
        lines += ["", "| clip | source | export |", "|---|---|---|"]
        lines += [f"| {_line(one.id)} | {_line(one.source)} | {_line(one.export)} |" for one in proof.differences[:MOST_DIFFERENCES]]
    return "\n".join(lines)


def loading(target: str, adapter: AdapterRef, *, multilingual: bool) -> str:
    """Code that loads the export and transcribes a file."""
    whisper = adapter.family == "whisper"
    language = f', language="{adapter.language}"' if multilingual and adapter.language else ""
    if target == "ctranslate2":
        return f"""```python
import numpy
from faster_whisper import WhisperModel, decode_audio
samples = decode_audio("speech.wav")
samples = numpy.pad(samples, (0, max(0, 30 * 16_000 - len(samples))))  # with silence, as in training
segments, _ = WhisperModel("{FOLDER}").transcribe(samples{language}, without_timestamps=True)
print(" ".join(segment.text.strip() for segment in segments))
```"""
    if target == "ggml":
        spoken = (adapter.language or "auto") if multilingual else "en"
        return f"""```python
from pywhispercpp.model import Model
segments = Model("{FOLDER}/{GGML_FILE}").transcribe("speech.wav", language="{spoken}")
print(" ".join(segment.text.strip() for segment in segments))
```"""
    if target == "onnx":
        return f"""The graphs have Optimum's names. With speechadapt's reader:

```python
from speechadapt.audio.waveform import read_waveform
from speechadapt.models.onnx_folder import load_onnx
print(load_onnx("{FOLDER}"{language}).decode([read_waveform("speech.wav")])[0].text)
```"""
    kind = "AutoModelForSpeechSeq2Seq" if whisper else "AutoModelForCTC"
    said = (
        'model.generate(**processor(samples, sampling_rate=16_000, return_tensors="pt"))'
        if whisper
        else 'model(**processor(samples, sampling_rate=16_000, return_tensors="pt")).logits.argmax(-1)'
    )
    skip = ", skip_special_tokens=True" if whisper else ""
    return f"""With transformers (mono samples at 16 kHz):

```python
import soundfile
from transformers import AutoProcessor, {kind}
processor, model = AutoProcessor.from_pretrained("{FOLDER}"), {kind}.from_pretrained("{FOLDER}")
samples, _ = soundfile.read("speech.wav")
print(processor.batch_decode({said}{skip})[0])
```

or with speechadapt, as any base:

```python
from speechadapt import Transcriber
print(Transcriber("{FOLDER}"{language}).transcribe("speech.wav").text)
```"""


def _inherited(card: str) -> list[str]:
    """Languages and datasets of the adapter's card."""
    if not card:
        return []
    try:
        data = ModelCard(card, ignore_metadata_errors=True).data.to_dict()  # type: ignore[no-untyped-call]
    except ValueError:  # not a card that the Hub would read
        return []
    kept = {key: data[key] for key in ("language", "datasets") if data.get(key)}
    return [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in kept.items()]


def _section(card: str, name: str) -> str:
    found = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", card, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def _line(text: str) -> str:
    """Text for one cell of a table."""
    return " ".join(str(text).replace("|", "/").replace("<", "‹").replace(">", "›").split())
