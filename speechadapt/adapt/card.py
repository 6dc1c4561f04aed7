"""The model card an adapter is born with: what it is, for whom, and how to load it. The run that measures it adds the scores."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCard

from speechadapt.adapt.adapter import HEAD
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.data.corpus_record import CorpusRecord, list_terms
from speechadapt.data.manifest import Manifest
from speechadapt.models.speech_model import SpeechModel

FOLDER = "path/to/this/folder"
EXPORT = "path/to/the/export"
NOT_SCORED = "Not scored yet: whether it helps, and whom, is not known. Score it against its base before you rely on it."
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
TASK = "automatic-speech-recognition"
VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What its --max-lora-rank may be."""


def training_card(
    model: SpeechModel, spec: AdapterSpec, train: Manifest, step: int, dev_score: float | None, corpora: Sequence[CorpusRecord] = ()
) -> str:
    """Markdown with the metadata block that the Hub reads.

    The terms of the training data are told, not made the adapter's own: under which license it is passed on its owner decides, so the block
    holds no license, and of the data the ids of those corpora that are on the Hub.

    Args:
        corpora: whose speech `train` is; empty where nobody knows.
    """
    languages = sorted({utterance.language for utterance in train if utterance.language})
    accents = sorted({utterance.accent for utterance in train if utterance.accent})
    head = ["---"]
    # a folder, or a base inside our package, is no id: the Hub refuses a card that names one
    head += [f"base_model: {json.dumps(model.base.id)}", "base_model_relation: adapter"] if is_hub_id(model.base.id) else []
    head += ["library_name: peft", f"pipeline_tag: {TASK}"]
    head += [f"language: [{', '.join(map(json.dumps, languages))}]"] if languages else []
    datasets = list(dict.fromkeys(record.hub_dataset for record in corpora if record.hub_dataset))
    head += [f"datasets: [{', '.join(map(json.dumps, datasets))}]"] if datasets else []
    head += [f"tags: [speechadapt, {'full-fine-tuning' if spec.method == 'full' else 'lora'}, speech-recognition]", "---", ""]
    dev = "" if dev_score is None else f" Dev score of the chosen checkpoint: {dev_score:.4f}."
    spoken = f"{', '.join(languages)}, " if languages else ""
    body = f"""# Adapter for {model.base.id}

{_what(spec)} made with speechadapt on {train.hours:.2f} hours of speech from
{len(train.speakers)} known speakers{" (" + ", ".join(accents) + ")" if accents else ""}, step {step}.{dev}
Base revision: `{model.base.revision}`. Whether it helped, and whom, is in `comparison.json` and `summary.md` of its run.

## Verdict

{NOT_SCORED}

## Data

{_data(corpora)}

## Intended use and limits

It is meant for transcribing speech like what it was trained on: {spoken}{", ".join(accents) or "accents that the corpus does not name"}.
For other accents, languages, rooms and microphones it may be worse than its base; the guard sets of the verdict say what was measured, and of
the rest nothing is known. A recognizer writes words that nobody said, most of all on noise and silence. Do not let decisions about a person
rest on its text alone, and do not use it to tell where somebody comes from.

## Consent

Speech is personal. Pass this on only as far as the speakers, and the license of the data above, allow. Tell people whom you record that and
why their speech is transcribed, and keep no recording that you do not need.

## Load it

With speechadapt:

```python
from speechadapt import Transcriber
print(Transcriber("{model.base.id}", adapter="{FOLDER}").transcribe("speech.wav").text)
```

or with PEFT alone:

```python
{_with_peft(model)}
```

{_exported(model)}

{_served(model, spec)}
"""
    return "\n".join(head) + body


def is_hub_id(base: str) -> bool:
    """Whether a base's name reads like a model of the Hub (`owner/name`)."""
    return HUB_ID.fullmatch(base) is not None


def _exported(model: SpeechModel) -> str:
    if model.family != "whisper":
        return f"""faster-whisper runs Whisper alone; this is a CTC model, which onnxruntime runs after
`speechadapt export {FOLDER} --to onnx {EXPORT}`."""
    language = "" if model.language in (None, "en") else f', language="{model.language}"'
    return f"""With faster-whisper, after `speechadapt export {FOLDER} --to ctranslate2 {EXPORT}`:

```python
import numpy
from faster_whisper import WhisperModel, decode_audio
samples = decode_audio("speech.wav")
samples = numpy.pad(samples, (0, max(0, 30 * 16_000 - len(samples))))  # with silence, as in training
segments, _ = WhisperModel("{EXPORT}").transcribe(samples{language}, without_timestamps=True)
print(" ".join(segment.text.strip() for segment in segments))
```"""


