"""The server with dynamic batching against the same server that decodes one request at a time; and whether anything is lost or mixed up.

    python benchmarks/serving.py --adapter runs/quickstart/adapter [--clients 16] [--requests 400] [--many 10000]

The base is the adapter's. Throughput is measured with the adapter given, and with it and three copies whose weights are a little other; what
is said is looked at with three copies that are stirred so much that each hears something else. Clips last one second. The client is a process
of its own, so that its work is not the server's.
"""

import argparse
import io
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile

CLIENT = """
import http.client, json, sys, threading, time, queue
port, clients = int(sys.argv[1]), int(sys.argv[2])
bodies, jobs = json.loads(sys.stdin.readline()), json.loads(sys.stdin.readline())
work, told = queue.SimpleQueue(), [None] * len(jobs)
for place, job in enumerate(jobs): work.put((place, job))
def body(clip, model):
    part = "--x\\r\\nContent-Disposition: form-data; name="
    head = part + '"model"\\r\\n\\r\\n%s\\r\\n' + part + '"file"; filename="a.wav"\\r\\n\\r\\n'
    return (head % model).encode() + bytes.fromhex(bodies[clip]) + b"\\r\\n--x--\\r\\n"
def run():
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    while True:
        try: place, (clip, model) = work.get_nowait()
        except queue.Empty: return
        link.request("POST", "/v1/audio/transcriptions", body(clip, model), {"Content-Type": "multipart/form-data; boundary=x"})
        got = link.getresponse(); data = got.read()
        told[place] = json.loads(data)["text"] if got.status == 200 else got.status
started = time.perf_counter()
threads = [threading.Thread(target=run) for _ in range(clients)]
for one in threads: one.start()
for one in threads: one.join()
print(json.dumps({"seconds": time.perf_counter() - started, "told": told}))
"""


def other_weights(adapter: Path, out: Path, seed: int, spread: float) -> Path:
    """A copy of an adapter whose matrices are multiplied by 1 plus noise of this spread."""
    import torch
    from safetensors.torch import load_file, save_file

    from speechadapt.files import read_json, sha256_of, write_json

    shutil.copytree(adapter, out)
    generator = torch.Generator().manual_seed(seed)
    weights = load_file(out / "adapter_model.safetensors")
    stirred = {name: one * (1 + spread * torch.randn(one.shape, generator=generator)) for name, one in weights.items()}
    save_file(stirred, out / "adapter_model.safetensors", metadata={"format": "pt"})
    facts = read_json(out / "speechadapt.json") | {"weights_sha256": sha256_of(out / "adapter_model.safetensors")}
    write_json(out / "speechadapt.json", facts)
    return out


def clips(sentences: int) -> list[np.ndarray]:
    """One-second cuts of synthetic speech."""
    from speechadapt.synthetic.voice import load_voice

    voice = load_voice()
    texts = [
        "the old fisherman repaired his boat",
        "my sister bought three red apples",
        "nobody knew why the train had stopped",
        "a green door opened slowly",
    ]
    sounds = [voice.speak(voice.phonemes(text)) for text in texts]
    cuts = [sound[at : at + 16_000] for sound in sounds for at in range(3200, len(sound) - 16_000, 9600)]
    return [np.round(one * 32767).astype(np.int16) for one in cuts[:sentences]]


