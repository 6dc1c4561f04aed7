"""Transcriber: a base model, perhaps with an adapter, that takes any audio and gives text. What a voice app imports."""

import contextlib
import dataclasses
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from speechadapt.adapt.adapter import AdapterRef, load_adapter, merge_for_good, read_adapter
from speechadapt.audio.pieces import Cutter, Piece, QuietCutter, SpeechCutter, cut_at_quiet, cut_pieces, whole_piece
from speechadapt.audio.voice_activity import chosen_vad
from speechadapt.audio.waveform import AudioSource, Waveform, open_recording, resample
from speechadapt.errors import AudioError, MisuseError
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import Decoded, DecodeSettings, SpeechModel, Word
from speechadapt.models.whisper import WhisperModel
from speechadapt.units import SAMPLING_RATE, Hertz, Seconds

__all__ = [
    "Decode", "Segment", "Transcriber", "Transcript", "check_settings", "cut_at_quiet", "first_speech", "is_invented", "segments_of",
    "transcribe_long",
]  # fmt: skip

LONGEST_PIECE: Seconds = 28.0
"""Of a recording that does not fit the model's window; a little room is left in Whisper's 30 s, where it would drop the last word."""
TIMESTAMPS = (None, "segment", "word")
NO_SPEECH = 0.6
UNSURE = -1.0
"""A piece whose no-speech probability is above NO_SPEECH and whose average log-probability is below UNSURE is invented text (OpenAI's rule)."""
LONG_PAUSE: Seconds = 1.0
"""Between two words, it ends a segment."""
SPAN_MARGIN: Seconds = 0.25
"""A word may reach this far out of the speech that voice activity found, which notices soft beginnings late."""
SENTENCE_ENDS = (".", "?", "!", "。", "？", "！", "…", "؟", "۔", "।", "։", "።")
CLOSING = "\"'”’»)]}」』"
TITLES = ("Mr.", "Mrs.", "Ms.", "Dr.", "St.", "Prof.")
"""A full stop that ends no sentence."""
BLOCK = 160_000
"""Samples of an array that are converted at a time."""
RATES: tuple[Hertz, Hertz] = (1000, 768_000)
"""Sampling rates that a recording may have; a header with another one lies."""
SEEDS = (-(2**63), 2**64 - 1)
"""What torch takes for one."""
FULL_SCALE = 16.0
"""Float samples beyond this, 24 dB above full scale, are integers that nobody divided."""

