#!/usr/bin/env python3
"""The adapter library against separate models: time to swap and to add an adapter, memory, and throughput of mixed batches.

Everything is measured side by side in one process. Adapters are random ones of rank 8 on every attention and feed-forward matrix, so weak
that texts stay the base's and every side decodes equally many tokens. Clips are sentences of the synthetic voice.

usage: benchmarks/adapter_library.py [--base openai/whisper-tiny.en] [--threads 2] [--rounds 7] [--clips 64] [--json]
"""

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tabulate

TARGETS = {
    "swap between loaded adapters, ms": ("<", 5.0),
    "merged model's loading over adding an adapter": (">", 10.0),
    "64 adapters over 2 copies of the base, bytes": ("<", 1.0),
    "64 adapters over 2 copies of the base, resident memory": ("<", 1.0),
    "full window: 8 adapters over one adapter": (">", 0.7),
    "short window: 8 adapters over one adapter": (">", 0.7),
}


def main() -> int:
    """Measure, print the tables, and leave with 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="openai/whisper-tiny.en")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clips", type=int, default=64, help="in one batch (default: 64)")
    parser.add_argument("--full-clips", type=int, default=16, help="the same in the 30 s window (default: 16)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        adapters = make_adapters(options.base, Path(folder), 64)
        figures: dict[str, float] = {}
        figures |= memory(options.base, adapters)
        figures |= adding(options.base, adapters, Path(folder), options.rounds)
        figures |= swapping(options.base, adapters, options.rounds)
        for window, count in (("full", options.full_clips), ("short", options.clips)):
            figures |= throughput(options.base, adapters, window, count, options.rounds)
    met = {name: figures[name] < bound if sign == "<" else figures[name] > bound for name, (sign, bound) in TARGETS.items()}
    if options.json:
        print(json.dumps({"figures": figures, "met": met}, indent=2))
    else:
        print(tabulate.tabulate([[name, f"{value:.4g}", _target(name, met)] for name, value in figures.items()], ["", "", "target"]))
    return 0 if all(met.values()) else 1


def _target(name: str, met: dict[str, bool]) -> str:
    if name not in TARGETS:
        return ""
    sign, bound = TARGETS[name]
    return f"{sign} {bound:g}: {'met' if met[name] else 'MISSED'}"


def make_adapters(base: str, folder: Path, count: int) -> list[Path]:
    """Folders of random adapters of rank 8."""
    import torch

    from speechadapt.adapt.adapter import add_adapter, save_adapter
    from speechadapt.adapt.spec import AdapterSpec
    from speechadapt.models.load import load_model

    model, spec = load_model(base, device="cpu"), AdapterSpec(rank=8)
    add_adapter(model, spec)
    made = []
    for number in range(count):
        random = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for name, parameter in model.network.named_parameters():
                if "lora_" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=random) * 1e-3)
        made.append(folder / f"adapter{number:02}")
        save_adapter(model, spec, made[-1], train_fingerprint=f"{number:064x}", accent=None, card="")
    return made


def library_with(base: str, adapters: Sequence[Path]) -> Any:
    """A library with these adapters, named by their folders, in float32."""
    from speechadapt.models.speech_model import DecodeSettings
    from speechadapt.serve.library import AdapterLibrary

    library = AdapterLibrary(base, device="cpu", settings=DecodeSettings(precision="fp32"))
    for folder in adapters:
        library.add(folder.name, folder)
    return library


def clips(count: int) -> list[Any]:
    """Sentences of the synthetic voice, two to five seconds each."""
    from speechadapt.synthetic.voice import load_voice

    voice = load_voice()
    texts = (
        "The old fisherman repaired his boat before the storm arrived.", "My sister bought three red apples at the market this morning.",
        "Nobody knew why the train had stopped outside the village.", "Please leave the keys on the kitchen table.",
        "The children were playing in the garden until it rained.", "He never told anyone what he had seen that night.",
        "We walked along the river for almost two hours.", "Her answer was short and surprisingly polite.",
    )  # fmt: skip
    spoken = [voice.speak(voice.phonemes(text)) for text in texts]
    return [spoken[number % len(spoken)] for number in range(count)]


def memory(base: str, adapters: Sequence[Path]) -> dict[str, float]:
    """Bytes of tensors, and growth of the process."""
    from speechadapt.models.load import load_model

    library = library_with(base, [])
    gc.collect()
    before = resident()
    for folder in adapters:
        library.add(folder.name, folder)
    gc.collect()
    grown = resident() - before
    size = sum(parameter.nbytes for parameter in library.model.network.parameters())
    before = resident()
    copies = [load_model(base, device="cpu") for _ in range(2)]
    for copy in copies:  # a mapped file is resident only once it was read
        for parameter in copy.network.parameters():
            parameter.data.sum()
    gc.collect()
    copied = resident() - before
    found = library.nbytes
    return {
        "bytes of one adapter of rank 8, MB": found / len(adapters) / 1e6,
        "bytes of the base, MB": size / 1e6,
        "64 adapters over 2 copies of the base, bytes": found / (2 * size),
        "resident growth of 64 adapters, MB": grown / 1e6,
        "resident growth of 2 copies, MB": copied / 1e6,
        "64 adapters over 2 copies of the base, resident memory": grown / copied,
    }


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def adding(base: str, adapters: Sequence[Path], folder: Path, rounds: int) -> dict[str, float]:
    """An adapter from disk into the library, against a merged model from disk."""
    from speechadapt.adapt.adapter import load_adapter
    from speechadapt.models.load import load_model

    model = load_model(base, device="cpu")
    load_adapter(model, adapters[0])
    out = folder / "merged"
    model.network.merge_and_unload().save_pretrained(out)
    model.tokenizer.save_pretrained(out)
    for name in ("preprocessor_config.json", "tokenizer.json", "generation_config.json"):
        if (model.base.folder / name).is_file():
            out.joinpath(name).write_bytes(model.base.folder.joinpath(name).read_bytes())
    library = library_with(base, [])

    def add() -> None:
        library.add("one", adapters[1], replace=True)

    times = side_by_side({"add": add, "load": lambda: load_model(str(out), device="cpu")}, rounds)
    return {
        "adding an adapter from disk, ms": 1000 * times["add"],
        "loading a merged model, ms": 1000 * times["load"],
        "merged model's loading over adding an adapter": times["load"] / times["add"],
    }


def swapping(base: str, adapters: Sequence[Path], rounds: int) -> dict[str, float]:
    """What it costs that a clip's adapter is not the last clip's; and PEFT's own way."""
    from speechadapt.adapt.adapter import load_adapter
    from speechadapt.models.load import load_model
    from speechadapt.models.speech_model import DecodeSettings

    library = library_with(base, adapters[:2])
    clip, settings = clips(1), DecodeSettings(precision="fp32", window="short")

    def say(*names: str) -> Callable[[], object]:
        return lambda: [library.decode(clip, [name], settings) for name in names]

    one, two = (folder.name for folder in adapters[:2])
    times = side_by_side({"same": say(one, one, one, one), "alternating": say(one, two, one, two)}, 4 * rounds)
    begun = time.perf_counter()
    for _ in range(500):
        library.use(one)
        library.use(two)
    used = (time.perf_counter() - begun) / 1000
    model = load_model(base, device="cpu")
    load_adapter(model, adapters[0])
    network: Any = model.network
    network.load_adapter(str(adapters[1]), adapter_name="two")
    begun = time.perf_counter()
    for _ in range(20):
        network.set_adapter("two")
        network.set_adapter("default")
    return {
        "swap between loaded adapters, ms": 1000 * max(times["alternating"] - times["same"], 0.0) / 4 + 1000 * used,
        "use(name), ms": 1000 * used,
        "PEFT's set_adapter, ms": 1000 * (time.perf_counter() - begun) / 40,
    }