def ask(port: int, clients: int, bodies: list[bytes], jobs: list[tuple[int, str]]) -> dict[str, Any]:
    """Send all jobs, and return the seconds they took and what was answered to each."""
    told = json.dumps([one.hex() for one in bodies]) + "\n" + json.dumps(jobs) + "\n"
    ran = subprocess.run([sys.executable, "-c", CLIENT, str(port), str(clients)], input=told, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--many", type=int, default=10_000, help="requests of the check by content; 0 leaves it out")
    options = parser.parse_args()

    from speechadapt.adapt.adapter import read_adapter
    from speechadapt.models.speech_model import DecodeSettings
    from speechadapt.serve.library import AdapterLibrary
    from speechadapt.serve.listener import bind
    from speechadapt.serve.server import make_server
    from speechadapt.serve.service import Service

    facts = read_adapter(options.adapter)
    library = AdapterLibrary(facts.base_id, language=facts.language)
    with tempfile.TemporaryDirectory() as folder:
        library.add("a0", options.adapter)
        for number in (1, 2, 3):
            library.add(f"a{number}", other_weights(options.adapter, Path(folder) / f"a{number}", number, 0.05))
            library.add(f"b{number}", other_weights(options.adapter, Path(folder) / f"b{number}", number, 0.9))
    sounds = clips(12)
    bodies = []
    for sound in sounds:
        out = io.BytesIO()
        soundfile.write(out, sound, 16_000, format="WAV", subtype="PCM_16")
        bodies.append(out.getvalue())
    settings = DecodeSettings(window="short", precision="fp32")
    like = [name for name in library.names if name.startswith("a")]
    names = [name for name in library.names if name.startswith("b")] + ["a0"]
    alone = {
        (place, name): library.decode([sound.astype(np.float32) / 32768], [name], settings)[0].text
        for place, sound in enumerate(sounds)
        for name in names
    }
    print(f"{facts.base_id}, {len(names)} adapters, {len(sounds)} clips of 1 s, {len(set(alone.values()))} different texts of {len(alone)}")

    draw = random.Random(0)

    def jobs(count: int, names: list[str]) -> list[tuple[int, str]]:
        return [(draw.randrange(len(bodies)), draw.choice(names)) for _ in range(count)]

    def serve(count: int, most: int, names: list[str]) -> tuple[float, int, list[Any], list[tuple[int, str]]]:
        """Requests per second, bytes that the process grew by, the answers and what was asked."""
        service = Service(library, settings=settings, most=most, vad=False)
        with bind("127.0.0.1", 0) as socket:
            listening = threading.Event()
            server = make_server(service, on_start=listening.set)
            with ThreadPoolExecutor(1) as pool:
                running = pool.submit(server.run, sockets=[socket])
                listening.wait()
                port, wanted = socket.getsockname()[1], jobs(count, names)
                ask(port, options.clients, bodies, jobs(2 * options.clients, names))  # warm
                before = psutil.Process().memory_info().rss
                got = ask(port, options.clients, bodies, wanted)
                grown = psutil.Process().memory_info().rss - before
                server.should_exit = True
                running.result()
        return count / got["seconds"], grown, got["told"], wanted

    for chosen in (like[:1], like):
        rates: dict[int, list[float]] = {1: [], 64: []}
        for _ in range(3):  # turn by turn, so that another program's work falls on both
            for most in rates:
                rates[most].append(serve(options.requests, most, chosen)[0])
        one, many = sorted(rates[1])[1], sorted(rates[64])[1]
        print(
            f"{options.clients} clients, {len(chosen)} adapters at random, short window: one at a time {one:.1f} requests/s, "
            f"batched {many:.1f} requests/s: {many / one:.2f} times", flush=True,
        )  # fmt: skip
    if options.many:
        started = time.perf_counter()
        rate, grown, told, wanted = serve(options.many, 64, names)
        lost = sum(not isinstance(text, str) for text in told)
        # mixed up: not what this clip and adapter say alone, but what another pair says
        others = [text for text, job in zip(told, wanted, strict=True) if isinstance(text, str) and text != alone[job]]
        mixed = sum(text in set(alone.values()) for text in others)
        print(
            f"{options.many} requests in {time.perf_counter() - started:.0f} s ({rate:.1f}/s): {lost} lost, {mixed} with another pair's text, "
            f"{len(others) - mixed} with a text of nobody; memory grew by {grown / 2**20:.1f} MB"
        )


if __name__ == "__main__":
    main()
