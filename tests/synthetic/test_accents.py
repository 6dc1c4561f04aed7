import itertools
import statistics

import pytest

from speechadapt.errors import MisuseError
from speechadapt.synthetic.accents import ACCENTS, CONSONANTS, CONTEXTS, VOWELS, Accent, Rule, find_accent, habit, parse_accent

SENTENCE = "ði ˈOld tˈiʧəɹ θˈɪŋks ðæt ðə wˈɛðəɹ ɪz vˈɛɹi bˈæd ðɪs ˈivnɪŋ."


def always(accent: str) -> Accent:
    """The same table with every rule at full strength, so that words can be checked without draws."""
    table = find_accent(accent)
    rules = [Rule(name=r.name, changes=r.changes, where=r.where, strength=1.0, source=r.source) for r in table.rules]
    return Accent(name=table.name, label=table.label, l1=table.l1, rules=tuple(rules))


@pytest.mark.parametrize(
    ("accent", "standard", "accented"),
    [
        ("mandarin", "θˈɪŋk", "sˈiŋ"),  # rules see the standard word, so ŋ is not final although the k went
        ("mandarin", "ðə", "dɛ"),
        ("mandarin", "wˈɛðəɹ", "wˈɛzɛɹ"),
        ("mandarin", "vˈɛɹi", "wˈɛli"),
        ("mandarin", "wˈɔntɪd", "wˈɔntɪt"),
        ("mandarin", "lˈɪTᵊl", "lˈiTO"),
        ("hindi", "θˈɪn", "tˈɪn"),
        ("hindi", "skˈul", "ɪskˈul"),
        ("hindi", "wˈɔTəɹ", "vˈɑtɑɹ"),
        ("hindi", "zˈɪɹO", "ʤˈɪɹɔ"),
        ("german", "ðɪs", "zɪs"),
        ("german", "bˈæd", "bˈɛt"),
        ("german", "wˈɔɹm", "vˈɔɹm"),
        ("german", "sˈʌn", "zˈɑn"),
        ("spanish", "stˈɑp", "ɛstˈɑp"),
        ("spanish", "vˈɛɹi", "bˈɛɹi"),
        ("spanish", "ʃˈɪp", "ʧˈip"),
        ("west_african", "wˈɜɹk", "wˈɔk"),
        ("west_african", "bˈɛTəɹ", "bˈɛtɑ"),
        ("west_african", "kˈɑɹ", "kˈɑ"),
        ("french", "hˈWs", "ˈWs"),
        ("japanese", "lˈæm", "ɹˈɑm"),
        ("japanese", "sˈɪti", "ʃˈɪti"),
    ],
)
def test_rules_on_known_words(accent: str, standard: str, accented: str) -> None:
    assert always(accent).apply(standard) == accented


def test_standard_changes_nothing() -> None:
    assert find_accent("standard").apply(SENTENCE, strength=1.0, speaker="anyone") == SENTENCE


@pytest.mark.parametrize("accent", ACCENTS, ids=lambda accent: accent.name)
def test_strength_zero_changes_nothing(accent: Accent) -> None:
    assert accent.apply(SENTENCE, strength=0.0, speaker="anyone") == SENTENCE


def test_punctuation_and_blanks_stay() -> None:
    assert always("german").apply("ðə, (wˈɔɹm)!  ðɪs?") == "zə, (vˈɔɹm)!  zɪs?"


def test_rules_do_not_feed_each_other() -> None:
    """Hindi-like English swaps v and w; applied one after the other the second rule would undo the first."""
    assert always("hindi").apply("vˈɛɹi wˈɛl") == "wˈɛɹi vˈɛl"


