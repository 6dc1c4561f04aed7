"""Drafts: what a model makes of stretches of speech that nobody has transcribed, for a person to correct."""

from collections.abc import Sequence
from pathlib import Path

from speechadapt.audio.voice_activity import SpeechSpan
from speechadapt.audio.waveform import open_recording
from speechadapt.transcriber import Transcriber


def draft_transcripts(transcriber: Transcriber, recording: Path, spans: Sequence[SpeechSpan]) -> list[str]:
    """The text of each stretch of speech as the model writes it, blanks as single blanks.

    Raises:
        AudioError: the recording cannot be read.
    """
    with open_recording(recording) as opened:
        waveforms = (opened.read_waveform(offset=one.start, duration=one.end - one.start) for one in spans)
        return [" ".join(transcriber.transcribe(waveform).text.split()) for waveform in waveforms]


def load_transcriber(base: str, adapter: Path | None = None, *, language: str | None = None) -> Transcriber:
    """Load a recognizer of any family for `draft_transcripts`.

    Raises:
        ModelError, AdapterError: it cannot be used.
        MisuseError: a language that it does not know.
    """
    return Transcriber(base, adapter, language=language)