def _served(model: SpeechModel, spec: AdapterSpec) -> str:
    """How a server that reads PEFT adapters takes it."""
    if model.family != "whisper":
        return "Servers that read PEFT adapters beside a base, such as vLLM, serve no CTC models; `speechadapt serve` does."
    if spec.method in ("full", "dora") or spec.rank > VLLM_RANKS[-1] or not is_hub_id(model.base.id):
        return f"""With a server such as vLLM, which reads plain LoRA beside a base of the Hub and not what this is, after
`speechadapt export {FOLDER} --to merged {EXPORT}`:

```console
$ vllm serve {EXPORT}
```"""
    most = next(rank for rank in VLLM_RANKS if rank >= spec.rank)
    return f"""With a server that reads PEFT adapters, such as vLLM (where its list of models has LoRA for Whisper; else serve the merged export):

```console
$ vllm serve {model.base.id} --enable-lora --max-lora-rank {most} --lora-modules adapted={FOLDER}
```"""


def proven_card(card: str, sets: Sequence[Mapping[str, Any]]) -> str:
    """The card with what a run measured: a table of its sets, a sentence on the cost, and the figures in the block that the Hub reads.

    Args:
        card: of the adapter, scored already or not.
        sets: those of the run's `comparison.json`.
    """
    section = f"## Verdict\n\n{verdict_section(sets)}\n\n"
    if "\n## Verdict\n" in card:
        start = card.index("## Verdict\n")
        rest = card.find("\n## ", start)
        card = card[:start] + section + (card[rest + 1 :] if rest >= 0 else "")
    else:  # an older adapter's
        place = card.find("\n## ")
        card = card[: place + 1] + section + card[place + 1 :] if place >= 0 else f"{card.rstrip()}\n\n{section}"
    return with_results(card, eval_results(sets))


def with_results(card: str, results: list[EvalResult]) -> str:
    """The card with results in the block that the Hub reads; unchanged where there are none."""
    if not results:
        return card
    read = ModelCard(card, ignore_metadata_errors=True)
    title = re.search(r"^# (.+)$", card, re.MULTILINE)
    data: Any = read.data  # of a class that its annotation does not name
    data.model_name = title[1] if title else "speechadapt adapter"
    data.eval_results = results
    return str(read).rstrip() + "\n"


def eval_results(sets: Sequence[Mapping[str, Any]]) -> list[EvalResult]:
    """The adapted WER of every set, in percent, as the Hub lists results."""
    return [
        EvalResult(
            task_type=TASK,
            dataset_type=re.sub(r"[^A-Za-z0-9]+", "-", str(one["name"])).strip("-").lower() or "set",
            dataset_name=f"{one['name']} ({one['role']} set)",
            metric_type="wer",
            metric_name=f"WER, normalizer {one['normalizer']}",
            metric_value=round(100 * one["adapted"]["wer"], 2),
        )
        for one in sets
        if one["adapted"]["wer"] is not None
    ]


def verdict_section(sets: Sequence[Mapping[str, Any]]) -> str:
    """A table of base and adapted WER with intervals, and what the adapter costs on the guard sets, in Markdown."""
    titles = ("set", "role", "speakers", "utterances", "base WER", "adapted WER", "change (95 % interval)", "verdict")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for one in sets:
        counted = (one["name"], one["role"], one["speakers"], one["utterances"])
        cells = (*counted, _rate(one["base"]), _rate(one["adapted"]), _change(one), one["verdict"])
        lines.append(f"| {' | '.join(_cell(value) for value in cells)} |")
    short = [
        f"In the short window, which speechadapt can use with adapters: {_cell(one['name'])} {_rate(one['short_window'])}."
        for one in sets
        if one.get("short_window") and one["role"] == "test"
    ]
    caveats = [f"Mind, for {_cell(one['name'])}: {_cell(told)}" for one in sets for told in one.get("caveats", ())]
    return "\n".join([*lines, "", _cost(sets), *short, *caveats, _how(sets)])