Decode = Callable[[Sequence[Waveform], DecodeSettings], Sequence[Decoded]]
"""From waveforms (float32, shape (samples,), 16 kHz, each at most the model's window) to what was said in each, in order."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of the recording.

    Attributes:
        start, end: in seconds from the recording's start: where the speech in it begins and ends, as far as that is known.
        text: what was said.
        avg_logprob: mean natural-log probability per token of the piece of audio it was decoded in.
        words: with their times from the recording's start, where they were asked for.
        no_speech: the probability, 0 to 1, that nobody speaks in that piece, as Whisper judges it; None for other families.
        language: it was decoded as; None where the family does not tell.
    """

    start: Seconds
    end: Seconds
    text: str
    avg_logprob: float
    words: tuple[Word, ...] = ()
    no_speech: float | None = None
    language: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What was said.

    Attributes:
        text: of the whole recording.
        segments: in order of time: pieces of at most the model's window, or, where times were asked for, sentences.
        duration: seconds of audio.
        avg_logprob: mean over the segments, weighted by their length; 0 where nothing was said.
        adapter: folder or name of the adapter used, or None.
        words: of all segments, where they were asked for.
        no_speech: likewise the mean of the segments' no-speech probabilities; None where no model was asked or the family does not tell.
        language: in which most of the speech was decoded; None where the family does not tell or nothing was said.
        dropped: pieces of audio whose text was taken for invented, because the model itself heard no speech in them and was unsure of its words.
        cut_by: `voice activity` where silence was left out and pieces end in it, or `quiet` where the extra `vad` is not installed or not wanted.
    """

    text: str
    segments: tuple[Segment, ...]
    duration: Seconds
    avg_logprob: float
    adapter: str | None
    words: tuple[Word, ...] = ()
    no_speech: float | None = None
    language: str | None = None
    dropped: int = 0
    cut_by: str = "quiet"

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return dataclasses.asdict(self)


class Transcriber:
    """A recognizer for applications; loading takes seconds, so keep one. Safe to call from several threads, which take turns batch by batch."""

    def __init__(
        self,
        base: str | None = None,
        adapter: Path | str | None = None,
        *,
        revision: str | None = None,
        language: str | None = None,
        task: str | None = None,
        device: str | None = None,
        precision: str | None = None,
        vad: bool | None = None,
        settings: DecodeSettings | None = None,
    ) -> None:
        """Args:
            base: folder or Hub id; None takes the one the adapter was trained on.
            adapter: folder of an adapter made by speechadapt.
            revision: of the base on the Hub.
            language: None takes the adapter's, or detects it per piece (multilingual base models without an adapter).
            task: `transcribe` or `translate`; None takes the adapter's.
            device: None takes the best there is.
            precision: auto, fp32 or bf16; None takes that of the settings, which is auto.
            vad: whether speech is found by Silero's network, so that silence and noise give no text; None: where the extra `vad` is installed.
            settings: None is greedy search, in the 30 s window.

        Raises:
            MisuseError: neither base nor adapter, a language or device that does not exist, or settings that the model's family has no use for.
            ModelError, AdapterError: the base or the adapter cannot be used.
            MissingExtraError: `vad` is True, and its extra is not installed.
        """
        facts: AdapterRef | None = None if adapter is None else read_adapter(Path(adapter))
        if base is None and facts is None:
            raise MisuseError("neither a base model nor an adapter was given. Give at least one of them.")
        if vad:
            chosen_vad(vad)  # says at once what is missing
        if facts is not None:
            base, language, task = base or facts.base_id, language or facts.language, task or facts.task
        self.model = load_model(str(base), revision=revision, language=language, task=task or "transcribe", device=device)
        self.adapter = None if facts is None else str(facts.folder)
        self.settings = (settings or DecodeSettings()).with_given(precision=precision)
        self.vad = vad
        check_settings(self.model, self.settings)
        self._turn = threading.Lock()
        if facts is not None:
            load_adapter(self.model, facts.folder)
            merge_for_good(self.model)

    def transcribe(
        self,
        source: "AudioSource | NDArray[Any]",
        *,
        sampling_rate: Hertz = SAMPLING_RATE,
        language: str | None = None,
        timestamps: str | None = None,
        words: bool = False,
        prompt: str | None = None,
        temperature: float | None = None,
        seed: int | None = None,
    ) -> Transcript:
        """Transcribe one recording of any length; of a long file or long bytes, a few minutes' samples are in memory at a time.

        Args:
            source: a path, the bytes of a file, an open binary file, or samples (float in [-1, 1] or int16, shape (samples,), mono).
            sampling_rate: of `source` when it is samples, in Hz.
            language: of the speech, instead of the transcriber's own (multilingual Whisper).
            timestamps: `segment` cuts the segments at the ends of sentences and at long pauses; `word` tells each word's times as well.
            words: tell each word's times and leave the segments as they are.
            prompt: text to be taken as said before, for names and spelling (Whisper).
            temperature: 0 takes the likeliest tokens, above it they are drawn (Whisper); None takes the settings'.
            seed: of the draws.

        Returns:
            The text, with its segments. Silence and noise give no text where voice activity is known.

        Raises:
            AudioError: not audio, empty, cut off, or samples that are not finite or of another shape.
            MisuseError: a sampling rate of 0 or less, a language the model has no token for, or what its family has no use for.
        """
        settings = self.settings.with_given(language=language, prompt=prompt, temperature=temperature, seed=seed, words=words or None)
        check_settings(self.model, settings)
        return transcribe_long(
            self.decode, source, settings=settings, longest=self.model.longest, padded_to=self.model.padded_to, sampling_rate=sampling_rate,
            timestamps=timestamps, vad=self.vad, adapter=self.adapter,
        )  # fmt: skip

    def decode(self, waveforms: Sequence[Waveform], settings: DecodeSettings | None = None) -> list[Decoded]:
        """Decode one batch of clips (float32, shape (samples,), 16 kHz), each at most the model's window, as they are; threads take turns."""
        with self._turn:
            return self.model.decode(waveforms, settings or self.settings)


