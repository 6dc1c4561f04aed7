"""Word times against frames whose letters are known, and against speech whose words were put in their places."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import speechadapt
from speechadapt.errors import LabelError
from speechadapt.models.alignment import align_text, align_tokens, frames_needed, path_logprob, word_times
from speechadapt.models.ctc import CTCModel, best_path
from speechadapt.models.load import load_model
from speechadapt.models.speech_model import DecodeSettings, Word
from speechadapt.models.vocabulary import Vocabulary, build_vocabulary
from speechadapt.synthetic.voice import load_voice

ENGLISH = build_vocabulary("abcdefghijklmnopqrstuvwxyz' ")
FRAME = 0.02
SURE = 0.9
EMBEDDED = Path(speechadapt.__file__).parent / "embedded" / "wav2vec2-small"


def frames_of(vocabulary: Vocabulary, letters: str, sure: float = SURE) -> torch.Tensor:
    """One frame per character, `_` for the blank and a blank for the separator; what is left over goes to the other rows alike."""
    rows = torch.full((len(letters), len(vocabulary)), (1 - sure) / (len(vocabulary) - 1))
    for frame, letter in enumerate(letters):
        row = vocabulary.blank if letter == "_" else vocabulary.separator if letter == " " else vocabulary.tokens.index(letter)
        rows[frame, row] = sure
    return rows.log()


def times(words: tuple[Word, ...]) -> list[tuple[str, float, float]]:
    return [(word.text, word.start, word.end) for word in words]


@pytest.mark.parametrize(
    ("letters", "text", "expected"),
    [
        ("___hh_i___ __yoo_u___", "hi you", [("hi", 3, 7), ("you", 13, 18)]),
        ("b_o_o_k", "book", [("book", 0, 7)]),
        ("a    b", "a b", [("a", 0, 1), ("b", 5, 6)]),
        (" _it_ ", " it ", [("it", 2, 4)]),
        ("_______", "", []),
        ("  _ ", " ", []),
    ],
)
def test_words_stand_where_their_letters_do(letters: str, text: str, expected: list[tuple[str, int, int]]) -> None:
    words = word_times(frames_of(ENGLISH, letters), ENGLISH.encode(text), ENGLISH, FRAME)
    assert times(words) == [(word, pytest.approx(start * FRAME), pytest.approx(end * FRAME)) for word, start, end in expected]
    # every letter has exactly the frames that say so
    assert [word.probability for word in words] == pytest.approx([SURE] * len(expected), abs=1e-6)


def test_the_frames_own_length_counts() -> None:
    [word] = word_times(frames_of(ENGLISH, "__no__"), ENGLISH.encode("no"), ENGLISH, 0.04)
    assert (word.start, word.end) == (0.08, 0.16)


def test_an_unlikely_word_has_a_small_probability() -> None:
    heard = frames_of(ENGLISH, "_cat_ _sat_")
    cat, mat = word_times(heard, ENGLISH.encode("cat mat"), ENGLISH, FRAME)
    assert cat.probability == pytest.approx(SURE, abs=1e-6)
    # of three letters one is heard as another
    assert mat.probability == pytest.approx((2 * SURE + (1 - SURE) / (len(ENGLISH) - 1)) / 3, abs=1e-6)


def test_impossible_letters_are_no_failure() -> None:
    heard = frames_of(ENGLISH, "_cat_")
    heard[:, ENGLISH.tokens.index("m")] = -math.inf
    [word] = word_times(heard, ENGLISH.encode("mat"), ENGLISH, FRAME)
    assert 0 < word.probability < SURE


def test_a_blank_in_any_row_and_special_tokens() -> None:
    odd = Vocabulary(tokens=("a", "b", "<s>", "|", "<pad>"), blank=4, separator=3, unknown=None)
    heard = frames_of(odd, "_a_b_ __a")
    assert times(word_times(heard, [0, 1, 3, 0], odd, FRAME)) == [("ab", 0.02, 0.08), ("a", 0.16, 0.18)]
    assert times(word_times(heard, [2, 3, 0], odd, FRAME))[-1][0] == "a"  # <s> writes nothing, so it is no word


def test_without_a_separator_the_text_is_one_word() -> None:
    chinese = Vocabulary(tokens=("<pad>", *"我你他们好"), blank=0, separator=None, unknown=None)
    assert times(word_times(frames_of(chinese, "_他们_好_"), chinese.encode("他们好"), chinese, FRAME)) == [("他们好", 0.02, 0.10)]


def test_a_text_that_cannot_fit_is_told() -> None:
    ids = ENGLISH.encode("book")
    assert frames_needed(ids) == 5
    assert len(word_times(frames_of(ENGLISH, "_bok_"), ids, ENGLISH, FRAME)) == 1
    for frames in (torch.zeros(4, len(ENGLISH)), torch.zeros(0, len(ENGLISH))):
        with pytest.raises(LabelError, match=f"the text needs 5 frames, .* but the clip has {len(frames)}") as told:
            word_times(frames, ids, ENGLISH, FRAME)
        assert told.value.reason == "more letters than frames"


def test_no_path_is_likelier_even_where_many_are_equally_likely() -> None:
    """Whole-numbered log-probabilities, so that ways through the frames tie; the likeliest is found by trying all."""
    random = np.random.default_rng(0)
    for _ in range(300):
        frames, tokens = int(random.integers(2, 7)), int(random.integers(2, 5))
        log_probs = -random.integers(0, 3, (frames, tokens)).astype(np.float32)
        ids = random.integers(1, tokens, int(random.integers(1, 4))).tolist()
        if frames_needed(ids) > frames:
            continue
        best = max(
            sum(log_probs[frame, token] for frame, token in enumerate(path))
            for path in itertools.product(range(tokens), repeat=frames)
            if [token for token, _ in itertools.groupby(path) if token] == ids
        )
        path, scores = align_tokens(torch.from_numpy(log_probs), ids, 0)
        assert [token for token, _ in itertools.groupby(path.tolist()) if token] == ids
        assert float(scores.sum()) == best


def test_no_text_has_no_words_even_in_no_frames() -> None:
    assert word_times(torch.zeros(0, len(ENGLISH)), [], ENGLISH, FRAME) == ()


def test_the_score_of_a_greedy_text_is_the_greedy_score() -> None:
    for seed in range(5):
        log_probs = torch.log_softmax(4 * torch.randn(40, len(ENGLISH), generator=torch.Generator().manual_seed(seed)), dim=-1)
        ids, score = best_path(log_probs, ENGLISH.blank)
        assert path_logprob(log_probs, ids, ENGLISH.blank) == pytest.approx(score, abs=1e-5)
    assert path_logprob(log_probs, [], ENGLISH.blank) == 0.0


@pytest.fixture
def tiny(ctc_folder: Callable[[str], Path]) -> CTCModel:
    model = load_model(str(ctc_folder("wav2vec2-layer")), language="en", device="cpu")
    assert isinstance(model, CTCModel)
    return model


def test_a_known_transcript_is_aligned_as_the_model_spells_it(tiny: CTCModel, tone: Callable[..., np.ndarray]) -> None:
    words = align_text(tiny, tone(2.0), "Hello, Mr. Fox: 12!")
    assert [word.text for word in words] == ["HELLO", "MR", "FOX", "TWELVE"]
    edges = [edge for word in words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert edges[-1] <= 2.0
    assert all(0 <= word.probability <= 1 for word in words)


def test_decoding_with_words_aligns_what_was_decoded(tiny: CTCModel, tone: Callable[..., np.ndarray]) -> None:
    for decoded in tiny.decode([tone(2.0), tone(0.5, seed=1)], DecodeSettings(words=True)):
        assert decoded.text
        assert " ".join(word.text for word in decoded.words) == decoded.text


def test_transcripts_that_cannot_be_aligned(tiny: CTCModel, tone: Callable[..., np.ndarray]) -> None:
    with pytest.raises(LabelError, match="nothing is left of its text"):
        align_text(tiny, tone(1.0), "…")
    with pytest.raises(LabelError, match="which the vocabulary has no token for"):
        align_text(tiny, tone(1.0), "привет")
    with pytest.raises(LabelError, match="the text needs"):
        align_text(tiny, tone(0.1), "much more than a tenth of a second can hold")


@pytest.mark.skipif(not EMBEDDED.is_dir(), reason="the base wav2vec2-small is not in this copy")
def test_spoken_words_are_found_where_they_were_put() -> None:
    """Words spoken one by one, with silences of known length between them."""
    pytest.importorskip("hibari")
    voice = load_voice()
    # every letter is heard: a silent one (the e of walked, said alone) may be placed anywhere before the next word
    said = ["my", "doctor", "rested", "from", "the", "garden"]
    parts, truth, place = [], [], 0
    for word, silence in zip(said, (0.3, 0.5, 0.2, 0.8, 0.4, 0.6), strict=True):
        spoken = loud_part(voice.speak(voice.phonemes(word)))
        pause = round(silence * 16_000)
        truth.append(((place + pause) / 16_000, (place + pause + len(spoken)) / 16_000))
        parts += [np.zeros(pause, np.float32), spoken]
        place += pause + len(spoken)
    waveform = np.concatenate([*parts, np.zeros(6_400, np.float32)])
    waveform += np.random.default_rng(0).normal(0, 1e-4, len(waveform)).astype(np.float32)
    model = load_model("embedded:wav2vec2-small", device="cpu")
    assert isinstance(model, CTCModel)
    words = align_text(model, waveform, " ".join(said))
    assert [word.text.lower() for word in words] == said
    for word, (start, end) in zip(words, truth, strict=True):
        # a letter is written anywhere within its sound, as a rule early, and the sounds at the ends of words spoken alone last up to 0.3 s
        assert word.start == pytest.approx(start, abs=0.2), word
        assert word.end == pytest.approx(end, abs=0.4), word


def loud_part(waveform: np.ndarray) -> np.ndarray:
    level = np.convolve(np.abs(waveform), np.ones(160) / 160, "same")
    loud = np.nonzero(level > 0.02 * level.max())[0]
    return waveform[loud[0] : loud[-1] + 1]
