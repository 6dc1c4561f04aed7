"""Vocabulary: the files transformers' tokenizer reads, ids that stay, and the choice between keeping, extending and building."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import Wav2Vec2CTCTokenizer

from speechadapt.errors import LabelError, MisuseError, ModelError, TrainingError
from speechadapt.models.vocabulary import Vocabulary, build_vocabulary, read_vocabulary
from speechadapt.models.vocabulary_choice import choose_vocabulary

TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", "E", "T", "'"]


def write(folder: Path, table: dict[str, Any] | None = None, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(TOKENS)} if table is None else table))
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def english(tmp_path: Path) -> Vocabulary:
    return read_vocabulary(write(tmp_path), 8)


def test_reading(english: Vocabulary) -> None:
    assert english == Vocabulary(tokens=tuple(TOKENS), blank=0, separator=4, unknown=3)
    assert english.letters == {"E": 5, "T": 6, "'": 7}
    assert english.case == "upper"


def test_encoding_equals_the_tokenizers(english: Vocabulary, tmp_path: Path) -> None:
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    assert english.encode("TEE E'T") == tokenizer("TEE E'T").input_ids
    assert english.decode([6, 5, 5, 4, 4, 0, 1, 3, 5]) == "TEE E"


def test_tokens_of_several_letters_are_taken_first(tmp_path: Path) -> None:
    folder = write(tmp_path, {"<pad>": 0, "|": 1, "c": 2, "h": 3, "ch": 4, "e": 5})
    vocabulary = read_vocabulary(folder, 6)
    assert vocabulary.encode("chech") == Wav2Vec2CTCTokenizer.from_pretrained(folder)("chech").input_ids == [4, 5, 4]
    assert vocabulary.encode("chech c") == [4, 5, 4, 1, 2]  # theirs swallows blanks beside a long token
    assert vocabulary.case == "lower"


def test_what_cannot_be_written_is_named(english: Vocabulary) -> None:
    with pytest.raises(LabelError) as caught:
        english.encode("TEÑ Ï")
    assert caught.value.reason == "characters outside the vocabulary"
    assert 'the text has "Ï", "Ñ", which the vocabulary has no token for: "TEÑ Ï"' in str(caught.value)
    assert english.missing(["TEÑ Ï", "Ñ"]) == {"Ñ": 2, "Ï": 1}


def test_special_tokens_spelled_in_a_text_are_not_tokens(english: Vocabulary) -> None:
    with pytest.raises(LabelError):
        english.encode("<s>")


def test_names_and_objects_of_other_checkpoints(tmp_path: Path) -> None:
    """XLS-R fine-tunes name [PAD] and [UNK], and keep <s> and </s> in another file, behind the letters."""
    folder = write(
        tmp_path, {"a": 0, "|": 1, "[UNK]": 2, "[PAD]": 3}, pad_token={"content": "[PAD]", "lstrip": False}, unk_token="[UNK]", bos_token="<s>"
    )
    (folder / "added_tokens.json").write_text(json.dumps({"<s>": 4, "</s>": 5}))
    for rows, last in ((6, "</s>"), (4, "[PAD]")):  # heads with and without rows for them exist
        vocabulary = read_vocabulary(folder, rows)
        assert (vocabulary.blank, vocabulary.unknown, vocabulary.separator) == (3, 2, 1)
        assert vocabulary.tokens[-1] == last
        assert vocabulary.letters == {"a": 0}


def test_rows_without_a_token_write_nothing(tmp_path: Path) -> None:
    vocabulary = read_vocabulary(write(tmp_path), 10)
    assert len(vocabulary) == 10
    assert vocabulary.decode([6, 8, 9]) == "T"


def test_a_table_per_language(tmp_path: Path) -> None:
    folder = write(tmp_path, {"eng": {"<pad>": 0, "|": 1, "a": 2}, "swh": {"<pad>": 0, "|": 1, "m": 2, "b": 3}}, target_lang="eng")
    assert read_vocabulary(folder, 4, "swh").letters == {"m": 2, "b": 3}


@pytest.mark.parametrize(
    ("table", "rows", "said"),
    [
        ({"a": 0, "|": 1}, 2, 'has no token "<pad>"'),
        ({"<pad>": 0, "a": 0}, 2, "must map each token to an id of its own"),
        ({"<pad>": 0, "a": "one"}, 2, "must map each token to an id of its own"),
        ({"<pad>": 0, "a": 1, "b": 2}, 2, "gives ids up to 2, but the output layer has 2 rows"),
        ({}, 2, "vocab.json is missing or empty"),
    ],
)
def test_broken_files(table: dict[str, Any], rows: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        read_vocabulary(write(tmp_path, table), rows)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_no_json(text: str, tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text(text)
    with pytest.raises(ModelError, match=r"vocab\.json: (is not JSON|must hold a JSON object)"):
        read_vocabulary(tmp_path, 2)


@pytest.mark.parametrize("separated", [True, False])
def test_a_strangers_tokenizer_reads_what_is_written(separated: bool, english: Vocabulary, tmp_path: Path) -> None:
    for number, vocabulary in enumerate([english.extend(["Ñ", "Ï"]), build_vocabulary("კატა ზ" if separated else "კატა")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        vocabulary.write(folder)
        tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(folder)
        assert len(tokenizer) == len(vocabulary)
        assert tokenizer.convert_ids_to_tokens(range(len(vocabulary))) == list(vocabulary.tokens)
        assert (tokenizer.pad_token_id, tokenizer.word_delimiter_token_id) == (vocabulary.blank, vocabulary.separator)
        assert read_vocabulary(folder, len(vocabulary)) == vocabulary


def test_building_and_extending(english: Vocabulary) -> None:
    assert build_vocabulary("ba b").tokens == ("<pad>", "|", "a", "b")
    extended = english.extend(["Ñ"])
    assert extended.tokens == (*TOKENS, "Ñ")
    assert (extended.blank, extended.separator, extended.unknown) == (0, 4, 3)


def test_a_base_without_a_separator_gets_one_when_words_are_set_apart() -> None:
    bare = Vocabulary(tokens=("<pad>", "a"), blank=0, separator=None, unknown=None)
    assert bare.encode("a a") == [1, 1]
    extended = bare.extend([" "])
    assert (extended.tokens, extended.separator) == (("<pad>", "a", "|"), 2)


# The choice


def choose(
    current: Vocabulary | None, *texts: str, wanted: str = "auto", rare: int = 1, language: str = "en"
) -> tuple[str, tuple[str, ...], Vocabulary]:
    choice = choose_vocabulary(current, texts, wanted=wanted, rare=rare, language=language)
    return choice.head, choice.sentences, choice.vocabulary


def test_what_covers_the_texts_is_kept(english: Vocabulary) -> None:
    assert choose(english, "tee", "E't!") == ("kept", ("vocabulary kept: the base's 3 characters write 2 of 2 training texts",), english)


def test_what_does_not_is_extended(english: Vocabulary) -> None:
    head, sentences, vocabulary = choose(english, "teñ", "ñ ï", "tï tï", "té", rare=2)
    assert (head, vocabulary.tokens) == ("extended", (*TOKENS, "Ï", "Ñ"))
    assert sentences == (
        "vocabulary extended by 2 characters beside the base's 3: Ï (3 times), Ñ (2 times)",
        "left out, being fewer than 2 times in the training texts: É (1 time); 1 text cannot be learned because of it",
    )


def test_rare_characters_alone_extend_nothing(english: Vocabulary) -> None:
    head, sentences, vocabulary = choose(english, "teñ", "te", rare=2)
    assert (head, vocabulary) == ("kept", english)
    assert sentences == (
        "vocabulary kept: the base's 3 characters write 1 of 2 training texts",
        "left out, being fewer than 2 times in the training texts: Ñ (1 time); 1 text cannot be learned because of it",
    )


def test_keep_tells_what_it_costs(english: Vocabulary) -> None:
    head, sentences, vocabulary = choose(english, "teñ", "ñ ï", "te", wanted="keep")
    assert (head, vocabulary) == ("kept", english)
    assert sentences[1] == "left out, being not in the vocabulary: Ï (1 time), Ñ (2 times); 2 texts cannot be learned because of it"


@pytest.mark.parametrize("current", [True, False])
def test_a_new_one_is_built_in_lower_case(current: bool, english: Vocabulary) -> None:
    head, sentences, vocabulary = choose(english if current else None, "Die Öl", "ö, 2", wanted="new" if current else "auto", language="de", rare=2)
    assert (head, vocabulary.tokens) == ("new", ("<pad>", "|", "e", "i", "ö"))
    assert sentences == (
        "vocabulary built from 2 training texts: 3 characters, e, i, ö",
        "left out, being fewer than 2 times in the training texts: d (1 time), l (1 time), w (1 time), z (1 time); "
        "2 texts cannot be learned because of it",
    )


def test_georgian_behind_capitals_stays_as_it_is_written() -> None:
    """Python's `upper` would make Mtavruli of it, capitals that no transcript has."""
    capitals = Vocabulary(tokens=("<pad>", "|", "A", "B"), blank=0, separator=1, unknown=None)
    head, _, vocabulary = choose(capitals, "ab აბ", language="ka")
    assert (head, vocabulary.tokens[4:], vocabulary.case) == ("extended", ("ა", "ბ"), "upper")