def throughput(base: str, adapters: Sequence[Path], window: str, count: int, rounds: int) -> dict[str, float]:
    """Seconds of audio per second: one batch of clips, by how many adapters it mixes, and by separate models."""
    from speechadapt.models.speech_model import DecodeSettings
    from speechadapt.transcriber import Transcriber

    library = library_with(base, adapters)
    settings = DecodeSettings(precision="fp32", window=window)
    batch = clips(count)
    audio = sum(len(clip) for clip in batch) / 16_000
    models = [Transcriber(base, folder, device="cpu", settings=settings) for folder in adapters[:8]]

    def mixed(number: int) -> Callable[[], object]:
        names = [adapters[place % number].name for place in range(count)]
        return lambda: library.decode(batch, names, settings)

    def separate() -> None:
        for number, model in enumerate(models):
            model.decode(batch[number::8])

    sides: dict[str, Callable[[], object]] = {f"{number} adapters": mixed(number) for number in (1, 8, 64) if number <= count}
    sides |= {"one merged model": lambda: models[0].decode(batch), "8 separate models": separate}
    if window == "full":
        sides["the base"] = lambda: library.decode(batch, [None] * count, settings)
        some = [None if place % 8 == 0 else adapters[place % 8].name for place in range(count)]
        sides["the base and 7 adapters"] = lambda: library.decode(batch, some, settings)
    times = side_by_side(sides, rounds)
    found = {f"{window} window, {count} clips: {name}, audio s/s": audio / seconds for name, seconds in times.items()}
    found[f"{window} window: 8 adapters over one adapter"] = times["1 adapters"] / times["8 adapters"]
    found[f"{window} window: 8 adapters over one merged model"] = times["one merged model"] / times["8 adapters"]
    found[f"{window} window: 8 adapters over 8 separate models"] = times["8 separate models"] / times["8 adapters"]
    return found


def side_by_side(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each side, which take turns after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, run in sides.items():
            begun = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}


if __name__ == "__main__":
    sys.exit(main())