def test_dial_only_adds_changes() -> None:
    """What is changed at a lower strength stays changed at a higher one, for one-to-one rules where places can be compared."""
    accent = Accent(
        name="swap",
        label="",
        l1=None,
        rules=tuple(r for r in find_accent("spanish").rules if all(len(a) == len(b) == 1 for a, b in r.changes.items())),
    )
    changed: list[set[int]] = []
    for strength in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        said = accent.apply(SENTENCE, strength=strength, speaker="maria")
        changed.append({place for place, (a, b) in enumerate(zip(SENTENCE, said, strict=True)) if a != b})
    assert all(lower <= higher for lower, higher in itertools.pairwise(changed))
    assert len(changed[-1]) > len(changed[0]) == 0


def test_speaker_is_consistent_and_differs_from_others() -> None:
    mandarin = find_accent("mandarin")
    twice = mandarin.apply("ðə bˈOθ ðə", strength=0.5, speaker="li").split()
    assert twice[0] == twice[2]
    assert len({mandarin.apply(SENTENCE, strength=0.5, speaker=f"speaker {n}") for n in range(10)}) > 1


def test_strength_is_the_share_of_places_changed() -> None:
    """Over 400 speakers and words the share of changed places is the strength times the dial: 3 standard errors of 400 draws are 0.075."""
    rule = Rule(name="th as s", changes={"θ": "s"}, strength=0.8, source="test")
    accent = Accent(name="one", label="", l1=None, rules=(rule,))
    said = [accent.apply(f"θˈ{'IAO'[n % 3]}", strength=0.5, speaker=f"speaker {n}") for n in range(400)]
    assert sum(word[0] == "s" for word in said) / 400 == pytest.approx(0.4, abs=0.075)


def test_habit_is_uniform_and_half_the_speakers_own() -> None:
    draws = [[habit(f"speaker {n}", "rule", f"word {m}") for m in range(30)] for n in range(60)]
    every = sorted(x for row in draws for x in row)
    assert every[0] >= 0
    assert every[-1] < 1
    # Speakers' own halves make the 1800 draws dependent, so the tolerance is that of 60 speakers: 3 * sqrt(1/12/60) is 0.11.
    assert statistics.mean(every) == pytest.approx(0.5, abs=0.11)
    assert statistics.mean(map(statistics.pstdev, draws)) < 0.8 * statistics.pstdev(every)


@pytest.mark.parametrize("accent", ACCENTS, ids=lambda accent: accent.name)
def test_tables_are_well_formed(accent: Accent) -> None:
    assert len({rule.name for rule in accent.rules}) == len(accent.rules)
    for rule in accent.rules:
        assert rule.where in CONTEXTS
        assert 0 < rule.strength <= 1
        assert any(year.isdigit() and len(year) == 4 for year in rule.source.replace(":", " ").replace(";", " ").split()), rule.source
        assert all(set(sound + becomes) <= set(VOWELS + CONSONANTS + "ˈˌ") for sound, becomes in rule.changes.items())


def test_parse() -> None:
    assert parse_accent("mandarin:0.6") == (find_accent("mandarin"), 0.6)
    assert parse_accent("standard") == (find_accent("standard"), 1.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("klingon", 'no simulated accent "klingon". There are: standard, mandarin, hindi, german, spanish, west_african, french, japanese. Choose'),
        ("mandarin:1.5", "accent strength 1.5, must be 0 (standard) to 1 (full). Write for example mandarin:0.6"),
        ("mandarin:-0.1", "accent strength -0.1, must be 0 (standard) to 1"),
        ("mandarin:nan", "accent strength nan, must be 0 (standard) to 1"),
        ("hindi:much", 'accent strength "much" is not a number, must be 0 (standard) to 1 (full). Write for example hindi:0.6'),
        ("hindi:", 'accent strength "" is not a number'),
    ],
)
def test_bad_accents(given: str, message: str) -> None:
    with pytest.raises(MisuseError) as caught:
        parse_accent(given)
    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 2


def test_apply_refuses_a_dial_outside_its_range() -> None:
    with pytest.raises(MisuseError, match=r"accent strength 2, must be 0"):
        find_accent("german").apply(SENTENCE, strength=2)
