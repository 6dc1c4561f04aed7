"""Beam search against a search through all texts, language models of words and of characters, and files that are none."""

import base64
import concurrent.futures
import gzip
import itertools
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from speechadapt.errors import MissingExtraError, MisuseError, ModelError
from speechadapt.models.ctc_beam import beam_texts
from speechadapt.models.speech_model import DecodeSettings
from speechadapt.models.vocabulary import Vocabulary, build_vocabulary
from speechadapt.text.ngram import write_arpa

pytest.importorskip("flashlight.lib.text.decoder.kenlm")

ABC = Vocabulary(tokens=("<pad>", "<s>", "</s>", "<unk>", "|", "a", "b", "c"), blank=0, separator=4, unknown=3)
TEXTS = ["ab ba c", "ba ab", "c ab a"]

# KenLM's build_binary (trie) from the model of TEXTS, order 2: 420 bytes
BINARY = (
    "H4sIAAAAAAACA8vNTSxQyMlVyCgpKbDS18/OSE1My0zNSdFLzs/VT85PSVVIyy/KTSxRKEstKs7Mz1Mw5WJAgAZ7ILGfEUj8BwKQCCNUhglMHrBngoqBMDtUjhvJBDYoXV"
    "CnuNeyrZRBMDv78iVxcfYfF4P/bWrdl8SV8/1jbfGD7PtVrN3/tEUPbn3QtEuit+IGTH9KS+x+kEMQJh47NFth1j4Yr/mf7n5kPkg9iM+Ipp8Fyt8vbQGWZ0fjczKgAm4G"
    "7MB5asePpY1KT8JXBdTPX+n0t7bI9vbntUCBdKBAvMguzbrgF8t+uC6c/eg6s06ZPLJWm9K8bDsGm2I7hkSGxCQGG30gKymRIZkBAMuEcmukAQAA"
)

Emissions = list[tuple[str, float]]


def emit(vocabulary: Vocabulary, *frames: dict[str, float]) -> torch.Tensor:
    """Frames of probabilities by token, "" for the blank; what is left over goes to all rows alike. Shape (frames, rows)."""
    rows = []
    for frame in frames:
        rest = 1 - sum(frame.values())
        row = torch.full((len(vocabulary),), rest / len(vocabulary))
        for token, probability in frame.items():
            row[vocabulary.tokens.index(token) if token else vocabulary.blank] += probability
        rows.append(row)
    return torch.stack(rows).log()


def spell(vocabulary: Vocabulary, text: str, sure: float = 0.9) -> torch.Tensor:
    """Each letter for one frame, a blank behind it."""
    return emit(vocabulary, *itertools.chain.from_iterable(({letter.replace(" ", "|"): sure}, {"": sure}) for letter in text))


def read(vocabulary: Vocabulary, log_probs: torch.Tensor, **settings: object) -> str:
    [(ids, _)] = beam_texts([log_probs], vocabulary, DecodeSettings(**({"beam": 50} | settings)))
    return vocabulary.decode(ids)


@pytest.fixture
def arpa(tmp_path: Path) -> Callable[..., str]:
    """`arpa(*texts, order=2)`: the path of their language model."""

    def write(*texts: str, order: int = 2) -> str:
        path = tmp_path / "lm.arpa"
        write_arpa(texts, path, order=order)
        return str(path)

    return write


def audio_scores(log_probs: torch.Tensor) -> dict[str, float]:
    """Every text of separators, a, b and c to its natural-log probability, over all paths of the frames."""
    sums: dict[str, float] = {}
    signs = {0: "", 4: "|", 5: "a", 6: "b", 7: "c"}
    for path in itertools.product(signs, repeat=len(log_probs)):
        text = "".join(signs[row] for row, _ in itertools.groupby(path))
        sums[text] = sums.get(text, 0.0) + math.exp(sum(float(log_probs[frame, row]) for frame, row in enumerate(path)))
    return {text: math.log(value) for text, value in sums.items()}