def transcribe_long(
    decode: Decode,
    source: "AudioSource | NDArray[Any]",
    *,
    settings: DecodeSettings,
    longest: Seconds,
    padded_to: Seconds | None = None,
    sampling_rate: Hertz = SAMPLING_RATE,
    timestamps: str | None = None,
    vad: bool | None = None,
    adapter: str | None = None,
) -> Transcript:
    """Transcribe a recording of any length with whatever decodes: cut it in its silences, decode pieces in batches, and put the text together.

    A recording that fits the model's window is heard whole, as it is when models are scored.

    Args:
        decode: from waveforms and settings to what was said; called with at most `settings.batch_seconds` of padded audio.
        source: a path, the bytes of a file, an open binary file, or samples (float in [-1, 1] or int16, shape (samples,), mono).
        settings: for `decode`; word times are added to them where `timestamps` need them.
        longest: seconds that the model can hear at once.
        padded_to: seconds that every clip is padded to in the full window; None where it is padded to the longest of its batch.
        sampling_rate: of `source` when it is samples, in Hz.
        timestamps: None, `segment` or `word`; see `Transcriber.transcribe`.
        vad: whether voice activity is used; None: where it is installed.
        adapter: recorded in the transcript.

    Raises:
        AudioError: see `Transcriber.transcribe`.
        MisuseError: a sampling rate or `timestamps` that cannot be meant.
        MissingExtraError: `vad` is True, and its extra is not installed.
    """
    if timestamps not in TIMESTAMPS:
        raise MisuseError(f'timestamps is "{timestamps}", must be None, "segment" or "word". Correct it.')
    wanted = dataclasses.replace(settings, words=settings.words or timestamps is not None)
    network = chosen_vad(vad)
    segments: list[Segment] = []
    heard = _Heard()
    dropped, no_speech = 0, _Mean()
    with _blocks(source, sampling_rate, longest) as blocks:
        pieces = _pieces(network, blocks, longest, heard)
        for batch in _batches(pieces, wanted, padded_to):
            for piece, result in zip(batch, _decode_all(decode, batch, wanted, padded_to), strict=True):
                if result.no_speech is not None:
                    no_speech.add(result.no_speech, len(piece.waveform))
                if is_invented(result):
                    dropped += 1
                else:
                    segments += segments_of(piece, result, timestamps, keep_words=settings.words or timestamps == "word")
    lengths = _Mean()
    for segment in segments:
        lengths.add(segment.avg_logprob, max(segment.end - segment.start, 1e-3))
    return Transcript(
        text=" ".join(segment.text for segment in segments if segment.text),
        segments=tuple(segments),
        duration=heard.samples / SAMPLING_RATE,
        avg_logprob=lengths.value or 0.0,
        adapter=adapter,
        words=tuple(word for segment in segments for word in segment.words),
        no_speech=no_speech.value,
        language=_most_spoken(segments),
        dropped=dropped,
        cut_by="quiet" if network is None else "voice activity",
    )


def first_speech(
    source: "AudioSource | NDArray[Any]",
    *,
    seconds: Seconds,
    longest: Seconds,
    sampling_rate: Hertz = SAMPLING_RATE,
    vad: bool | None = None,
) -> Waveform:
    """The beginning of what somebody says in a recording, to tell from it who or what it is.

    Args:
        source: as for `transcribe_long`; an open file is left where it stood.
        seconds: at most so many are taken.
        longest: seconds that the model can hear at once.
        sampling_rate: of `source` when it is samples, in Hz.
        vad: whether voice activity is used; None: where it is installed. Without it the recording's beginning is taken.

    Returns:
        float32, shape (samples,), 16 kHz; empty where nobody speaks.

    Raises:
        AudioError, MisuseError: see `Transcriber.transcribe`.
    """
    network = chosen_vad(vad)
    wanted = round(seconds * SAMPLING_RATE)
    found = np.zeros(0, np.float32)
    file: Any = source
    try:
        stood = file.tell() if file.seekable() else None
    except (AttributeError, ValueError):  # no file, or one that is closed, which is refused below
        stood = None
    try:
        with _blocks(source, sampling_rate, longest) as blocks:
            for piece in _pieces(network, blocks, longest, _Heard()):
                found = np.concatenate([found, piece.waveform[max(0, piece.spans[0][0] - piece.start) :]])[:wanted]
                if len(found) == wanted:
                    break
    finally:
        if stood is not None:
            file.seek(stood)
    return found


