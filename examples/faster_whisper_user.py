"""A user of faster-whisper: an adapter exported to CTranslate2 is a model folder like any other, and speechadapt is not needed any more.

speechadapt export runs/me --to ctranslate2 exports/me
pip install faster-whisper && python examples/faster_whisper_user.py exports/me talk.wav
"""

import argparse

import numpy
from faster_whisper import WhisperModel, decode_audio

parser = argparse.ArgumentParser()
parser.add_argument("model", help="the exported folder")
parser.add_argument("file", help="a recording")
parser.add_argument("--language", default="en")
parser.add_argument("--compute-type", default="int8", help="int8, float16 on a GPU, or float32")
options = parser.parse_args()

model = WhisperModel(options.model, device="auto", compute_type=options.compute_type)
samples = decode_audio(options.file)
# filled up to 30 s with silence, as in training; faster-whisper fills short clips up with something that no Whisper has heard
samples = numpy.pad(samples, (0, max(0, 30 * 16_000 - len(samples))))
segments, _ = model.transcribe(samples, language=options.language, beam_size=1)
for segment in segments:
    print(f"{segment.start:6.2f} - {segment.end:6.2f} {segment.text.strip()}")