def bigram_score(path: Path, units: list[str]) -> float:
    """Natural-log probability of a sentence under an ARPA file of order 2; an unknown unit costs a third for each letter besides."""
    table: dict[tuple[str, ...], tuple[float, float]] = {}
    for line in path.read_text().splitlines():
        if "\t" in line:
            probability, ngram, *backoff = line.split("\t")
            table[tuple(ngram.split())] = float(probability), float(backoff[0]) if backoff else 0.0
    before, total = "<s>", 0.0
    for unit in [*units, "</s>"]:
        known = unit if (unit,) in table else "<unk>"
        total += 0.0 if known == unit else -math.log(3) * len(unit) / math.log(10)
        total += table[before, known][0] if (before, known) in table else table[before,][1] + table[known,][0]
        before = known
    return total * math.log(10)


def random_frames(seed: int, frames: int = 5) -> torch.Tensor:
    return torch.log_softmax(2 * torch.randn(frames, len(ABC), generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_without_a_language_model_it_finds_the_likeliest_text_of_all() -> None:
    for seed in range(8):
        log_probs = random_frames(seed)
        scores = audio_scores(log_probs)
        best = max(scores, key=scores.__getitem__)
        [(ids, _)] = beam_texts([log_probs], ABC, DecodeSettings(beam=500))
        assert "".join(ABC.tokens[row] for row in ids) == best


@pytest.mark.parametrize(("weight", "word_score"), [(1.0, 0.0), (0.5, 1.5), (2.0, -1.0)])
@pytest.mark.parametrize("kind", ["words", "characters"])
def test_with_a_language_model_it_finds_the_best_sum_of_all(
    kind: str, weight: float, word_score: float, arpa: Callable[..., str], tmp_path: Path
) -> None:
    """The sum that the settings promise, worked out for every text that five frames can hold: words of the model and others, blanks anywhere."""
    lm = arpa(*(TEXTS if kind == "words" else [" ".join(text.replace(" ", "|")) for text in TEXTS]))
    changed = 0
    for seed in range(8):
        log_probs = random_frames(seed)
        audio = audio_scores(log_probs)
        total = {
            text: score
            + weight * bigram_score(Path(lm), [word for word in text.split("|") if word] if kind == "words" else list(text))
            + word_score * len([word for word in text.split("|") if word])
            for text, score in audio.items()
        }
        best = max(total, key=total.__getitem__)
        changed += best != max(audio, key=audio.__getitem__)
        [(ids, _)] = beam_texts([log_probs], ABC, DecodeSettings(beam=500, lm=lm, lm_weight=weight, word_score=word_score))
        found = "".join(ABC.tokens[row] for row in ids)
        # the sums of two texts may agree to the last digits of float32, so the sum is compared
        assert total[found] == pytest.approx(total[best], abs=1e-4)
    assert changed, "the language model changed nothing, so the test shows nothing"


def test_a_text_of_many_paths_beats_the_best_path() -> None:
    """a in one frame of two has three paths of 0.24, 0.24 and 0.16; nothing at all has the best single one, 0.36."""
    log_probs = emit(ABC, {"": 0.6, "a": 0.4}, {"": 0.6, "a": 0.4})
    assert log_probs.argmax(dim=1).tolist() == [0, 0]
    assert read(ABC, log_probs, beam=5) == "a"


def test_special_tokens_are_never_written() -> None:
    log_probs = emit(ABC, {"a": 0.6, "": 0.3}, {"<s>": 0.9}, {"<unk>": 0.6, "b": 0.3}, {"</s>": 0.9}, {"": 0.9})
    [(ids, _)] = beam_texts([log_probs], ABC, DecodeSettings(beam=10))
    assert ids == [5, 6]


def test_the_score_is_the_audios_alone_and_that_of_the_best_path(arpa: Callable[..., str]) -> None:
    log_probs = emit(ABC, {"a": 0.8}, {"": 0.5}, {"b": 0.6}, {"": 0.9})
    expected = float(log_probs[0, 5] + log_probs[2, 6]) / 2
    for settings in (DecodeSettings(beam=10), DecodeSettings(beam=10, lm=arpa(*TEXTS))):
        [(ids, score)] = beam_texts([log_probs], ABC, settings)
        assert ids == [5, 6]
        assert score == pytest.approx(expected, abs=1e-6)


ENGLISH = build_vocabulary("abcdefghijklmnopqrstuvwxyz' ")
UPPER = Vocabulary(tokens=("<pad>", "<s>", "</s>", "<unk>", "|", *"EATONIHSRDLUMWCFGYPBVK'XJQZ"), blank=0, separator=4, unknown=3)


def unclear(vocabulary: Vocabulary) -> torch.Tensor:
    """ "the kat sat" for "the cat sat"."""
    log_probs = spell(vocabulary, "the cat sat" if "c" in vocabulary.tokens else "THE CAT SAT")
    upper = "C" in vocabulary.tokens
    log_probs[8] = emit(vocabulary, {"K" if upper else "k": 0.5, "C" if upper else "c": 0.4})[0]
    return log_probs


def test_the_language_model_corrects_an_unclear_word(arpa: Callable[..., str]) -> None:
    lm = arpa("the cat sat", "the cat ran", "a dog sat")
    assert read(ENGLISH, unclear(ENGLISH)) == "the kat sat"
    assert read(ENGLISH, unclear(ENGLISH), lm=lm) == "the cat sat"
    assert read(ENGLISH, unclear(ENGLISH), lm=lm, lm_weight=0.0) == "the kat sat"


def test_the_vocabularys_case_is_the_language_models(arpa: Callable[..., str]) -> None:
    assert read(UPPER, unclear(UPPER), lm=arpa("The cat sat", "the cat ran")) == "THE CAT SAT"


def test_a_clear_word_that_the_language_model_lacks_is_written(arpa: Callable[..., str]) -> None:
    assert read(ENGLISH, spell(ENGLISH, "the xylograph sat", 0.99), lm=arpa("the cat sat", "a dog ran")) == "the xylograph sat"


def test_a_language_model_of_characters(arpa: Callable[..., str]) -> None:
    lm = arpa(*(" ".join(text.replace(" ", "|")) for text in ("the cat sat", "the cat ran", "a cat can act")), order=4)
    assert read(ENGLISH, unclear(ENGLISH), lm=lm) == "the cat sat"
    assert read(UPPER, unclear(UPPER), lm=lm) == "THE CAT SAT"


def test_a_language_model_of_characters_serves_a_script_without_blanks(arpa: Callable[..., str]) -> None:
    chinese = Vocabulary(tokens=("<pad>", *"我你他们好"), blank=0, separator=None, unknown=None)
    log_probs = spell(chinese, "他们好")
    log_probs[2] = emit(chinese, {"你": 0.5, "们": 0.4})[0]
    assert read(chinese, log_probs) == "他你好"
    assert read(chinese, log_probs, lm=arpa("他 们 好", "你 们 好", "我 们 好")) == "他们好"


def test_other_wrappings_of_the_same_model(arpa: Callable[..., str], tmp_path: Path) -> None:
    lm = arpa(*TEXTS)
    zipped, binary = tmp_path / "lm.arpa.gz", tmp_path / "lm.bin"
    zipped.write_bytes(gzip.compress(Path(lm).read_bytes()))
    binary.write_bytes(gzip.decompress(base64.b64decode(BINARY)))
    clips = [random_frames(seed, frames=12) for seed in range(6)]
    expected, plain, zip_, bin_ = (
        beam_texts(clips, ABC, DecodeSettings(beam=20, lm=path, lm_weight=2.0)) for path in (lm, None, str(zipped), str(binary))
    )
    assert expected != plain
    assert zip_ == expected
    assert bin_ == expected


def test_a_batch_gives_what_its_clips_give_alone(arpa: Callable[..., str]) -> None:
    clips = [random_frames(seed, frames=frames) for seed, frames in enumerate((7, 0, 12, 1, 30))]
    for settings in (DecodeSettings(beam=20), DecodeSettings(beam=20, lm=arpa(*TEXTS))):
        together = beam_texts(clips, ABC, settings)
        assert together == [beam_texts([clip], ABC, settings)[0] for clip in reversed(clips)][::-1]
        assert together[1] == ([], 0.0)
    assert beam_texts([], ABC, DecodeSettings(beam=20)) == []


def test_threads_may_search_at_once(arpa: Callable[..., str]) -> None:
    """Decoders are shared, and keep the state of a search in themselves: two at once used to end the process."""
    settings = DecodeSettings(beam=20, lm=arpa(*TEXTS), lm_weight=0.7)
    clips = [spell(ABC, text, 0.6) for text in TEXTS] * 4
    alone = beam_texts(clips, ABC, settings)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: beam_texts(clips, ABC, settings), range(8))) == [alone] * 8


