"""Segmentation: long recordings cut into utterances, where their transcripts have no times, by what a CTC model hears in them.

`segment_recording` finds a transcript in a recording, phrase by phrase, and cuts; `load_aligner` loads the model it needs. Where nobody has
transcribed a recording, `draft_transcripts` writes what a model hears in stretches of speech.
"""

from speechadapt.segmentation.drafts import draft_transcripts, load_transcriber
from speechadapt.segmentation.recording import (
    AlignedSegment,
    RejectedPart,
    SegmentationSettings,
    SegmentedRecording,
    load_aligner,
    segment_recording,
)

__all__ = [
    "AlignedSegment",
    "RejectedPart",
    "SegmentationSettings",
    "SegmentedRecording",
    "draft_transcripts",
    "load_aligner",
    "load_transcriber",
    "segment_recording",
]
