import itertools
import pickle
import re
from collections import Counter

import numpy as np
import pytest

from speechadapt.errors import MisuseError
from speechadapt.synthetic.corpus import SplitSize
from speechadapt.synthetic.georgian import TEMPLATES, Phrase, georgian_sentences, nouns, stem, verbs, words
from speechadapt.synthetic.georgian_corpus import DEFAULT_SIZES, VARIANTS, make_georgian_corpus, speak_georgian
from speechadapt.text.sentence import sentence_form, sentence_key

MKHEDRULI = "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ"


def take(split: str, count: int, seed: int = 0) -> list[str]:
    return list(itertools.islice(georgian_sentences(split, seed=seed), count))


def test_same_seed_same_sentences_and_others_differ() -> None:
    assert take("train", 50) == take("train", 50)
    assert len(set(take("train", 50)) & set(take("train", 50, seed=1))) < 5  # short sentences may come up twice


def test_sentences_of_a_split_are_distinct() -> None:
    assert len({sentence_key(text) for text in take("train", 3000)}) == 3000


def test_splits_share_no_sentence_whatever_the_seed() -> None:
    keys = {split: {sentence_key(text) for seed in range(3) for text in take(split, 300, seed)} for split in ("train", "dev", "test")}
    assert not keys["train"] & keys["dev"]
    assert not keys["train"] & keys["test"]
    assert not keys["dev"] & keys["test"]


def test_sentences_are_georgian_and_short() -> None:
    many = take("train", 3000)
    for text in many:
        assert re.fullmatch(rf"[{MKHEDRULI} ,]+[.?]", text), text
        assert "  " not in text
        assert 3 <= len(text.split()) <= 8
    assert set("".join(many)) >= set(MKHEDRULI), "a letter never occurs, and no model could learn it"


def test_a_few_hundred_word_forms_most_of_them_often() -> None:
    times = Counter(form for text in take("train", 8000) for form in sentence_form(text).split())
    assert 500 < len(times) < 700
    assert sum(count < 3 for count in times.values()) < 0.1 * len(times)


@pytest.mark.parametrize(
    ("nominative", "bare"),
    [
        ("კაცი", "კაც"),
        ("კატა", "კატა"),
        ("ხე", "ხე"),
        ("ღვინო", "ღვინო"),
        ("ჩაი", "ჩაი"),
        ("დიდი", "დიდ"),
        ("პატარა", "პატარა"),
        ("ოცდაათი", "ოცდაათ"),
    ],
)
def test_stem_loses_the_ending_of_the_nominative_only(nominative: str, bare: str) -> None:
    assert stem(nominative) == bare


@pytest.mark.parametrize(
    ("phrase", "nominative", "dative", "inside"),
    [
        (("", "", "", "სახლი"), "სახლი", "სახლს", "სახლში"),
        (("ეს", "ამ", "დიდი", "ქალაქი"), "ეს დიდი ქალაქი", "ამ დიდ ქალაქს", "ამ დიდ ქალაქში"),
        (("ჩემი", "ჩემს", "პატარა", "ეზო"), "ჩემი პატარა ეზო", "ჩემს პატარა ეზოს", "ჩემს პატარა ეზოში"),
        (("მისი", "მის", "", "მეგობრები"), "მისი მეგობრები", "მის მეგობრებს", "მის მეგობრებში"),
        (("ხუთი", "ხუთ", "ახალი", "წიგნი"), "ხუთი ახალი წიგნი", "ხუთ ახალ წიგნს", "ხუთ ახალ წიგნში"),
    ],
)
def test_noun_phrases_are_declined(phrase: tuple[str, str, str, str], nominative: str, dative: str, inside: str) -> None:
    determiner, oblique, adjective, noun = phrase
    made = Phrase(determiner=determiner, oblique=oblique, adjective=adjective, noun=noun, plural=False)
    assert (str(made), made.dative, made.at("ში")) == (nominative, dative, inside)


