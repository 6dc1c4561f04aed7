"""A simulated accent, from nothing to a verdict in minutes: Whisper tiny.en adapted to synthetic English with a Mandarin-like accent.

Needs no recordings: a small neural voice reads generated sentences, and phonological rules make the accent. The same voice without the
rules is the guard. It shows the whole way on two cores; what it finds is about the simulation. Claims about people need people's speech.
The same on a wav2vec2-style (CTC) model: speechadapt run quickstart --set BASE=embedded:wav2vec2-small --out runs/quickstart-ctc
"""

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
    show_side_by_side,
    train_on,
)

BASE: str = "openai/whisper-tiny.en"
ACCENT: str = "mandarin"
# speakers, and sentences by each of them
TRAIN_SIZE: tuple[int, ...] = (16, 36)
DEV_SIZE: tuple[int, ...] = (6, 5)
TEST_SIZE: tuple[int, ...] = (10, 12)
GUARD_SIZE: tuple[int, ...] = (10, 8)
# of the voice without the accent, to be trained on too, so that it is not unlearned
REPLAY_SIZE: tuple[int, ...] = (10, 15)
SPEC = AdapterSpec(rank=32)
TRAIN = TrainSettings(epochs=2.5, evaluate_every=25)


def main(run: Run) -> Verdict:
    """Load, speak the corpus, score the base, train, score what ships, prove, and show two clips."""
    model = load_model(BASE)
    data = make_synthetic(run, ACCENT, train=TRAIN_SIZE, dev=DEV_SIZE, test=TEST_SIZE)
    standard = make_synthetic(run, "standard", train=REPLAY_SIZE, test=GUARD_SIZE)
    sets = read_sets(run, data, guards=[standard / "test.jsonl"], replay=[standard / "train.jsonl"])
    base = score_sets(run, model, sets, system="base")
    train_on(run, model, sets, spec=SPEC, settings=TRAIN)
    shipped = load_shipped(run, BASE)
    adapted = score_sets(run, shipped, sets, system="adapted")
    short = score_short(run, shipped, sets)
    verdict = prove(run, sets, base, adapted, short)
    show_side_by_side(run, sets, BASE)
    run.say(f"next, your own corpus:  speechadapt prepare table YOUR.csv data/mine --splits speaker && speechadapt adapt {BASE} data/mine")
    return verdict
