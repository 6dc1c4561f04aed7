"""Hypotheses that lie on disk already, as a system of a benchmark: nothing is decoded, and utterances without one are told."""

from collections.abc import Sequence
from typing import Any

from speechadapt.bench.recognizer import Clip, Recognizer, Said
from speechadapt.bench.systems import MANIFEST, HypothesesSystem, System
from speechadapt.bench.weights import hypotheses_path
from speechadapt.data.hypothesis import Hypothesis
from speechadapt.data.transcript_files import References, read_hypothesis_file
from speechadapt.score.phrases import listed


def load(system: System) -> Recognizer:
    """Nothing is read before a manifest asks for it, as each may have a file of its own. Every format that `speechadapt score` reads will do.

    `decode` raises ManifestError, CorpusError or MisuseError where a file is missing, broken or of an unknown format.
    """
    given = system.settings
    if not isinstance(given, HypothesesSystem):
        raise TypeError(f"settings of {type(given).__name__}")
    facts: dict[str, Any] = {"file": given.file.name, "decode": {}}

    def prepare(clips: Sequence[Clip]) -> Sequence[Clip]:
        return clips

    def decode(clips: Sequence[Clip]) -> list[Said]:
        manifest = clips[0].manifest
        path = hypotheses_path(given, manifest.name)
        read = read_hypothesis_file(path, References(found=manifest, form="jsonl"))
        found = {one.id: one for one in read.found}
        facts["notes"] = [*read.notes, *_strangers(set(found) - {row.id for row in manifest}, given)]
        return [_said(found.get(clip.utterance.id)) for clip in clips]

    def batches(durations: Sequence[float]) -> list[list[int]]:
        return [list(range(len(durations)))]

    return Recognizer(prepare=prepare, decode=decode, batches=batches, facts=facts, warm=False)


def _strangers(ids: set[str], given: HypothesesSystem) -> list[str]:
    """One file for all manifests holds the others' ids as well; of a manifest's own file they are worth a word."""
    if not ids or MANIFEST not in str(given.file):
        return []
    return [f"texts of no utterance, ignored: {len(ids)} ({listed(sorted(ids))})."]


def _said(found: Hypothesis | None) -> Said:
    if found is None:
        return Said(text="", missing=True)
    # a time of its own may stand in the file; how long reading it took is none
    return Said(text=found.text, seconds=-1.0 if found.seconds is None else found.seconds, avg_logprob=found.avg_logprob)
