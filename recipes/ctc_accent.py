"""An accent on a wav2vec2-style (CTC) model: the embedded base adapted to simulated German-like English in ten minutes of training, with a guard.

Needs no recordings and no download: a small neural voice speaks the accent (five minutes on two cores), and the base ships with the package.
Speech costs little here, so each clip is heard once; with a corpus of people's speech take more passes. The standard voice is trained on
too, and there the adapter is held near what the base itself would write. The same code adapts a real base to real speech that was
prepared before; a large base needs a cooler rate than the small one:

    speechadapt run ctc_accent --out runs/ctc_accent
    speechadapt run ctc_accent --set BASE=facebook/wav2vec2-base-960h --set DATA=data/speechocean762 --set TRAIN.epochs=5 \\
        --set TRAIN.learning_rate=3e-4 --out runs/speechocean762

The result on simulated speech is about the simulation. Claims about people need people's speech.
"""

from pathlib import Path

from speechadapt.recipe import (
    AdapterSpec,
    Run,
    TrainSettings,
    Verdict,
    load_model,
    load_shipped,
    make_synthetic,
    prove,
    read_sets,
    score_sets,
    score_short,
    train_on,
)

BASE: str = "embedded:wav2vec2-small"
LANGUAGE: str = "en"
ACCENT: str = "german"
# a prepared corpus instead of the simulated accent
DATA: Path | None = None
GUARDS: tuple[Path, ...] = ()
# speech the base serves already, to be trained on too, so that it is not unlearned
REPLAY: tuple[Path, ...] = ()
# of the simulated accent: speakers, and sentences by each of them
TRAIN_SIZE: tuple[int, ...] = (1350, 10)
# it chooses the checkpoint: thirty clips chose too early
DEV_SIZE: tuple[int, ...] = (12, 10)
TEST_SIZE: tuple[int, ...] = (16, 12)
GUARD_SIZE: tuple[int, ...] = (12, 10)
# of the standard voice, which has no accent: for training beside the accent
REPLAY_SIZE: tuple[int, ...] = (900, 10)
SPEC = AdapterSpec(rank=64, alpha=128.0)
TRAIN = TrainSettings(epochs=1.0, batch_seconds=40.0, learning_rate=1.5e-3, speed_perturb=(1.0,), time_masks=0, replay_divergence=0.5)


def main(run: Run) -> Verdict:
    """Load, read the sets, score the base, train, score what ships, prove."""
    model = load_model(BASE, language=LANGUAGE)
    data, guards, replay = DATA, list(GUARDS), list(REPLAY)
    if data is None:
        data = make_synthetic(run, ACCENT, train=TRAIN_SIZE, dev=DEV_SIZE, test=TEST_SIZE)
        standard = make_synthetic(run, "standard", train=REPLAY_SIZE, test=GUARD_SIZE)
        guards, replay = guards or [standard / "test.jsonl"], replay or [standard / "train.jsonl"]
    sets = read_sets(run, data, guards=guards, replay=replay)
    base = score_sets(run, model, sets, system="base")
    train_on(run, model, sets, spec=SPEC, settings=TRAIN)
    shipped = load_shipped(run, BASE, language=LANGUAGE)
    adapted = score_sets(run, shipped, sets, system="adapted")
    return prove(run, sets, base, adapted, score_short(run, shipped, sets))
