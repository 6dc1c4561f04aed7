"""Vectors for every script whose vowel signs a careless normalizer deletes, and the properties every normalizer keeps."""

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechadapt.errors import MisuseError
from speechadapt.text.normalize import get_normalizer, normalizers

BASIC = [
    ("Hindi", "नमस्ते, आप कैसे हैं?", "नमस्ते आप कैसे हैं"),
    ("Hindi danda and digits", "वह ४५ साल का है।", "वह 45 साल का है"),
    ("Bengali", "আমি বাংলায় গান গাই।", "আমি বাংলায় গান গাই"),
    ("Tamil", "தமிழ் மொழி!", "தமிழ் மொழி"),
    ("Telugu", "తెలుగు భాష.", "తెలుగు భాష"),
    ("Kannada", "ಕನ್ನಡ ಭಾಷೆ", "ಕನ್ನಡ ಭಾಷೆ"),
    ("Malayalam", "മലയാളം, ഭാഷ", "മലയാളം ഭാഷ"),
    ("Gujarati", "ગુજરાતી ભાષા", "ગુજરાતી ભાષા"),
    ("Gurmukhi", "ਪੰਜਾਬੀ ਬੋਲੀ", "ਪੰਜਾਬੀ ਬੋਲੀ"),
    ("Odia", "ଓଡ଼ିଆ ଭାଷା", "ଓଡ଼ିଆ ଭାଷା"),
    ("Sinhala", "සිංහල භාෂාව", "සිංහල භාෂාව"),
    ("Thai", "ภาษาไทย ดีที่สุด", "ภาษาไทย ดีที่สุด"),
    ("Lao", "ພາສາລາວ", "ພາສາລາວ"),
    ("Khmer", "ភាសាខ្មែរ។", "ភាសាខ្មែរ"),
    ("Burmese", "မြန်မာဘာသာ။", "မြန်မာဘာသာ"),
    ("Tibetan", "བོད་སྐད།", "བོད སྐད"),
    ("Hebrew points", "שָׁלוֹם!", "שָׁלוֹם"),
    ("Arabic vowels", "السَّلامُ عَلَيْكُم؟", "السَّلامُ عَلَيْكُم"),
    ("Arabic tatweel and digits", "كتـــاب ١٢", "كتاب 12"),
    ("Persian joiner", "می‌خواهم", "می‌خواهم"),
    ("German", "Straße – schön!", "strasse schön"),
    ("French", "L’école, qu'est-ce", "l'école qu'est ce"),
    ("Yoruba tones", "Ọ̀rọ̀ Yorùbá", "ọ̀rọ̀ yorùbá"),
    ("Turkish without its rules", "IĞDIR", "iğdir"),
    ("Swahili", "Ng'ombe", "ng'ombe"),
    ("Japanese voicing marks", "これは、ペンです。ガギ", "これは ペンです ガギ"),
    ("full width", "ＡＢＣ　１２", "abc 12"),
    ("quotation marks and hyphens", "“well-known” 'quoted' don't — no", "well known quoted don't no"),
    ("a lone accent", "l´école ´", "l'école"),
    ("soft hyphen and direction marks", "co­operate \u200eyes\u200f", "cooperate yes"),
    ("joiner outside its scripts", "a\u200db\u200cc", "abc"),
    ("only punctuation", " … !?", ""),
]

LANGUAGES = [
    ("basic:tr", "İstanbul IĞDIR", "istanbul ığdır"),
    ("basic:tr-TR", "IŞIK", "ışık"),
    ("basic:az", "BAKI", "bakı"),
    ("basic:ar", "السَّلامُ عَلَيْكُم", "السلام عليكم"),
    ("basic:he", "שָׁלוֹם", "שלום"),
    ("basic:yi", "אָפּ", "אָפּ"),
    ("basic:id", "Anak-anak, itu", "anak-anak itu"),
    ("basic:ca", "Col·legi", "col·legi"),
    ("basic:uz", "bog‘ o'zbek", "bog' o'zbek"),
    ("basic:haw", "ʻōlelo Hawaiʻi", "'ōlelo hawai'i"),
    ("basic:sw", "ng'ombe", "ng'ombe"),
    ("basic:zh", "你好，世界 hello world 2", "你 好 世 界 hello world 2"),
    ("basic:ja", "ガギ iPhoneを", "ガ ギ iphone を"),
    ("basic:th", "ที่สุด", "ที่ สุ ด"),
    ("basic:km", "ខ្មែរ", "ខ្ មែ រ"),
]

