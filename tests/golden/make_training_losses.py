"""Make training_losses.json: the first losses of a small training with everything switched on, on a random Whisper and tones.

Run from the repository's root with: PYTHONPATH=tests python tests/golden/make_training_losses.py
Run it again only when a change of the numbers is meant (another default is not: the settings stand in the file), and say why in the commit.
"""

import json
import tempfile
from pathlib import Path

from conftest import _tone
from soundfile import write
from tiny_whisper import write_tiny_whisper

from speechadapt.adapt.spec import AdapterSpec, TrainSettings
from speechadapt.adapt.train import train_adapter
from speechadapt.data.manifest import Manifest
from speechadapt.data.utterance import Utterance
from speechadapt.models.load import load_model

TEXTS = ("They went home.", "No.", "A longer sentence, with a comma.", "Yes, of course.", "It rained.", "Nobody came to the party.")
SETTINGS = {
    "steps": 5,
    "batch_seconds": 4.0,
    "learning_rate": 0.01,
    "warmup_share": 0.4,
    "margin_seconds": 1.0,
    "full_window_share": 0.2,
    "speed_perturb": [0.9, 1.0, 1.1],
    "time_masks": 2,
    "time_mask_share": 0.1,
    "freq_masks": 2,
    "freq_mask_bins": 20,
    "label_smoothing": 0.1,
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "final_share": 0.02,
    "average_decay": 0.9,
    "precision": "fp32",
    "seed": 0,
}


def main() -> None:
    """Train in a temporary folder and write the losses beside this file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tiny_whisper("english", folder / "model")
        rows = []
        for number, text in enumerate(TEXTS):
            seconds = 0.6 + 0.2 * number
            write(folder / f"{number}.wav", _tone(seconds, seed=number), 16_000)
            rows.append(Utterance(id=f"u{number}", audio_filepath=f"{number}.wav", duration=seconds, text=text))
        train_adapter(
            load_model(str(folder / "model"), device="cpu"),
            Manifest(rows, folder=folder, name="train"),
            spec=AdapterSpec(rank=2, alpha=4.0),
            settings=TrainSettings(**SETTINGS),  # type: ignore[arg-type]
            out=folder / "run",
        )
        losses = [json.loads(line)["loss"] for line in (folder / "run" / "train.jsonl").read_text().splitlines()]
    out = Path(__file__).with_name("training_losses.json")
    out.write_text(json.dumps({"settings": SETTINGS, "losses": losses}, indent=2) + "\n", encoding="utf-8")
    print(losses)


if __name__ == "__main__":
    main()
