"""Units in types: a bare float says nothing, `Seconds` does."""

Seconds = float
Hertz = int

SAMPLING_RATE: Hertz = 16_000
"""The rate of every waveform inside the library: what Whisper, wav2vec2 and their relatives were trained on."""


def clock(seconds: Seconds) -> str:
    """Say a duration the way a person would: `0.4 s`, `12 s`, `3 min 05 s`, `1 h 02 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
