"""English of Mandarin speakers: Whisper tiny.en adapted to speechocean762, real speech of 250 adults and children.

The corpus is free (openslr.org/101, CC BY 4.0, 0.5 GB). Unpack it and prepare it once:

    speechadapt prepare speechocean762 PATH/TO/speechocean762 data/speechocean762
    speechadapt run mandarin_english --out runs/mandarin_english

Guards are speech that the base serves already and must go on serving. Without any, synthetic standard English stands in; give your own
with --set GUARDS=data/british/test.jsonl,data/american/test.jsonl.
"""

from pathlib import Path

from speechadapt.recipe import AdapterSpec, Run, TrainSettings, Verdict, load_model, load_shipped, prove, read_sets, score_sets, score_short, train_on

BASE: str = "openai/whisper-tiny.en"
LANGUAGE: str = "en"
DATA: Path = Path("data/speechocean762")
GUARDS: tuple[Path, ...] = ()
SPEC = AdapterSpec(rank=32, targets="attention+mlp")
TRAIN = TrainSettings(epochs=5.0)


def main(run: Run) -> Verdict:
    """Load, read the sets, score the base, train, score what ships, prove."""
    model = load_model(BASE, language=LANGUAGE)
    sets = read_sets(run, DATA, guards=GUARDS, corpus="speechocean762")
    base = score_sets(run, model, sets, system="base")
    train_on(run, model, sets, spec=SPEC, settings=TRAIN)
    shipped = load_shipped(run, BASE, language=LANGUAGE)
    adapted = score_sets(run, shipped, sets, system="adapted")
    short = score_short(run, shipped, sets)
    return prove(run, sets, base, adapted, short)