def is_invented(result: Decoded) -> bool:
    """Whether a text is invented on noise: the model itself hears no speech (above 0.6) and is unsure of its tokens (mean log-probability below -1).

    The rule and its bounds are those of OpenAI's `transcribe`; families without a no-speech probability drop nothing.
    """
    return bool(result.text) and result.no_speech is not None and result.no_speech > NO_SPEECH and result.avg_logprob < UNSURE


def check_settings(model: SpeechModel, settings: DecodeSettings) -> None:
    """Refuse what a family would pass over in silence.

    Raises:
        MisuseError: a window the family does not have, a language model asked of another family than CTC, a prompt, temperature or other
            language asked of a family that has none, or values out of range.
    """
    if settings.window not in model.windows:
        only = "hears each clip as long as it is and has only: full. Leave the window out." if model.windows == ("full",) else None
        told = only or f"has only: {', '.join(model.windows)}. Choose one of them."
        raise MisuseError(f'window is "{settings.window}", but {model.base.id} {told}')
    if not 0 <= settings.temperature <= 1:
        raise MisuseError(f"temperature is {settings.temperature}, must be from 0 to 1. 0 takes the likeliest tokens.")
    least, greatest = SEEDS
    if not least <= settings.seed <= greatest:
        raise MisuseError(f"seed is {settings.seed}, must be from {least} to {greatest}. Choose a smaller one.")
    if settings.temperature > 0 and settings.beam > 1:
        raise MisuseError(f"temperature is {settings.temperature} and beam is {settings.beam}: a beam search draws nothing. Leave one of them out.")
    if model.family != "ctc" and settings.lm is not None:
        raise MisuseError(f"a language model asked of {model.base.id}, which is no CTC model and has none. Use a CTC model or leave it out.")
    if isinstance(model, WhisperModel):
        if settings.language is not None:
            model.must_know(settings.language)
        return
    asked = [name for name, wanted in (("a prompt", settings.prompt), ("a temperature", settings.temperature)) if wanted]
    if asked:
        raise MisuseError(f"{' and '.join(asked)} asked of {model.base.id}, which writes letters frame by frame. Use a Whisper or leave it out.")
    if settings.language is not None and model.language is not None and _tongue(settings.language) != _tongue(model.language):
        raise MisuseError(
            f'language is "{settings.language}", but {model.base.id} was loaded for "{model.language}". Load it for the other language.'
        )


def _tongue(language: str) -> str:
    return language.lower().split("-")[0]


@dataclasses.dataclass(slots=True)
class _Heard:
    samples: int = 0


@dataclasses.dataclass(slots=True)
class _Mean:
    total: float = 0.0
    weight: float = 0.0

    def add(self, value: float, weight: float) -> None:
        self.total += value * weight
        self.weight += weight

    @property
    def value(self) -> float | None:
        return self.total / self.weight if self.weight else None


def _most_spoken(segments: Sequence[Segment]) -> str | None:
    seconds: Counter[str] = Counter()
    for segment in segments:
        if segment.language is not None:
            seconds[segment.language] += round(1000 * (segment.end - segment.start)) + 1
    return max(seconds, key=lambda language: (seconds[language], language)) if seconds else None


# Sound


@contextlib.contextmanager
def _blocks(source: "AudioSource | NDArray[Any]", sampling_rate: Hertz, longest: Seconds) -> Iterator[Iterator[Waveform]]:
    """A recording's blocks at 16 kHz; samples that fit the model's window are one block."""
    if isinstance(source, np.ndarray):
        _check_samples(source, sampling_rate)
        fits = len(source) / sampling_rate <= longest
        yield iter([_resampled(source, sampling_rate)]) if fits else _sample_blocks(source, sampling_rate)
        return
    with open_recording(source) as recording:
        low, high = RATES
        if not low <= recording.info.sampling_rate <= high:
            raise AudioError(
                "not-audio",
                f"{recording.name}: its header says {recording.info.sampling_rate} Hz, must be {low} to {high}. Write it again from its source.",
            )
        yield recording.blocks()


