"""AdapterLibrary: one base model in memory, and many adapters by name, which one batch may mix as it likes."""

import contextlib
import dataclasses
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from speechadapt.adapt.adapter import HEADS, AdapterRef, base_fingerprint, check_side_files, must_fit, read_adapter
from speechadapt.adapt.many import AdapterWeights, Mixer, base_weights, read_weights
from speechadapt.audio.waveform import AudioSource, Waveform
from speechadapt.errors import AdapterError, MisuseError, SpeechadaptError
from speechadapt.models.ctc import CTCModel, adapter_vocabulary
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import Decoded, DecodeSettings
from speechadapt.models.vocabulary import Vocabulary
from speechadapt.models.whisper import WhisperModel
from speechadapt.transcriber import Transcript, check_settings, transcribe_long
from speechadapt.units import SAMPLING_RATE, Hertz

BASE = "base"
"""The name that means no adapter; None means the same where a name is asked for."""
NAME = re.compile(r"\w[\w.+-]{0,99}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What `AdapterLibrary.scan` found: names that were added, and of each other folder or file its name and why it was not."""

    added: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Loaded:
    """An adapter in memory; `vocabulary` of its own output layer, if it has one."""

    weights: AdapterWeights
    vocabulary: Vocabulary | None

    @property
    def apart(self) -> bool:
        """Whether it replaces weights of the base, so that no other adapter can be in its batch."""
        return bool(self.weights.whole)


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class _Entry:
    """An adapter of the library, in memory or not at the moment."""

    name: str
    ref: AdapterRef
    nbytes: int
    loaded: _Loaded | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Clips of a batch that the network hears together: their places in it, an adapter for each, and what is asked of the decoder."""

    places: tuple[int, ...]
    adapters: tuple[_Loaded | None, ...]
    settings: DecodeSettings
    task: str | None


class AdapterLibrary:
    """Adapters by name on one base. Safe to use from several threads: decoding takes turns batch by batch, and adding, removing and evicting
    never wait for it nor disturb it, because a batch keeps the adapters that it began with.

    Results are those of `Transcriber(base, adapter=...)` with the same batch and settings: the same sums in another order, so that log-probabilities
    in float32 agree to about 1e-4, and a text differs only where two tokens are as good as equal. Clips of the base in a mixed batch get exactly
    what they get in the same batch when no clip has an adapter.
    """

    def __init__(
        self,
        base: str,
        *,
        revision: str | None = None,
        language: str | None = None,
        task: str | None = None,
        device: str | None = None,
        precision: str | None = None,
        vad: bool | None = None,
        settings: DecodeSettings | None = None,
        memory: int | None = None,
        folder: Path | str | None = None,
    ) -> None:
        """Args:
            base: folder or Hub id; see `load_model`.
            revision: of the base on the Hub.
            language, task: of clips that no adapter is used for; adapters bring their own.
            device: None takes the best there is.
            precision: auto, fp32 or bf16; None takes that of the settings.
            vad: whether voice activity is used by `transcribe`; None: where it is installed.
            settings: None is greedy search, in the 30 s window. The short window is that of adapters; the base is always heard in its full one.
            memory: bytes that adapters may take; those longest unused leave, and are read from their folders again when they are asked for.
                One that is being added, and those that the batch of this moment began with, may stand beside them for so long.
            folder: adapters are taken from this folder only, links followed; None takes them from anywhere.

        Raises:
            ModelError: the base cannot be used.
            MisuseError: a language, device or setting that cannot be meant.
        """
        if memory is not None and memory <= 0:
            raise MisuseError(f"memory is {memory}, must be above 0 bytes. Leave it out for no bound.")
        self.model = load_model(base, revision=revision, language=language, task=task or "transcribe", device=device)
        self.settings = (settings or DecodeSettings()).with_given(precision=precision)
        check_settings(self.model, self.settings)
        self.vad = vad
        self.memory = memory
        self.folder = None if folder is None else Path(folder).resolve()
        self.default: str | None = None
        """The adapter that `transcribe` uses where none is named; see `use`."""
        self.evictions = self.reloads = 0
        """How often an adapter left memory for another, and how often one was read again."""
        # taken while nothing has touched the base: a batch may exchange its weights while another thread reads an adapter
        self._base = base_weights(self.model.network)
        self._fingerprints = {head: base_fingerprint(self.model, head=head) for head in HEADS}
        self._mixer = Mixer(self.model.network)
        if isinstance(self.model, WhisperModel):
            self.model.follow = self._mixer.follow
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # those longest unused first
        self._turn = threading.Lock()  # held while the network decodes; who holds it may take the shelf, never the other way round
        self._shelf = threading.RLock()  # held for moments, to read or change the entries

    # The adapters

    @property
    def fingerprint(self) -> str:
        """Of the base's weights without its output layer; see `base_fingerprint`."""
        return self._fingerprints["new"]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the adapters, sorted."""
        with self._shelf:
            return tuple(sorted(self._entries))

    @property
    def nbytes(self) -> int:
        """Bytes that adapters take in memory now."""
        with self._shelf:
            return sum(entry.nbytes for entry in self._entries.values() if entry.loaded is not None)

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of the adapters in memory, sorted; the others are read again when they are asked for."""
        with self._shelf:
            return tuple(sorted(name for name, entry in self._entries.items() if entry.loaded is not None))

    def facts(self, name: str) -> AdapterRef:
        """What an adapter was trained on, for and how.

        Raises:
            AdapterError: no adapter of this name.
        """
        with self._shelf:
            return self._entry(name).ref

    def add(self, name: str, folder: Path | str, *, replace: bool = False) -> AdapterRef:
        """Read an adapter and give it a name.

        Args:
            name: letters, digits, `_`, `.`, `+` and `-`; not `base`.
            folder: made by speechadapt.
            replace: take the place of an adapter of that name in one step; without it, there must be none.

        Raises:
            AdapterError: a name that cannot be one or is taken; an adapter that is incomplete, altered, pickled or of another base, rank or
                vocabulary; or a link out of the library's folder. The library is as before.
        """
        if not NAME.fullmatch(name) or name == BASE:
            raise AdapterError(f'adapter name "{name}": must be up to 100 letters, digits or _.+- and not "{BASE}". Choose another name.')
        if not replace:
            self._must_be_new(name)
        place = Path(folder)
        if self.folder is not None:
            must_lie_in(place, self.folder)
        ref = read_adapter(place)
        loaded = self._read(ref)
        nbytes = loaded.weights.nbytes
        if self.memory is not None and nbytes > self.memory:
            raise AdapterError(f"{place}: takes {nbytes:,} bytes, the library's adapters may take {self.memory:,}. Raise memory.")
        with self._shelf:
            if not replace:
                self._must_be_new(name)
            self._entries.pop(name, None)
            entry = _Entry(name=name, ref=ref, nbytes=nbytes, loaded=loaded)
            self._entries[name] = entry
            self._evict({entry})
        return ref

    def remove(self, name: str) -> None:
        """Forget an adapter; a batch that uses it at this moment is finished with it.

        Raises:
            AdapterError: no adapter of this name.
        """
        with self._shelf:
            self._entry(name)
            del self._entries[name]
            if self.default == name:
                self.default = None

    def use(self, name: str | None) -> None:
        """Make an adapter, or for None the base, the one that `transcribe` uses where none is named.

        Raises:
            AdapterError: no adapter of this name.
        """
        with self._shelf:
            if name is not None and name != BASE:
                self._entry(name)
            self.default = None if name == BASE else name

    def scan(self, folder: Path | str) -> Scan:
        """Add every adapter in a folder that fits this base, under its folder's name, in order of names.

        Adapters in the library stay: one of the same name is refused, unless it is the same adapter. A link that leads out of the folder
        is refused, as is everything else that `add` refuses; plain files and hidden folders are passed over.

        Raises:
            AdapterError: no such folder, or no folder in it at all.
        """
        place = Path(folder)
        if not place.is_dir():
            raise AdapterError(f"{place}: no such folder. Give the folder that holds the adapters' folders.")
        children = sorted(child for child in place.iterdir() if not child.name.startswith(".") and (child.is_dir() or child.is_symlink()))
        if not children:
            raise AdapterError(f"{place}: holds no folder, so no adapter. Give the folder that holds the adapters' folders.")
        added, refused = [], []
        for child in children:
            try:
                must_lie_in(child, place.resolve())
                if not self._has_same(child):
                    self.add(child.name, child)
                    added.append(child.name)
            except SpeechadaptError as error:
                refused.append((child.name, str(error)))
        return Scan(added=tuple(added), refused=tuple(refused))

    # Speech

    def decode(self, waveforms: Sequence[Waveform], adapters: Sequence[str | None], settings: DecodeSettings | None = None) -> list[Decoded]:
        """Decode one batch of clips, each with its own adapter.

        Clips that can be heard together are: those of one language and task, and, in the short window, those with an adapter, because the
        base is heard in its full window. An adapter that replaces weights of the base (a CTC output layer of its own, or method `full`)
        has its clips to itself.

        Args:
            waveforms: float32, shape (samples,), 16 kHz, each at most the model's window.
            adapters: of each clip, a name, or None for the base.
            settings: None takes the library's. A language set here is that of all clips.

        Returns:
            What was said in each clip, in order.

        Raises:
            AdapterError: no adapter of a name, or one that was evicted cannot be read again.
            MisuseError: not as many adapters as clips, or settings that the model cannot meet.
        """
        if len(waveforms) != len(adapters):
            raise MisuseError(f"{len(adapters)} adapters for {len(waveforms)} waveforms, must be as many. Give None where the base is meant.")
        wanted = settings or self.settings
        check_settings(self.model, wanted)
        with self._shelf:  # all are known before anything is decoded, and stay what they are now
            entries = [None if name is None or name == BASE else self._entry(name) for name in adapters]
        return self._decode_all(waveforms, entries, wanted)

    def transcribe(
        self,
        source: "AudioSource | NDArray[Any]",
        adapter: str | None = None,
        *,
        sampling_rate: Hertz = SAMPLING_RATE,
        language: str | None = None,
        timestamps: str | None = None,
        words: bool = False,
        prompt: str | None = None,
        temperature: float | None = None,
        seed: int | None = None,
    ) -> Transcript:
        """Transcribe one recording of any length; see `Transcriber.transcribe`, which has the same arguments.

        Args:
            adapter: a name; None takes the one that `use` named, or the base; "base" takes the base.

        Raises:
            AdapterError: no adapter of this name.
            AudioError, MisuseError: see `Transcriber.transcribe`.
        """
        with self._shelf:  # one adapter from beginning to end, whatever becomes of its name meanwhile
            name = self.default if adapter is None else None if adapter == BASE else adapter
            entry = None if name is None else self._entry(name)
        settings = self.settings.with_given(
            language=language, prompt=prompt, temperature=temperature, seed=seed, words=words or None, window="full" if name is None else None
        )
        check_settings(self.model, settings)
        return transcribe_long(
            lambda waveforms, wanted: self._decode_all(waveforms, [entry] * len(waveforms), wanted), source, settings=settings,
            longest=self.model.longest, padded_to=self.model.padded_to, sampling_rate=sampling_rate, timestamps=timestamps, vad=self.vad,
            adapter=name,
        )  # fmt: skip

    @contextlib.contextmanager
    def bare(self) -> Iterator[Any]:
        """The base model alone, for what else it can tell of speech; all decoding waits meanwhile, so none may be asked for inside."""
        with self._turn:
            yield self.model

    # Inside

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            known = ", ".join(self.names) or "none yet"
            raise AdapterError(f'no adapter is named "{name}"; there are: {known}. Add it, or name one of them; "{BASE}" is the base model.')
        return self._entries[name]

    def _must_be_new(self, name: str) -> None:
        with self._shelf:
            if name in self._entries:
                place = self._entries[name].ref.folder
                raise AdapterError(f'an adapter is named "{name}" already ({place}). Remove that one first, or choose another name.')

    def _has_same(self, folder: Path) -> bool:
        with self._shelf:
            entry = self._entries.get(folder.name)
        return entry is not None and entry.ref.weights_sha256 == read_adapter(folder).weights_sha256

    def _read(self, ref: AdapterRef) -> _Loaded:
        if ref.family != self.model.family:
            own = f"{self.model.base.id} is a {self.model.family} model"
            raise AdapterError(f"{ref.folder}: is for {ref.family} models, {own}. Load it on {ref.base_id}.")
        must_fit(ref, self.model, self._fingerprints[ref.head])
        check_side_files(ref)
        weights = read_weights(ref, self._base)
        return _Loaded(weights=weights, vocabulary=None if ref.head == "kept" else adapter_vocabulary(ref.folder))

    def _evict(self, needed: set[_Entry], room: int = 0) -> None:
        """Let go of those longest unused until the rest fits, with room for one more; called with the shelf held."""
        if self.memory is None:
            return
        for entry in self._entries.values():
            if self.nbytes + room <= self.memory:
                return
            if entry not in needed and entry.loaded is not None:
                entry.loaded = None
                self.evictions += 1

    def _decode_all(self, waveforms: Sequence[Waveform], entries: Sequence[_Entry | None], settings: DecodeSettings) -> list[Decoded]:
        """In turn with other threads: only who decodes holds adapters, or each who waits would add its own to the memory."""
        results: dict[int, Decoded] = {}
        for places in self._within_memory(entries):
            with self._turn:
                self._decode_these(places, waveforms, entries, settings, results)
        return [results[place] for place in range(len(waveforms))]

    def _decode_these(
        self, places: Sequence[int], waveforms: Sequence[Waveform], entries: Sequence[_Entry | None], settings: DecodeSettings,
        results: dict[int, Decoded],
    ) -> None:  # fmt: skip
        held = self._hold({entry for place in places if (entry := entries[place]) is not None})
        for part in self._parts(places, entries, held, settings):
            results.update(zip(part.places, self._decode(part, waveforms), strict=True))

    def _within_memory(self, entries: Sequence[_Entry | None]) -> list[list[int]]:
        """Places of a batch, cut where its adapters together would not fit into the memory."""
        if self.memory is None or sum(entry.nbytes for entry in {entry for entry in entries if entry is not None}) <= self.memory:
            return [list(range(len(entries)))]
        first = {entry: place for place, entry in reversed(list(enumerate(entries)))}
        runs: list[list[int]] = []
        inside: set[_Entry] = set()
        for place in sorted(range(len(entries)), key=lambda place: (first[entries[place]], place)):  # clips of one adapter together
            entry = entries[place]
            grown = inside if entry is None else inside | {entry}
            if not runs or sum(one.nbytes for one in grown) > self.memory:
                runs.append([])
                grown = grown - inside
            inside = grown
            runs[-1].append(place)
        return runs

    def _hold(self, entries: set[_Entry]) -> dict[_Entry, _Loaded]:
        """The adapters of these entries, read again where they left memory; they are now the ones used last."""
        held: dict[_Entry, _Loaded] = {}
        for entry in sorted(entries, key=lambda entry: entry.name):
            with self._shelf:
                if self._entries.get(entry.name) is entry:
                    self._entries.move_to_end(entry.name)
                loaded = entry.loaded
            if loaded is None:
                if self.folder is not None:
                    must_lie_in(entry.ref.folder, self.folder)
                ref = read_adapter(entry.ref.folder)
                if ref != entry.ref:
                    raise AdapterError(f'{ref.folder}: is no longer the adapter that was added as "{entry.name}". Add it again.')
                with self._shelf:
                    self._evict(entries, room=entry.nbytes)
                loaded = self._read(ref)
                with self._shelf:
                    entry.loaded = loaded
                    self.reloads += 1
                    self._evict(entries)  # somebody may have added one meanwhile
            held[entry] = loaded
        return held

    def _parts(self, places: Sequence[int], entries: Sequence[_Entry | None], held: dict[_Entry, _Loaded], settings: DecodeSettings) -> list[_Part]:
        whisper = self.model.family == "whisper"
        found: dict[Any, list[int]] = {}
        for place in places:
            entry = entries[place]
            language, task = self.model.language, self.model.task
            if entry is not None and whisper:
                language, task = entry.ref.language or language, entry.ref.task or task
            window = "full" if entry is None else settings.window
            apart = entry if entry is not None and held[entry].apart else None
            found.setdefault((settings.language or language, task, window, apart), []).append(place)
        parts = []
        for (language, task, window, _), chosen in found.items():
            wanted = dataclasses.replace(settings, window=window, language=language if whisper else settings.language)
            adapters = tuple(None if (entry := entries[place]) is None else held[entry] for place in chosen)
            parts.append(_Part(places=tuple(chosen), adapters=adapters, settings=wanted, task=task))
        return parts

    def _decode(self, part: _Part, waveforms: Sequence[Waveform]) -> list[Decoded]:
        with self._dressed(part), self._mixer.rows([None if one is None else one.weights for one in part.adapters]):
            return self.model.decode([waveforms[place] for place in part.places], part.settings)

    @contextlib.contextmanager
    def _dressed(self, part: _Part) -> Iterator[None]:
        """The model with the task of a part, and with the vocabulary of its output layer."""
        model = self.model
        task, adapted = model.task, model.adapted
        model.task, model.adapted = part.task, part.settings.window == "short"
        first = part.adapters[0]
        own = first.vocabulary if first is not None else None
        vocabulary = model.vocabulary if isinstance(model, CTCModel) else None
        if isinstance(model, CTCModel) and own is not None:
            model.vocabulary = own
        try:
            yield
        finally:
            model.task, model.adapted = task, adapted
            if isinstance(model, CTCModel):
                model.vocabulary = vocabulary


def must_lie_in(folder: Path, root: Path) -> None:
    """Refuse an adapter that a link, of its folder or of a file in it, leads out of a folder.

    Args:
        folder: of the adapter.
        root: resolved.

    Raises:
        AdapterError: it leads out.
    """
    for path in (folder, *(child for child in folder.glob("*") if child.is_symlink())):
        real = path.resolve()
        if root not in real.parents:
            raise AdapterError(f"{path}: leads to {real}, which is outside {root}. Adapters are taken from that folder only; copy it there.")