def _cell(value: Any) -> str:
    return " ".join(str(value).replace("|", "/").replace("<", "‹").replace(">", "›").split())


def _rate(system: Mapping[str, Any]) -> str:
    if system["wer"] is None:
        return "none"
    interval = system.get("interval")
    known = interval and interval.get("low") is not None
    return f"{100 * system['wer']:.1f} %" + (f" ({100 * interval['low']:.1f} to {100 * interval['high']:.1f})" if interval and known else "")


def _change(one: Mapping[str, Any]) -> str:
    if one["delta"] is None:
        return "none"
    change = f"{100 * one['delta']:+.1f} points"
    if not one["ci95"] or None in one["ci95"]:
        return change
    low, high = one["ci95"]
    return f"{change} ({100 * low:+.1f} to {100 * high:+.1f})"


def _cost(sets: Sequence[Mapping[str, Any]]) -> str:
    guards = [one for one in sets if one["role"] == "guard"]
    if not guards:
        return "Cost elsewhere: no guard set was scored, so what it costs on other speech is not known."
    return "Cost elsewhere: " + "; ".join(f"{_cell(one['name'])} {_change(one)}, {one['verdict']}" for one in guards) + "."


def _how(sets: Sequence[Mapping[str, Any]]) -> str:
    normalizers = ", ".join(dict.fromkeys(f"{one['normalizer']} ({one.get('normalizer_version', 'version unknown')})" for one in sets))
    return f"Intervals are over speakers. Normalizer: {_cell(normalizers)}. Both systems were decoded alike, greedily, in the full window."


def _data(corpora: Sequence[CorpusRecord]) -> str:
    """The corpora, their terms, and what follows from them."""
    terms = list_terms(corpora)
    if not terms:
        return (
            "It is not recorded which corpus it was trained on, so the license of the training data is unknown. Find it out before you pass this on."
        )
    return "\n".join(["It was trained on:", "", *(f"- {line}" for line in terms)])


def _what(spec: AdapterSpec) -> str:
    if spec.method == "full":
        return "A copy of the base with every weight trained,"
    return f"A {spec.method} adapter (rank {spec.rank}, targets {spec.targets})"


def _with_peft(model: SpeechModel) -> str:
    """Code that needs nothing of ours, but for a base that is ours.

    An output layer that is not the base's own is made in its size first; its weights come with the adapter.
    """
    if model.family == "whisper":
        return f"""from peft import PeftModel
from transformers import WhisperForConditionalGeneration
model = PeftModel.from_pretrained(WhisperForConditionalGeneration.from_pretrained("{model.base.id}"), "{FOLDER}")"""
    head, where = "", f'"{model.base.id}"'
    # MMS keeps an adapter, an output layer and a vocabulary per language, and takes those of English unless it is told
    mms = getattr(model.network.get_base_model().config, "adapter_attn_dim", None) is not None  # type: ignore[operator]
    language = f', target_lang="{model.language}", ignore_mismatched_sizes=True' if mms else ""
    if model.base.source == "embedded":  # it lies inside our package, and has no name that transformers knows
        head, where = f'from speechadapt.models.sources import find_base\nfolder = find_base("{model.base.id}").folder\n', "folder"
    layer = ""
    if model.head == "kept":
        options, vocabulary = language, where + (f', target_lang="{model.language}"' if mms else "")
    else:
        size = model.network.get_parameter(f"base_model.model.{HEAD}.modules_to_save.default.weight").shape[0]
        options, vocabulary = language or f", vocab_size={size}, ignore_mismatched_sizes=True", f'"{FOLDER}"'
        if mms:  # its own layer of the language is loaded first, in its own size
            head = f"import torch\n{head}"
            layer = f"base.{HEAD} = torch.nn.Linear(base.{HEAD}.in_features, {size})\n"
    return f"""from peft import PeftModel
from transformers import AutoModelForCTC, Wav2Vec2CTCTokenizer
{head}base = AutoModelForCTC.from_pretrained({where}{options})
{layer}model = PeftModel.from_pretrained(base, "{FOLDER}").eval()
tokenizer = Wav2Vec2CTCTokenizer.from_pretrained({vocabulary})"""
