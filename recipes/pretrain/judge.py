"""Judge a base on sentences it has not heard: in the plain voice, in drawn speakers of it, and in voices it has not heard either.

    python recipes/pretrain/judge.py embedded:wav2vec2-small

All sentences are of the test split of `synthetic_english`; greedy decoding, no language model, pooled word error rate over letters in
lower case.
"""

import argparse
import itertools
import random

import jiwer
import numpy as np
from speak_world import HELD_OUT_VARIANTS, letters

from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.synthetic.corpus import SplitSize, make_corpus, speak
from speechadapt.synthetic.espeak import load_espeak
from speechadapt.synthetic.sentences import sentences
from speechadapt.synthetic.speakers import draw_speaker
from speechadapt.synthetic.voice import load_voice

HELD_OUT_LANGUAGES = ("en-us", "en-gb-x-rp", "en-gb-scotland")


def main() -> None:
    """Print a line per kind of voice."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("base")
    parser.add_argument("--clips", type=int, default=200)
    options = parser.parse_args()
    model = load_model(options.base, language="en")
    texts = list(itertools.islice(sentences("test", seed=77), options.clips))
    voice = load_voice()
    kinds = {"the plain voice": [(voice.speak(voice.phonemes(text)), text) for text in texts]}
    drawn = make_corpus("standard", sizes={"test": SplitSize(speakers=options.clips // 10, utterances=10)}, seed=77)
    kinds["drawn speakers of the voice, in rooms and noise"] = [(speak(one), one.text) for one in drawn]
    for language in HELD_OUT_LANGUAGES:
        for variant in HELD_OUT_VARIANTS:
            clips = []
            for number, text in enumerate(texts[: options.clips // 3]):
                name = f"judge-{language}-{variant}-{number}"
                dry, _ = load_espeak().speak(letters(text), voice=language, variant=variant, pitch=random.Random(name).uniform(0.85, 1.2))
                clips.append((draw_speaker(name).record(dry, name), text))
            kinds[f"eSpeak {language}+{variant}"] = clips
    for kind, clips in kinds.items():
        order = np.argsort([len(waveform) for waveform, _ in clips], kind="stable")
        said = {}
        for start in range(0, len(order), 20):
            rows = order[start : start + 20]
            for row, result in zip(rows, model.decode([clips[i][0] for i in rows], DecodeSettings()), strict=True):
                said[int(row)] = letters(result.text)
        truth = [letters(text) for _, text in clips]
        spoken = [said[i] for i in range(len(clips))]
        print(f"{kind}: WER {100 * jiwer.wer(truth, spoken):.1f} %, CER {100 * jiwer.cer(truth, spoken):.1f} %, {len(clips)} clips")
    for text, words in list(zip(truth, spoken, strict=True))[:3]:
        print(f"  said {text}\n  read {words}")


if __name__ == "__main__":
    main()