def _check_samples(given: NDArray[Any], sampling_rate: Hertz) -> None:
    low, high = RATES
    if not low <= sampling_rate <= high:
        raise MisuseError(f"sampling_rate is {sampling_rate}, must be {low} to {high} Hz. Give the rate of the samples.")
    if given.ndim != 1 or not given.size:
        raise AudioError("not-audio", f"samples of shape {given.shape}, must be (samples,) and not empty. Give one mono channel.")
    if given.dtype != np.int16 and not np.issubdtype(given.dtype, np.floating):
        raise AudioError("not-audio", f"samples of type {given.dtype}, must be float in [-1, 1] or int16. Convert them.")
    bad = sum(int(np.count_nonzero(~np.isfinite(given[first : first + BLOCK]))) for first in range(0, len(given), BLOCK))
    if bad:
        raise AudioError("not-finite", f"{bad} of {given.size} samples are NaN or infinite. Record again.")
    check_scale(given)


def check_scale(samples: NDArray[Any]) -> None:
    """Refuse float samples that are integers which nobody divided: cut to [-1, 1] they would be nothing but noise.

    Raises:
        AudioError: reason not-audio.
    """
    if samples.dtype == np.int16 or not samples.size:
        return
    highest = max(float(samples.max()), -float(samples.min()))
    if highest > FULL_SCALE:
        raise AudioError(
            "not-audio", f"float samples as large as {highest:g}, must be in [-1, 1]. Divide them (16-bit ones by 32768), or give them as int16."
        )


def _floats(given: NDArray[Any]) -> Waveform:
    return given.astype(np.float32) / np.float32(32768) if given.dtype == np.int16 else given.astype(np.float32)


def _resampled(given: NDArray[Any], sampling_rate: Hertz) -> Waveform:
    return resample(_floats(given), sampling_rate, SAMPLING_RATE)


def _sample_blocks(given: NDArray[Any], sampling_rate: Hertz) -> Iterator[Waveform]:
    stream = None if sampling_rate == SAMPLING_RATE else soxr.ResampleStream(sampling_rate, SAMPLING_RATE, 1, dtype="float32", quality="HQ")
    for first in range(0, len(given), BLOCK):
        sound = _floats(given[first : first + BLOCK])
        if stream is not None:
            sound = stream.resample_chunk(sound, last=first + BLOCK >= len(given))
        yield np.clip(sound, -1.0, 1.0)


def _pieces(network: Any, blocks: Iterator[Waveform], longest: Seconds, heard: _Heard) -> Iterator[Piece]:
    """The pieces to decode, each as soon as it is complete; `heard` counts the samples.

    Whether a recording fits the model's window is seen by its samples: a FLAC that was written into a pipe does not know its length.
    """

    def counted() -> Iterator[Waveform]:
        for block in blocks:
            heard.samples += len(block)
            yield block

    rest = counted()
    begun: list[Waveform] = []
    while heard.samples <= round(longest * SAMPLING_RATE) + 1:  # resampling may round one up
        block = next(rest, None)
        if block is None:
            piece = whole_piece(network, np.concatenate([np.zeros(0, np.float32), *begun]))
            yield from [] if piece is None else [piece]
            return
        begun.append(block)
    limit = min(longest, LONGEST_PIECE)
    cutter: Cutter = QuietCutter(longest) if network is None else SpeechCutter(network, limit=limit)
    yield from cut_pieces(cutter, itertools.chain(begun, rest))


def _batches(pieces: Iterator[Piece], settings: DecodeSettings, padded_to: Seconds | None) -> Iterator[list[Piece]]:
    """Groups of pieces that together hold about as much sound as a batch may."""
    group: list[Piece] = []
    seconds = 0.0
    for piece in pieces:
        cost = _cost(piece, settings, padded_to)
        if group and seconds + cost > settings.batch_seconds:
            yield group
            group, seconds = [], 0.0
        group.append(piece)
        seconds += cost
    if group:
        yield group