def test_a_text_that_cannot_be_spelled_decides_nothing(english: Vocabulary) -> None:
    assert choose(english, "te", "100 % ñ")[0] == "kept"


@pytest.mark.parametrize(
    ("current", "texts", "wanted", "rare", "said"),
    [
        (False, ["?!", ""], "auto", 1, "the 2 training texts leave an empty vocabulary: no letter occurs 1 times or more"),
        (False, ["ab"], "auto", 2, "leave an empty vocabulary: no letter occurs 2 times or more"),
        (True, ["кот"], "keep", 1, "leave an empty vocabulary: none of their characters is among the base's 3"),
        (False, ["ab"], "keep", 1, "the base has no output layer and so none to keep"),
        (
            False,
            ["B2 or B3", "the 1990s"],
            "auto",
            1,
            'leave an empty vocabulary: 2 of them cannot be spelled out. The first: the digits of "B2 or B3" cannot be read',
        ),
        (
            False,
            ["ab", "B2"],
            "auto",
            2,
            'Give more text, or lower rare. 1 of them cannot be spelled out, the first: the digits of "B2" cannot be read',
        ),
        (True, ["B2", "?"], "extend", 1, "leave an empty vocabulary: 1 of them cannot be spelled out, and the others have no letters. The first: "),
    ],
)
def test_an_empty_vocabulary(current: bool, texts: list[str], wanted: str, rare: int, said: str, english: Vocabulary) -> None:
    with pytest.raises(TrainingError) as caught:
        choose(english if current else None, *texts, wanted=wanted, rare=rare)
    assert said in str(caught.value)


def test_words_that_mean_nothing(english: Vocabulary) -> None:
    with pytest.raises(MisuseError, match='vocabulary is "old", must be one of: auto, keep, extend, new'):
        choose(english, "te", wanted="old")
    with pytest.raises(MisuseError, match="rare is 0, must be 1 or more"):
        choose(english, "te", rare=0)
