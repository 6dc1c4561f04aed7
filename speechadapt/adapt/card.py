"""The model card an adapter is born with: what it is and how to load it. Scores are added by the run that measured them."""

import json
from collections.abc import Sequence

from speechadapt.adapt.adapter import HEAD
from speechadapt.adapt.spec import AdapterSpec
from speechadapt.data.corpus_record import CorpusRecord, list_terms
from speechadapt.data.manifest import Manifest
from speechadapt.models.speech_model import SpeechModel

FOLDER = "path/to/this/folder"


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
    head = ["---", f"base_model: {json.dumps(model.base.id)}", "library_name: peft", "pipeline_tag: automatic-speech-recognition"]
    head += [f"language: [{', '.join(map(json.dumps, languages))}]"] if languages else []
    datasets = list(dict.fromkeys(record.hub_dataset for record in corpora if record.hub_dataset))
    head += [f"datasets: [{', '.join(map(json.dumps, datasets))}]"] if datasets else []
    head += ["tags: [speechadapt, lora, speech-recognition]", "---", ""]
    dev = "" if dev_score is None else f" Dev score of the chosen checkpoint: {dev_score:.4f}."
    body = f"""# Adapter for {model.base.id}

{_what(spec)} made with speechadapt on {train.hours:.2f} hours of speech from
{len(train.speakers)} known speakers{" (" + ", ".join(accents) + ")" if accents else ""}, step {step}.{dev}
Base revision: `{model.base.revision}`. Whether it helped, and whom, is in `comparison.json` and `summary.md` of its run.

## Data

{_data(corpora)}

## Load it

```python
from speechadapt import Transcriber
print(Transcriber("{model.base.id}", adapter="{FOLDER}").transcribe("speech.wav").text)
```

or with PEFT alone:

```python
{_with_peft(model)}
```
"""
    return "\n".join(head) + body


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
