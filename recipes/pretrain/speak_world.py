"""Speak the training world of the embedded base: hours of standard English, with the time of every word.

    python recipes/pretrain/speak_world.py OUT --hours 14 --jobs 2

Two kinds of text: generated sentences of the training split of `synthetic_english` (its dev and test sentences are never spoken here),
and word salad from the voice's pronouncing dictionary, so that the model learns letters and sounds and not the grammar alone. Every
utterance has a speaker of its own (tempo, pitch, vocal tract, room, noise and level are drawn); some are spoken by eSpeak NG's voices.
Both synthesizers know when they said which word; those times become the frame targets of the warm start (see wav2vec2_small.py).

Writes OUT/audio.bin (int16, 16 kHz, one recording after the other) and OUT/index.jsonl (id, first sample, samples, voice, words with times).
Needs `pip install 'speechadapt[pretrain]'`: `onnx` asks the voice's network for its durations.
"""

import argparse
import gzip
import itertools
import json
import random
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from speechadapt.audio.waveform import Waveform, resample
from speechadapt.synthetic.sentences import sentences
from speechadapt.synthetic.speakers import draw_speaker, seed_of
from speechadapt.synthetic.voice import load_voice
from speechadapt.units import SAMPLING_RATE

SALAD_SHARE = 0.25
ESPEAK_VOICES = ("en-us", "en-gb-x-rp")
ESPEAK_VARIANTS = (
    *("m1", "m2", "m3", "m5", "m6", "m7", "m8", "f1", "f2", "f4", "f5"),
    *("Alex", "Alicia", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Lee", "Mario", "Michael", "Mike", "adam", "anika", "aunty"),
    *("belinda", "benjamin", "boris", "david", "edward", "grandma", "grandpa", "ian", "iven", "john", "linda", "marcelo", "max", "michel", "miguel"),
    *("norbert", "pablo", "paul", "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "zac"),
)
"""Voices to learn from; `HELD_OUT_VARIANTS` are never spoken here and judge what the base does with voices it has not heard."""
HELD_OUT_VARIANTS = ("m4", "f3")
DURATION_UNIT = 0.025
"""Seconds per unit of the voice network's durations: two of its frames of 12.5 ms."""

Words = list[tuple[str, float, float]]
"""Word, start and end in seconds."""


def letters(text: str) -> str:
    """A sentence in the base's alphabet: a to z, apostrophe and blank."""
    return " ".join(re.sub(r"[^a-z' ]", " ", text.lower().replace("’", "'")).split())


class TimedVoice:
    """The voice of `synthetic_english`, with the start and end of every word."""

    def __init__(self) -> None:
        import onnx
        import onnxruntime

        self.voice = load_voice()
        engine: Any = self.voice._engine
        network = onnx.load(engine.model_path)
        network.graph.output.append(onnx.helper.make_tensor_value_info("/Clip_output_0", onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        engine.sess = _Recorded(onnxruntime.InferenceSession(network.SerializeToString(), options, providers=["CPUExecutionProvider"]))
        self.engine = engine

    def speak(self, text: str, *, speed: float, pitch: float, size: float, seed: int) -> tuple[Waveform, Words] | None:
        """The sentence, and its words in seconds; None where the dictionary reads other words than are written (numbers, abbreviations)."""
        phonemes = self.voice.phonemes(text)
        speech = self.voice.speak(phonemes, speed=speed, pitch=pitch, size=size, seed=seed)
        # one duration per phoneme that the voice knows, and one for the pause at either end
        ends = np.cumsum(self.engine.sess.durations)[:-1] * DURATION_UNIT / size
        known = [c for c in phonemes if c in self.engine.vocab]
        if len(ends) != len(known) + 1:
            return None
        spans, place = [], 0
        for word in "".join(known).split(" "):
            sounds = [i for i in range(place, place + len(word)) if known[i] not in ',.?!;:—…"()“”']
            if sounds:
                spans.append((float(ends[sounds[0]]), float(ends[sounds[-1] + 1])))
            place += len(word) + 1
        spoken = letters(text).split()
        return (speech, [(word, *span) for word, span in zip(spoken, spans, strict=True)]) if len(spans) == len(spoken) else None


class _Recorded:
    """An onnxruntime session that keeps the durations and passes the rest on."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.durations = np.zeros(0, dtype=np.float32)

    def run(self, names: None, feeds: dict[str, Any]) -> list[Any]:
        outputs: list[Any] = self.session.run(names, feeds)
        self.durations = outputs[-1]
        return outputs[:-1]


@cache
def _timed_voice() -> TimedVoice:
    return TimedVoice()


@cache
def dictionary() -> tuple[str, ...]:
    """Words of two to ten letters in the voice's own dictionary."""
    import hibari.tts

    path = Path(hibari.tts.ASSETS) / "lexicon_us_gold.json.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return tuple(sorted(word for word in json.load(file) if re.fullmatch(r"[a-z]{2,10}", word)))


def texts(seed: int, salad_share: float = SALAD_SHARE) -> Iterator[tuple[str, bool]]:
    """Sentences of the training split, and every so often word salad, which the second value tells."""
    rng = random.Random(f"world|{seed}")
    grammar = sentences("train", seed=1000 + seed)
    while True:
        if rng.random() < salad_share:
            yield " ".join(rng.choice(dictionary()) for _ in range(rng.randint(2, 7))).capitalize() + ".", True
        else:
            yield next(grammar), False


def speak(task: tuple[int, int, str, bool, float]) -> tuple[bytes, dict[str, Any]] | None:
    """One utterance: its int16 samples, and its line of the index."""
    seed, number, text, salad, espeak_share = task
    name = f"world-s{seed}-{number:06d}"
    speaker = draw_speaker(name)
    rng = random.Random(f"voice|{name}")
    if rng.random() < espeak_share:
        from speechadapt.synthetic.espeak import load_espeak

        voice, variant = rng.choice(ESPEAK_VOICES), rng.choice(ESPEAK_VARIANTS)
        dry, events = load_espeak().speak(letters(text), voice=voice, variant=variant, speed=speaker.speed, pitch=rng.uniform(0.8, 1.25))
        words = [(event.text, event.start, event.end) for event in events]
        # another rate moves pitch and resonances together, as another vocal tract would
        factor = rng.uniform(0.9, 1.1)
        dry = resample(dry, round(SAMPLING_RATE * factor / 100) * 100, SAMPLING_RATE)
        words = [(word, start / factor, end / factor) for word, start, end in words]
        voice = f"espeak {voice}+{variant}"
    else:
        made = _timed_voice().speak(text, speed=speaker.speed, pitch=speaker.pitch, size=speaker.size, seed=seed_of(name) % 2**32)
        if made is None:
            return None
        dry, words = made
        voice = "heart"
    if [word for word, _, _ in words] != letters(text).split():
        return None
    before = speaker.pause_before(name) / SAMPLING_RATE
    samples = (np.clip(speaker.record(dry, name), -1, 1) * 32767).astype(np.int16)
    times = [(word, round(start + before, 4), round(end + before, 4)) for word, start, end in words]
    return samples.tobytes(), {"id": name, "samples": len(samples), "voice": voice, "salad": salad, "words": times}


def main() -> None:
    """Speak until there are enough hours."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--hours", type=float, default=14.0)
    parser.add_argument("--espeak-share", type=float, default=0.3, help="of the utterances, spoken by eSpeak NG")
    parser.add_argument("--salad-share", type=float, default=SALAD_SHARE, help="of the utterances, words in no order")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tasks = ((options.seed, number, *text, options.espeak_share) for number, text in enumerate(texts(options.seed, options.salad_share)))
    first, skipped = 0, 0
    with (
        (options.out / "audio.bin").open("wb") as audio,
        (options.out / "index.jsonl").open("w", encoding="utf-8") as index,
        ProcessPoolExecutor(options.jobs) as pool,
        tqdm(total=round(options.hours * 3600), unit="s", desc="speak", file=sys.stderr) as bar,
    ):
        while first < options.hours * 3600 * SAMPLING_RATE:
            for made in pool.map(speak, itertools.islice(tasks, 400), chunksize=20):
                if made is None:
                    skipped += 1
                    continue
                samples, row = made
                index.write(json.dumps(row | {"first": first}) + "\n")
                audio.write(samples)
                first += row["samples"]
                bar.update(row["samples"] / SAMPLING_RATE)
    print(f"{first / SAMPLING_RATE / 3600:.2f} h; {skipped} sentences skipped, whose written and spoken words differ in number")


if __name__ == "__main__":
    main()
