"""The model card an adapter is born with: what it is and how to load it. Scores are added by the run that measured them."""

import json

from speechadapt.adapt.spec import AdapterSpec
from speechadapt.data.manifest import Manifest
from speechadapt.models.speech_model import SpeechModel


def training_card(model: SpeechModel, spec: AdapterSpec, train: Manifest, step: int, dev_score: float | None) -> str:
    """Markdown with the metadata block that the Hub reads."""
    languages = sorted({utterance.language for utterance in train if utterance.language})
    accents = sorted({utterance.accent for utterance in train if utterance.accent})
    head = ["---", f"base_model: {json.dumps(model.base.id)}", "library_name: peft", "pipeline_tag: automatic-speech-recognition"]
    head += [f"language: [{', '.join(map(json.dumps, languages))}]"] if languages else []
    head += ["tags: [speechadapt, lora, speech-recognition]", "---", ""]
    dev = "" if dev_score is None else f" Dev score of the chosen checkpoint: {dev_score:.4f}."
    body = f"""# Adapter for {model.base.id}

A {spec.method} adapter (rank {spec.rank}, targets {spec.targets}) made with speechadapt on {train.hours:.2f} hours of speech from
{len(train.speakers)} known speakers{" (" + ", ".join(accents) + ")" if accents else ""}, step {step}.{dev}
Base revision: `{model.base.revision}`. Whether it helped, and whom, is in `comparison.json` and `summary.md` of its run.

## Load it

```python
from speechadapt import Transcriber
print(Transcriber("{model.base.id}", adapter="path/to/this/folder").transcribe("speech.wav").text)
```

or with PEFT alone:

```python
from peft import PeftModel
from transformers import WhisperForConditionalGeneration
model = PeftModel.from_pretrained(WhisperForConditionalGeneration.from_pretrained("{model.base.id}"), "path/to/this/folder")
```
"""
    return "\n".join(head) + body
