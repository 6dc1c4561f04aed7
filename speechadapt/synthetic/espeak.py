"""eSpeak NG: text in more than a hundred languages to 16 kHz speech with the time of every word.

eSpeak NG is a formant synthesizer under the GPL, version 3 or later. It is an optional program that the user installs beside this package
(`pip install 'speechadapt[synthetic]'` brings it as espeakng-loader); it is called through its public C interface, nothing of it is copied
or shipped here, and speechadapt stays under Apache-2.0. What a synthesizer says belongs to whoever had it say it: the GPL does not reach
its output. This is the only file that calls it.
"""

import contextlib
import ctypes
import dataclasses
import functools
import itertools
import math
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from speechadapt.audio.waveform import Waveform, resample
from speechadapt.errors import MissingExtraError, MisuseError, SpeechadaptError
from speechadapt.units import SAMPLING_RATE, Seconds

ESPEAK_PACKAGE = "espeakng-loader"

SLOWEST, FASTEST = 0.5, 2.0
LOWEST, HIGHEST = 0.6, 1.7
NORMAL_RATE = 175
"""Words a minute that eSpeak takes as its normal speed."""

PITCH_EXPONENT = 1.15
"""Measured on 13 speakers: eSpeak moves by less than its parameters say. With it a factor is met to about a twentieth."""

UNREPEATABLE = ("Reed", "caleb")
"""Variants that draw their noise from the C library's generator, which belongs to the whole process and must not be reset by us."""

# numbers of eSpeak's C interface (espeak-ng/speak_lib.h)
SYNCHRONOUS = 2
PHONEME_EVENTS, DO_NOT_EXIT = 0x0001, 0x8000
CHARACTERS, UTF8 = 1, 1
RATE, PITCH, RANGE = 1, 3, 4
LIST_ENDS, WORD, CLAUSE_END, SOUND = 0, 1, 5, 7


class _Event(ctypes.Structure):
    """`espeak_EVENT`: `position` counts characters from 1, `sample` counts samples from 0."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("sound", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))

_LOCK = threading.Lock()
"""The library keeps everything in global variables."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WordTime:
    """When a piece of the text is heard: `text` as written there, `start` and `end` in seconds from the first sample."""

    text: str
    start: Seconds
    end: Seconds


@dataclasses.dataclass(frozen=True, slots=True)
class _Happening:
    """One event, out of the library's memory."""

    kind: int
    position: int
    sample: int
    sound: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EspeakVoice:
    """eSpeak NG as installed; use `load_espeak` to get it.

    Attributes:
        shared: the shared library.
        data: its folder of languages and voices.
    """

    shared: Path
    data: Path

    @property
    def variants(self) -> tuple[str, ...]:
        """The speakers that can say any language, such as `f1` to `f5` (higher voices) and `m1` to `m8` (lower ones)."""
        return tuple(sorted(path.name for path in (self.data / "voices" / "!v").iterdir() if path.name not in UNREPEATABLE))

    def speak(
        self, text: str, *, voice: str = "en-us", variant: str | None = None, speed: float = 1.0, pitch: float = 1.0
    ) -> tuple[Waveform, tuple[WordTime, ...]]:
        """Say a text; the same arguments give the same samples in every call and process.

        Args:
            text: in the script of the language; every run of white space counts as one blank. Punctuation makes pauses and melody.
            voice: a language of eSpeak NG, such as en-us, en-gb, de or ka.
            variant: one of `variants`; None is the language's own speaker.
            speed: tempo, `SLOWEST` to `FASTEST`; 1 is 175 words a minute; met to about an eighth.
            pitch: factor on the speaker's fundamental frequency, `LOWEST` to `HIGHEST`.

        Returns:
            float32, shape (samples,), 16 kHz, in [-1, 1], and the times of the words in order, which do not overlap; pauses belong to no
            word. The texts, joined by blanks, are the whole text. eSpeak slurs some words together (`of the`): those share one time. Both
            are empty when there is nothing to say.

        Raises:
            MisuseError: an unknown voice or variant, or a speed or pitch outside its range.
            SpeechadaptError: the library does not start.
        """
        _check_range("speed", speed, SLOWEST, FASTEST)
        _check_range("pitch", pitch, LOWEST, HIGHEST)
        if variant is not None and variant not in self.variants:  # eSpeak itself would silently take none
            raise MisuseError(f'eSpeak NG has no variant "{variant}"; there are: {", ".join(self.variants)}. Choose one of them.')
        text = " ".join(text.replace("\0", " ").split())
        if not text:
            return np.zeros(0, dtype=np.float32), ()
        name = voice if variant is None else f"{voice}+{variant}"
        with _LOCK, self._started() as (library, rate):
            if library.espeak_SetVoiceByName(name.encode()) != 0:
                raise MisuseError(f'eSpeak NG has no voice "{voice}". Give a language it speaks, such as en-us, de or ka.')
            library.espeak_SetParameter(RATE, round(NORMAL_RATE * speed), 0)
            steps = pitch**PITCH_EXPONENT
            library.espeak_SetParameter(PITCH, round(50 + 50 * math.log2(steps)), 0)  # 50 is the speaker's own, 50 more an octave
            library.espeak_SetParameter(RANGE, round(50 * steps), 0)  # the melody's range is in Hz and has to follow
            samples, happenings = _synthesize(library, text)
        words = _word_times(text, happenings, rate, len(samples))
        if not words:
            return np.zeros(0, dtype=np.float32), ()
        return resample(samples.astype(np.float32) / np.float32(2**15), rate, SAMPLING_RATE), words

    @contextlib.contextmanager
    def _started(self) -> Iterator[tuple[ctypes.CDLL, int]]:
        """The library in memory and its sampling rate.

        It is loaded anew for every text (2 ms): phases of its oscillators survive from one text to the next, no function resets them, and
        with them a recording would depend on what was said before.
        """
        library = ctypes.CDLL(str(self.shared))
        try:
            rate = library.espeak_Initialize(SYNCHRONOUS, 0, str(self.data).encode(), PHONEME_EVENTS | DO_NOT_EXIT)
            if rate <= 0:
                raise SpeechadaptError(f"{self.data}: eSpeak NG does not start with this data folder. Install {ESPEAK_PACKAGE} again.")
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # of the breath noise; it starts with the clock
            yield library, rate
            library.espeak_Terminate()
        finally:
            _unload(library)