def _cost(piece: Piece, settings: DecodeSettings, padded_to: Seconds | None) -> Seconds:
    return padded_to if padded_to is not None and settings.window == "full" else len(piece.waveform) / SAMPLING_RATE


def _decode_all(decode: Decode, group: Sequence[Piece], settings: DecodeSettings, padded_to: Seconds | None) -> list[Decoded]:
    """Decode a group in batches of like length; results in the group's order."""
    order = sorted(range(len(group)), key=lambda place: -len(group[place].waveform))
    results: dict[int, Decoded] = {}
    while order:
        longest = _cost(group[order[0]], settings, padded_to)
        size = max(1, int(settings.batch_seconds // max(longest, 1e-3)))
        # in the short window, what is less than half as long is not padded to the longest
        like = [place for place in order[:size] if 2 * _cost(group[place], settings, padded_to) + 2 >= longest]
        for place, result in zip(like, decode([group[place].waveform for place in like], settings), strict=True):
            results[place] = result
        order = order[len(like) :]
    return [results[place] for place in range(len(group))]


# Segments


def segments_of(piece: Piece, result: Decoded, timestamps: str | None, *, keep_words: bool) -> list[Segment]:
    """What was decoded from a piece, in the recording's time; nothing where no text was written.

    Args:
        piece: of the recording.
        result: with words, where `timestamps` or `keep_words` ask for them.
        timestamps: None for one segment, else sentences.
        keep_words: whether the segments hold their words.
    """
    begin, end = piece.spans[0][0] / SAMPLING_RATE, piece.spans[-1][1] / SAMPLING_RATE
    shift = piece.start / SAMPLING_RATE
    limit = piece.end / SAMPLING_RATE
    words = [_placed(word, shift, limit, piece.spans) for word in result.words]
    if not result.text:
        return []

    def segment(start: Seconds, end: Seconds, text: str, said: Sequence[Word]) -> Segment:
        return Segment(
            start=start, end=end, text=text, avg_logprob=result.avg_logprob, words=tuple(said) if keep_words else (),
            no_speech=result.no_speech, language=result.language,
        )  # fmt: skip

    if timestamps is None or not words:
        return [segment(begin, end, result.text, words)]
    texts = _texts_of(result.text, words)
    parts = _sentences(words)
    found = []
    for first, last in parts:
        text = " ".join("".join(texts[first:last]).split()) if texts else " ".join(word.text for word in words[first:last])
        found.append(segment(words[first].start, max(words[last - 1].end, words[first].start), text, words[first:last]))
    return found


def _texts_of(text: str, words: Sequence[Word]) -> list[str]:
    """The text cut behind each word, so that what joins them (blanks, or nothing) stays; empty if the words are not those of the text."""
    found, place = [], 0
    for word in words:
        at = text.find(word.text, place)
        if at < 0:
            return []
        found.append(text[place : at + len(word.text)])
        place = at + len(word.text)
    found[-1] += text[place:]
    return found


def _sentences(words: Sequence[Word]) -> list[tuple[int, int]]:
    """(first, last + 1) word of each sentence, which a long pause ends too."""
    parts, first = [], 0
    for place, (word, following) in enumerate(itertools.pairwise(words), start=1):
        bare = word.text.rstrip(CLOSING)
        ended = bare.endswith(SENTENCE_ENDS) and word.text not in TITLES and not (len(bare) == 2 and bare[0].isupper() and bare[1] == ".")
        if ended or following.start - word.end >= LONG_PAUSE:
            parts.append((first, place))
            first = place
    return [*parts, (first, len(words))]


def _placed(word: Word, shift: Seconds, limit: Seconds, spans: Sequence[tuple[int, int]]) -> Word:
    """A word in the recording's time, and within the stretch of speech that most of it lies in: nobody says a word in a silence."""
    start, end = min(word.start + shift, limit), min(word.end + shift, limit)
    stretches = [(first / SAMPLING_RATE - SPAN_MARGIN, last / SAMPLING_RATE + SPAN_MARGIN) for first, last in spans]
    best = max(stretches, key=lambda one: min(end, one[1]) - max(start, one[0]))
    low, high = max(start, best[0]), min(end, best[1])
    if high > low:
        start, end = low, high
    return dataclasses.replace(word, start=round(start, 3), end=round(max(start, end), 3))
