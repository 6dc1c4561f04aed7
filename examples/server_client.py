"""A client of `speechadapt serve`: OpenAI's own package, pointed at this machine.

speechadapt serve --base openai/whisper-tiny.en --adapter me=runs/me/adapter
pip install openai && python examples/server_client.py talk.wav --model me
"""

import argparse
import os
from pathlib import Path

from openai import OpenAI

parser = argparse.ArgumentParser()
parser.add_argument("file", type=Path, help="a recording")
parser.add_argument("--model", help="the name of an adapter, or of the base (default: the first the server has)")
parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
options = parser.parse_args()

# A server without a token takes any; the package wants one to be there.
client = OpenAI(base_url=options.url, api_key=os.environ.get("SPEECHADAPT_TOKEN", "none"))
model = options.model or client.models.list().data[0].id
answer = client.audio.transcriptions.create(model=model, file=options.file, response_format="verbose_json", timestamp_granularities=["segment"])
for segment in answer.segments or []:
    print(f"{segment.start:6.2f} - {segment.end:6.2f} {segment.text.strip()}")
print(answer.text)