# Known outputs of Whisper's rules: numbers, contractions, titles, fillers, brackets, spelling (corpora differ in all of them).
ENGLISH = [
    ("Mr. Brown's colour wasn't, uh, twenty-one!", "mister brown is color was not 21"),
    ("It costs five dollars [laughter] (probably).", "it costs $5"),
    ("I won't; let's go", "i will not let us go"),
    ("one oh one", "101"),
    ("The 1,000 metres", "the 1000 meters"),
    ("WE CALL IT BEAR", "we call it bear"),
    ("Hmm.", ""),
    ("Wait... what?", "wait what"),
    ("Wait...", "wait"),  # Whisper's rules alone say "wait ."
    ("...", ""),
    ("5% of $2.50", "5% of $2.50"),
]


def nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in BASIC], ids=[row[0] for row in BASIC])
def test_basic_keeps_marks_in_every_script(text: str, expected: str) -> None:
    assert get_normalizer("basic")(text) == nfkc(expected)


@pytest.mark.parametrize(("name", "text", "expected"), LANGUAGES)
def test_language_rules(name: str, text: str, expected: str) -> None:
    assert get_normalizer(name)(text) == nfkc(expected)


@pytest.mark.parametrize(("text", "expected"), ENGLISH)
def test_english_vectors(text: str, expected: str) -> None:
    assert get_normalizer("english")(text) == expected


def test_both_spellings_of_a_malayalam_final_consonant_are_one_word() -> None:
    basic = get_normalizer("basic")
    assert basic("അവന്\u200d") == basic("അവൻ") == "അവൻ"


def test_basic_keeps_the_words_that_whispers_own_breaks() -> None:
    from whisper_normalizer.basic import BasicTextNormalizer

    text = "नमस्ते आप कैसे हैं"
    assert len(BasicTextNormalizer()(text).split()) == 6  # the defect: four words become six
    assert len(get_normalizer("basic")(text).split()) == 4


def test_raw_changes_only_blanks() -> None:
    assert get_normalizer("raw")("  Héllo,\tWORLD \n") == "Héllo, WORLD"


def test_unspaced_languages_say_so() -> None:
    assert not get_normalizer("basic:zh").spaced
    assert get_normalizer("basic:tr").spaced
    assert get_normalizer("basic").spaced


def test_names_and_versions() -> None:
    assert [one.name for one in normalizers()] == ["raw", "basic", "english", "whisper-basic", "whisper-basic-no-diacritics"]
    assert all(one.version and one.summary for one in normalizers())
    from importlib.metadata import version

    assert get_normalizer("english").version == f"whisper-normalizer {version('whisper-normalizer')}, lone symbols dropped"


@pytest.mark.parametrize("name", ["englsh", "basic:", "english:en", ""])
def test_an_unknown_name_lists_the_names(name: str) -> None:
    with pytest.raises(MisuseError) as caught:
        get_normalizer(name)
    assert str(caught.value) == (
        f'no normalizer is called "{name}"; there are: raw, basic, english, whisper-basic, whisper-basic-no-diacritics, and basic:LANGUAGE '
        "(such as basic:tr), with the options +fold, +numbers, +fillers. Check the spelling."
    )


def test_a_language_that_is_no_tag() -> None:
    with pytest.raises(MisuseError) as caught:
        get_normalizer("basic:turkish")
    assert str(caught.value) == 'language "turkish" is not a BCP-47 tag: it must begin with two or three letters, such as sw or yue. Correct the tag.'


def test_english_is_whispers_own_but_for_lone_symbols() -> None:
    from whisper_normalizer.english import EnglishTextNormalizer

    theirs = EnglishTextNormalizer()
    for text, _ in ENGLISH:
        assert get_normalizer("english")(text).split() == [word for word in theirs(text).split() if word != "."]


@given(st.text(max_size=40), st.sampled_from(["raw", "basic", "basic:tr", "basic:id", "basic:uz", "basic:ar", "basic:th"]))
def test_any_text_comes_out_as_words_set_apart_by_one_blank(text: str, name: str) -> None:
    found = get_normalizer(name)(text)
    assert found == " ".join(found.split())


@given(st.text(max_size=40), st.sampled_from(["basic", "basic:tr", "basic:id", "basic:uz", "basic:ar"]))
def test_basic_twice_is_basic_once(text: str, name: str) -> None:
    normalize = get_normalizer(name)
    assert normalize(normalize(text)) == normalize(text)


NUMBERISH = """one two half point and a hundred thousand $ % 5 2.5 1/2 ½ ² ١٢ .5 $.5 5. oh double dollars cents
minus th 1st 's ¢7 €0.5 , 1960s"""


@given(st.lists(st.sampled_from(NUMBERISH.split()) | st.text(max_size=4), max_size=8), st.sampled_from(["", " "]))
def test_english_takes_whatever_a_system_may_say(words: list[str], glue: str) -> None:
    found = get_normalizer("english")(glue.join(words))
    assert found == found.strip()


def test_importing_and_using_the_normalizers_is_light_and_free_of_warnings() -> None:
    code = (
        "import sys; from speechadapt.text.normalize import get_normalizer; get_normalizer('english')('colour');"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
