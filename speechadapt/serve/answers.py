"""A transcript as the bodies that OpenAI's endpoint answers with: json, verbose_json, text, srt, vtt."""

import json
import zlib
from collections.abc import Sequence
from typing import Any

from speechadapt.subtitles import Line, cut_lines, to_srt, to_vtt
from speechadapt.transcriber import Segment, Transcript

FORMATS = ("json", "verbose_json", "text", "srt", "vtt")
GRANULARITIES = ("word", "segment")
MEDIA_TYPES = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


def json_body(transcript: Transcript) -> dict[str, Any]:
    """`text`, and the seconds that were heard."""
    return {"text": transcript.text, "usage": _usage(transcript)}


def verbose_body(
    transcript: Transcript, *, language: str | None, task: str | None, temperature: float, granularities: Sequence[str]
) -> dict[str, Any]:
    """OpenAI's `verbose_json`: segments unless only words were asked for, and words where they were."""
    body: dict[str, Any] = {
        "task": task or "transcribe",
        "language": language or "",
        "duration": transcript.duration,
        "text": transcript.text,
        "usage": _usage(transcript),
    }
    if "segment" in granularities or "word" not in granularities:
        body["segments"] = [_segment(number, segment, temperature) for number, segment in enumerate(transcript.segments)]
    if "word" in granularities:
        body["words"] = [{"word": word.text, "start": word.start, "end": word.end, "probability": word.probability} for word in transcript.words]
    return body


def event_body(transcript: Transcript) -> str:
    """The server-sent events of `stream=true`: `transcript.text.delta` for each segment, then `transcript.text.done` with the whole text."""
    texts = [segment.text for segment in transcript.segments if segment.text]
    events = [{"type": "transcript.text.delta", "delta": f" {text}" if place else text} for place, text in enumerate(texts)]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in [*events, {"type": "transcript.text.done", "text": transcript.text}])


def plain_body(transcript: Transcript, form: str) -> str:
    """`text`, `srt` or `vtt`; subtitles are cut by words where their times are known."""
    if form == "text":
        return transcript.text + "\n"
    return to_srt(_lines(transcript)) if form == "srt" else to_vtt(_lines(transcript))


def _usage(transcript: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": -int(-transcript.duration // 1)}


def _lines(transcript: Transcript) -> list[Line]:
    if transcript.words:
        return cut_lines((word.start, word.end, word.text) for word in transcript.words)
    return [(segment.start, segment.end, segment.text) for segment in transcript.segments if segment.text]


def _segment(number: int, segment: Segment, temperature: float) -> dict[str, Any]:
    text = segment.text.encode()
    return {
        "id": number,
        "seek": round(segment.start * 100),
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": len(text) / len(zlib.compress(text)) if text else 0.0,
        "no_speech_prob": segment.no_speech or 0.0,
    }
