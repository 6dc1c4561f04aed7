"""A voice app: a file, or what the microphone hears, to text, by a base model and perhaps an adapter.

python examples/voice_app.py talk.wav --adapter runs/me/adapter
pip install sounddevice && python examples/voice_app.py --seconds 5 --adapter runs/me/adapter
"""

import argparse

from speechadapt import Transcriber

parser = argparse.ArgumentParser()
parser.add_argument("file", nargs="?", help="a recording; without one the microphone is used")
parser.add_argument("--base", default="openai/whisper-tiny.en")
parser.add_argument("--adapter", help="an adapter folder, such as runs/me/adapter")
parser.add_argument("--seconds", type=float, default=5.0, help="to listen to the microphone")
options = parser.parse_args()

transcriber = Transcriber(options.base, adapter=options.adapter)
if options.file:
    sound = options.file
else:
    import sounddevice

    print(f"Speak now, for {options.seconds:g} s.")
    sound = sounddevice.rec(round(options.seconds * 16_000), samplerate=16_000, channels=1, dtype="float32", blocking=True)[:, 0]
print(transcriber.transcribe(sound).text)