def test_minus_infinity_is_an_improbable_letter_not_a_failure() -> None:
    log_probs = spell(ABC, "ab")
    log_probs[:, 7] = -math.inf
    assert read(ABC, log_probs) == "ab"


def test_a_language_model_is_read_once_and_again_when_it_changed(arpa: Callable[..., str], capfd: pytest.CaptureFixture[str]) -> None:
    lm = arpa("the cat sat")
    assert read(ENGLISH, unclear(ENGLISH), lm=lm, lm_weight=2.0) == "the cat sat"
    before = Path(lm).stat()
    arpa("the kat sat")
    os.utime(lm, ns=(before.st_atime_ns, before.st_mtime_ns))  # as if it had not changed
    assert read(ENGLISH, unclear(ENGLISH), lm=lm, lm_weight=2.0) == "the cat sat"
    os.utime(lm, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))
    assert read(ENGLISH, unclear(ENGLISH), lm=lm, lm_weight=2.0) == "the kat sat"
    assert capfd.readouterr() == ("", "")  # KenLM's progress bar


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no list of 1-grams"),
        (b"hello\nworld\n", "has no list of 1-grams"),
        (b"\\data\\\nngram 1=2\nngram 2=1\n\n\\1-grams:\n-1\t<unk>\t0\n-1\ta\t0\n", "its list of 1-grams is cut short"),
        (b"\\data\\\nngram 1=2\nngram 2=1\n\n\\1-grams:\n-1\n\n\\end\\\n", 'among its 1-grams is the line "-1"'),
        (b"\\data\\\nngram 1=3\n\n\\1-grams:\n-1\t<unk>\n-1\t<s>\n-1\ta\n\n\\end\\\n", "not a language model that KenLM can read"),
        (b"\\data\\\nngram 1=9\nngram 2=1\n\n\\1-grams:\n-1\t<unk>\t0\n-1\ta\t0\n\n\\2-grams:\n-1\ta a\n\n\\end\\\n", "KenLM can read"),
        (b"\xff\xfe\x00\x01", "neither an ARPA file in UTF-8 nor KenLM's binary"),
        (b"\x1f\x8b\x08\x00 no gzip", "not a language model that KenLM can read"),
        (b"mmap lm http://kheafield.com/code format version 5\n\0 and no more", "is cut short or was built without its words"),
    ],
)
def test_files_that_are_no_language_model(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as told:
        read(ABC, random_frames(0), lm=str(path))
    assert str(told.value).startswith(str(path))
    assert "\n" not in str(told.value)


def test_a_binary_cut_short_says_so(tmp_path: Path) -> None:
    path = tmp_path / "lm.bin"
    path.write_bytes(gzip.decompress(base64.b64decode(BINARY))[:300])
    with pytest.raises(ModelError, match="cut short"):
        read(ABC, random_frames(0), lm=str(path))


def test_bad_requests(arpa: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.arpa: this language model \(lm\) cannot be opened"):
        read(ABC, random_frames(0), lm=str(tmp_path / "nothing.arpa"))
    with pytest.raises(ModelError, match=r"not a language model that KenLM can read.*directory"):
        read(ABC, random_frames(0), lm=str(tmp_path))
    lm = arpa("Привет, мир")
    with pytest.raises(ModelError, match='none of its 2 words, such as "Привет,", can be written'):
        read(ABC, random_frames(0), lm=lm)
    with pytest.raises(MisuseError, match="beam is 1, but a language model"):
        read(ABC, random_frames(0), lm=lm, beam=1)
    chinese = Vocabulary(tokens=("<pad>", *"我你他们好"), blank=0, separator=None, unknown=None)
    with pytest.raises(MisuseError, match="a language model of words, but the vocabulary has no word separator"):
        read(chinese, torch.zeros(3, 6), lm=arpa("我们 好"))
    with pytest.raises(ModelError, match="output is not a number"):
        read(ABC, torch.full((3, 8), math.nan))


def test_without_flashlight_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "flashlight" or name.startswith("torchaudio.models.decoder")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flashlight", None)
    path = tmp_path / "lm.arpa"
    write_arpa(["a b"], path)
    for lm in (None, str(path)):
        with pytest.raises(MissingExtraError, match=r"flashlight-text.* is not installed\. Install it with: pip install 'speechadapt\[lm\]'"):
            read(ABC, random_frames(0), lm=lm, beam=7)  # a beam that no other test has, for decoders are kept