def test_verbs_agree_with_their_subject() -> None:
    """`რას აკეთებს ONE?` and `რას აკეთებენ MANY?`: the last word of the first is a singular, of the second a plural."""
    singulars = {noun.singular for noun in nouns("person")}
    plurals = {noun.plural for noun in nouns("person")}
    asked = [text.rstrip("?").split() for text in take("train", 6000) if text.startswith("რას აკეთებ")]
    assert {line[1] for line in asked} == {"აკეთებს", "აკეთებენ"}
    assert all(line[-1] in (singulars if line[1] == "აკეთებს" else plurals) for line in asked)
    plural = [text.rstrip(".").split() for text in take("train", 6000) if text.endswith(("კითხულობენ.", "წერენ.", "სვამენ.", "ესაუბრებიან."))]
    assert len(plural) > 10
    assert all("და" in line or set(line) & (plurals | {"ძმები"} | {noun.plural for noun in nouns("animal")}) for line in plural)


def test_every_pattern_is_reached() -> None:
    many = " ".join(take("train", 8000))
    for template in TEMPLATES:
        for fixed in filter(None, (part.strip(" .?,") for part in re.split(r"\{.*?\}", template))):
            assert f" {fixed}" in many or f"{fixed} " in many or fixed == "ა", template


def test_the_list_of_words_is_well_formed() -> None:
    for name, entries in words().items():
        for entry in entries:
            assert re.fullmatch(rf"[{MKHEDRULI}]+(:[{MKHEDRULI}]+)?", entry), f"[{name}] {entry}"
    for kind in ("read", "meet", "act", "move", "animal_act", "skill"):
        assert all(verb.many.endswith(("ენ", "ან", "იან")) for verb in verbs(kind))
    assert all(noun.plural.endswith("ები") for noun in (*nouns("person"), *nouns("animal")))


def test_splits_share_neither_speakers_nor_sentences_nor_voices() -> None:
    plan = make_georgian_corpus()
    assert {split: len({p.speaker.name for p in plan if p.split == split}) for split in DEFAULT_SIZES} == {"train": 24, "dev": 6, "test": 10}
    for field in ("text", "variant"):
        train, dev, test = ({getattr(p, field) for p in plan if p.split == split} for split in ("train", "dev", "test"))
        assert not train & dev
        assert not train & test
        assert not dev & test
    other = make_georgian_corpus(seed=1)
    assert not {p.speaker.name for p in plan} & {p.speaker.name for p in other}
    assert not {sentence_key(p.text) for p in plan if p.split == "test"} & {sentence_key(p.text) for p in other if p.split != "test"}


def test_unknown_split_and_size_are_refused() -> None:
    with pytest.raises(MisuseError, match='split "valid", must be train, dev or test'):
        make_georgian_corpus(sizes={"valid": SplitSize(speakers=1, utterances=1)})
    with pytest.raises(MisuseError, match="train: -1 speakers with 2 utterances each"):
        make_georgian_corpus(sizes={"train": SplitSize(speakers=-1, utterances=2)})


def test_recording_is_a_pure_function_of_its_plan() -> None:
    pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed (extra: synthetic)")
    first, *others = make_georgian_corpus(sizes={"train": SplitSize(speakers=2, utterances=2)})
    recording = speak_georgian(first)
    for other in others:
        speak_georgian(other)
    assert speak_georgian(pickle.loads(pickle.dumps(first))).tobytes() == recording.tobytes()


def test_every_voice_can_be_heard() -> None:
    espeak = pytest.importorskip("speechadapt.synthetic.espeak")
    pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed (extra: synthetic)")
    assert {v for pair in VARIANTS.values() for voices in pair for v in voices} <= set(espeak.load_espeak().variants)
    for planned in make_georgian_corpus(sizes={split: SplitSize(speakers=6, utterances=1) for split in ("train", "dev", "test")}):
        waveform = speak_georgian(planned)
        assert waveform.dtype == np.float32
        assert 0.8 < len(waveform) / 16_000 < 10
        assert np.isfinite(waveform).all()
        assert 0.01 < float(np.abs(waveform).max()) <= 0.95 + 1e-6