@functools.cache
def load_espeak() -> EspeakVoice:
    """eSpeak NG of this environment; it says something for the first time here, so that a broken installation is noticed early.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
        SpeechadaptError: its library cannot be loaded on this machine.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingExtraError(f"eSpeak NG ({ESPEAK_PACKAGE})", "synthetic") from error
    espeak = EspeakVoice(shared=Path(espeakng_loader.get_library_path()), data=Path(espeakng_loader.get_data_path()))
    try:
        espeak.speak("one")
    except OSError as error:
        raise SpeechadaptError(f"{espeak.shared}: cannot be loaded ({error}). Install {ESPEAK_PACKAGE} for this system.") from error
    return espeak


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise MisuseError(f"eSpeak NG: {name} {value:g}, must be {low:g} to {high:g}. Correct it.")


def _unload(library: ctypes.CDLL) -> None:
    import _ctypes

    if sys.platform == "win32":
        _ctypes.FreeLibrary(library._handle)
    else:
        _ctypes.dlclose(library._handle)


def _synthesize(library: ctypes.CDLL, text: str) -> tuple[np.ndarray[tuple[int], np.dtype[np.int16]], list[_Happening]]:
    """16-bit samples at the library's own rate, and all events in order."""
    pieces: list[bytes] = []
    happenings: list[_Happening] = []

    def collect(samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]") -> int:
        if samples and count:
            pieces.append(ctypes.string_at(samples, 2 * count))
        index = 0
        while events[index].kind != LIST_ENDS:
            event = events[index]
            happenings.append(_Happening(event.kind, event.position, event.sample, event.sound))
            index += 1
        return 0

    callback: Callable[..., int] = _Callback(collect)  # a name, so that it lives as long as the library may call it
    library.espeak_SetSynthCallback(callback)
    encoded = text.encode()
    library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, CHARACTERS, 0, UTF8, None, None)
    return np.frombuffer(b"".join(pieces), dtype=np.int16), happenings


def _word_times(text: str, happenings: list[_Happening], rate: int, samples: int) -> tuple[WordTime, ...]:
    """A word begins with its event and ends where the next begins, or at the first pause after its last sound."""
    tokens = [(match.start(), match[0]) for match in re.finditer(r"\S+", text)]
    starts: dict[int, int] = {}  # sample at which a token is first heard, by the token's number
    sounds: list[tuple[int, bool]] = []
    for event in happenings:
        if event.kind == WORD:
            token = max((number for number, (start, _) in enumerate(tokens) if start < event.position), default=0)
            if not starts or token > max(starts):  # a number has an event for each of its words
                starts[token] = event.sample
        elif event.kind == SOUND:
            sounds.append((event.sample, event.sound.startswith(b"_")))
        elif event.kind == CLAUSE_END:
            sounds.append((event.sample, True))
    bounds = [*sorted(starts), len(tokens)]
    words = []
    for place, (token, following) in enumerate(itertools.pairwise(bounds)):
        first = 0 if place == 0 else token  # marks before the first word are said with it
        start, latest = starts[token], starts.get(following, samples)
        end = min(latest, samples)
        for sample, pause in reversed([one for one in sounds if start <= one[0] < latest or (one[1] and one[0] == latest)]):
            if not pause:
                break
            end = min(end, sample)
        words.append(WordTime(text=" ".join(t for _, t in tokens[first:following]), start=start / rate, end=end / rate))
    return tuple(words)
