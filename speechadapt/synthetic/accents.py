"""Accents: small tables of phonological rules, each with its source, applied to phoneme strings by a dial from 0 to 1.

These are caricatures for teaching and testing: an American voice that merges and drops the sounds that the literature says speakers of a
language tend to merge and drop. No intonation, no rhythm, no sound that American English lacks. They are not recordings of people, and a
result on them is no claim about people. Which habit belongs to which accent is the literature's; the strengths are ours, set so that each
accent is clearly harder for Whisper tiny.en than the standard voice (docs/log.md), and are no measured frequencies.

Phonemes are written in the alphabet of the voice (misaki's): A I O W Y are the vowels of FACE, PRICE, GOAT, MOUTH and CHOICE, ʧ and ʤ the
affricates, ᵊ a short schwa before l and n, ᵻ a reduced KIT, T a tapped t, ˈ and ˌ stress in front of the vowel. Words are apart by blanks.

Sources, by the short names used below:
    Swan & Smith 2001   M. Swan & B. Smith (eds), Learner English: A Teacher's Guide to Interference and Other Problems, 2nd ed., Cambridge
                        University Press; the chapters on speakers of Chinese (J. Chang), German (M. Swan), Spanish and Catalan (N. Coe),
                        South Asian languages (C. Shackle), West African languages (P. Tregidgo), French (C. Walter), Japanese (I. Thompson)
    Wells 1982          J. C. Wells, Accents of English 3: Beyond the British Isles, Cambridge University Press
    Deterding 2006      D. Deterding, The pronunciation of English by speakers from China, English World-Wide 27
    Rau et al. 2009     D. V. Rau, H.-H. A. Chang & E. E. Tarone, Think or sink: Chinese learners' acquisition of the English voiceless
                        interdental fricative, Language Learning 59
    Hansen 2001         J. G. Hansen, Linguistic constraints on the acquisition of English syllable codas by native speakers of Mandarin
                        Chinese, Applied Linguistics 22
    Gargesh 2008        R. Gargesh, Indian English: phonology, in R. Mesthrie (ed.), Varieties of English 4, Mouton de Gruyter
    Gut 2008            U. Gut, Nigerian English: phonology, in the same volume
    Huber 2008          M. Huber, Ghanaian English: phonology, in the same volume
    Simo Bobda 2000     A. Simo Bobda, English pronunciation in sub-Saharan Africa as illustrated by the NURSE vowel, English Today 16
    Flege et al. 1997   J. E. Flege, O.-S. Bohn & S. Jang, Effects of experience on non-native speakers' production and perception of English
                        vowels, Journal of Phonetics 25 (German, Spanish, Mandarin and Korean speakers)
    Dupoux et al. 1999  E. Dupoux, K. Kakehi, Y. Hirose, C. Pallier & J. Mehler, Epenthetic vowels in Japanese: a perceptual illusion?, Journal of
                        Experimental Psychology: Human Perception and Performance 25
"""

import dataclasses
import functools
import hashlib
import math
import re
from collections.abc import Mapping

from speechadapt.errors import MisuseError

VOWELS = "AIOQWYaeiouæɑəɛɜɪɔʊʌᵊᵻɚɐ"
CONSONANTS = "bdfhjklmnpstvwzɡŋɹʃʒθðʤʧT"
CLOSED = CONSONANTS.replace("ɹ", "")  # after a vowel, American r is part of the vowel: the k of `work` stands in no cluster
CLUSTERING = CONSONANTS.replace("j", "")  # the glide of `few` breaks no cluster

CONTEXTS = {
    "anywhere": ("", ""),
    "initial": (r"^", ""),
    "final": ("", r"$"),
    "not initial": (rf"(?<=[{VOWELS}{CONSONANTS}])", ""),
    "final, after a consonant": (rf"(?<=[{CLOSED}])", r"$"),
    "final, after a vowel": (rf"(?<=[{VOWELS}ɹ])", r"$"),
    "initial, before a consonant": (r"^", rf"(?=[{CLUSTERING}])"),
    "before a vowel": ("", rf"(?=[ˈˌ]?[{VOWELS}])"),
    "initial, before a vowel": (r"^", rf"(?=[ˈˌ]?[{VOWELS}])"),
    "not before a vowel": ("", rf"(?![ˈˌ]?[{VOWELS}])"),
    "stressed": (r"(?<=[ˈˌ])", ""),
    "unstressed": (r"(?<![ˈˌ])", ""),
}
"""Where a rule may apply inside its word: what must stand before and after the sound, as regular expressions."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One habit of an accent.

    Attributes:
        name: unique in its accent; the draws depend on it.
        changes: what each sound (one or more phonemes) becomes; the empty string drops it.
        where: a key of `CONTEXTS`.
        strength: probability, above 0 and up to 1, that a place where it could apply is changed when the dial stands at 1.
        source: who describes the habit, by the short names of this file.
    """

    name: str
    changes: Mapping[str, str]
    where: str = "anywhere"
    strength: float
    source: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Accent:
    """A named table of rules; at one place of a word the first rule that fits and is drawn wins, the others wait.

    Attributes:
        name: as typed, such as `mandarin`.
        label: for reports; says that it is simulated.
        l1: BCP-47 tag of the first language the habits come from, None for standard.
        rules: in order of precedence.
    """

    name: str
    label: str
    l1: str | None
    rules: tuple[Rule, ...]

    def apply(self, phonemes: str, *, strength: float = 1.0, speaker: str = "") -> str:
        """Change a phoneme string, word by word.

        The same speaker treats the same word alike every time, and what the dial changes at 0.4 it also changes at 0.6.

        Args:
            phonemes: words apart by blanks, punctuation attached.
            strength: the dial, 0 (standard) to 1; multiplies the strength of every rule.
            speaker: whose habits; any text.

        Raises:
            MisuseError: strength outside 0 to 1.
        """
        check_strength(strength)
        return " ".join(self._word(word, strength, speaker) for word in phonemes.split(" "))

    def _word(self, written: str, strength: float, speaker: str) -> str:
        parts = re.fullmatch(r"(\W*)(.*?)(\W*)", written)  # punctuation apart; stress marks are letters to Unicode
        before, word, after = parts.groups() if parts else ("", written, "")
        out: list[str] = []
        place = 0
        while place < len(word):
            change = next((change for rule in self.rules if (change := _change(rule, word, place, strength, speaker))), None)
            sound, becomes = change or (word[place], word[place])
            out.append(becomes)
            place += len(sound)
        return before + "".join(out) + after


def _change(rule: Rule, word: str, place: int, strength: float, speaker: str) -> tuple[str, str] | None:
    found = _pattern(rule.where, tuple(rule.changes)).match(word, place)
    if found is None or habit(speaker, rule.name, f"{word}|{place}") >= rule.strength * strength:
        return None
    return found[1], rule.changes[found[1]]


@functools.cache
def _pattern(where: str, sounds: tuple[str, ...]) -> re.Pattern[str]:
    before, after = CONTEXTS[where]
    longest_first = "|".join(sorted(map(re.escape, sounds), key=len, reverse=True))
    return re.compile(f"{before}({longest_first}){after}")


def habit(speaker: str, rule: str, place: str) -> float:
    """How reluctant this speaker is to follow a rule at one place of a word: a number that is uniform on [0, 1) over speakers and words.

    Half of it is the speaker's own and the same in all words, half belongs to the word, so that speakers differ from each other and each is
    fairly consistent. The sum of two uniform draws is made uniform again by its distribution function, so that a rule's strength is exactly
    the share of places it changes over all speakers.
    """
    mean = (_uniform(f"{speaker}|{rule}") + _uniform(f"{speaker}|{rule}|{place}")) / 2
    return 2 * mean**2 if mean < 0.5 else 1 - 2 * (1 - mean) ** 2


def _uniform(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48


def check_strength(strength: float) -> None:
    """Refuse a dial outside 0 to 1.

    Raises:
        MisuseError: the value, and what is allowed.
    """
    if not (math.isfinite(strength) and 0 <= strength <= 1):
        raise MisuseError(f"accent strength {strength:g}, must be 0 (standard) to 1 (full). Write for example mandarin:0.6")


def find_accent(name: str) -> Accent:
    """An accent by name.

    Raises:
        MisuseError: no accent of that name; the message lists the names.
    """
    for accent in ACCENTS:
        if accent.name == name:
            return accent
    raise MisuseError(f'no simulated accent "{name}". There are: {", ".join(accent.name for accent in ACCENTS)}. Choose one of them.')


def parse_accent(text: str) -> tuple[Accent, float]:
    """Read `ACCENT[:STRENGTH]`, such as `mandarin` or `mandarin:0.6`.

    Raises:
        MisuseError: an unknown accent, a strength that is no number, or one outside 0 to 1.
    """
    name, colon, dial = text.partition(":")
    accent = find_accent(name)
    try:
        strength = float(dial) if colon else 1.0
    except ValueError as error:
        raise MisuseError(f'accent strength "{dial}" is not a number, must be 0 (standard) to 1 (full). Write for example {name}:0.6') from error
    check_strength(strength)
    return accent, strength


DEVOICING = {"b": "p", "d": "t", "ɡ": "k", "v": "f", "z": "s", "ʒ": "ʃ", "ʤ": "ʧ", "ð": "θ"}

STANDARD = Accent(name="standard", label="the voice's own American English (synthetic)", l1=None, rules=())

MANDARIN = Accent(
    name="mandarin",
    label="Mandarin-like English (simulated by rules)",
    l1="cmn",
    rules=(
        Rule(name="th as s", changes={"θ": "s"}, strength=0.95, source="Rau et al. 2009; Deterding 2006; Swan & Smith 2001"),
        Rule(name="initial dh as d", changes={"ð": "d"}, where="initial", strength=0.9, source="Swan & Smith 2001: /ð/ as [d] or [z]"),
        Rule(name="inner dh as z", changes={"ð": "z"}, where="not initial", strength=0.9, source="Swan & Smith 2001: /ð/ as [d] or [z]"),
        Rule(name="v as w", changes={"v": "w"}, where="before a vowel", strength=0.9, source="Swan & Smith 2001: /v/ as [w] or [f]"),
        Rule(
            name="final stop dropped in clusters",
            changes={"t": "", "d": "", "k": "", "p": ""},
            where="final, after a consonant",
            strength=0.75,
            source="Hansen 2001",
        ),
        Rule(name="final devoicing", changes=DEVOICING, where="final", strength=0.8, source="Swan & Smith 2001; Hansen 2001"),
        Rule(
            name="schwa after a final stop",
            changes={"t": "tə", "k": "kə", "p": "pə", "ʧ": "ʧə"},
            where="final, after a vowel",
            strength=0.5,
            source="Deterding 2006: an extra final vowel",
        ),
        Rule(
            name="tense KIT", changes={"ɪ": "i"}, where="stressed", strength=0.9, source="Swan & Smith 2001: /ɪ/ and /iː/ confused; Flege et al. 1997"
        ),
        Rule(name="tense FOOT", changes={"ʊ": "u"}, strength=0.9, source="Swan & Smith 2001: /ʊ/ and /uː/ confused"),
        Rule(name="TRAP as DRESS", changes={"æ": "ɛ"}, where="stressed", strength=0.9, source="Flege et al. 1997; Swan & Smith 2001"),
        Rule(
            name="dark l as a vowel",
            changes={"ᵊl": "O", "l": "O"},
            where="not before a vowel",
            strength=0.8,
            source="Swan & Smith 2001: final /l/ replaced or dropped",
        ),
        Rule(name="zh as r", changes={"ʒ": "ɹ"}, strength=0.7, source="Swan & Smith 2001: /ʒ/ is new and replaced by near sounds"),
        Rule(name="r as l", changes={"ɹ": "l"}, where="before a vowel", strength=0.3, source="Swan & Smith 2001: /r/ and /l/ confused by some"),
        Rule(name="full vowels", changes={"ə": "ɛ"}, where="unstressed", strength=0.45, source="Deterding 2006: few reduced vowels"),
        Rule(name="STRUT as LOT", changes={"ʌ": "ɑ"}, where="stressed", strength=0.7, source="Swan & Smith 2001: /ʌ/ as an open vowel"),
        Rule(name="plain FACE", changes={"A": "ɛ"}, strength=0.6, source="Swan & Smith 2001: diphthongs with too little movement"),
        Rule(
            name="vowel in initial clusters",
            changes={"p": "pə", "b": "bə", "t": "tə", "k": "kə", "ɡ": "ɡə", "f": "fə", "s": "sə"},
            where="initial, before a consonant",
            strength=0.6,
            source="Swan & Smith 2001: a slight vowel between the consonants",
        ),
        Rule(name="ng as n", changes={"ŋ": "n"}, where="final", strength=0.6, source="Hansen 2001; Swan & Smith 2001: final nasals confused"),
        Rule(
            name="n as ng",
            changes={"n": "ŋ"},
            where="final, after a vowel",
            strength=0.3,
            source="Hansen 2001; Swan & Smith 2001: final nasals confused",
        ),
    ),
)

HINDI = Accent(
    name="hindi",
    label="Hindi-like English (simulated by rules)",
    l1="hi",
    rules=(
        Rule(name="th as t", changes={"θ": "t"}, strength=0.95, source="Wells 1982; Gargesh 2008"),
        Rule(name="dh as d", changes={"ð": "d"}, strength=0.95, source="Wells 1982; Gargesh 2008"),
        Rule(name="w as v", changes={"w": "v"}, where="before a vowel", strength=0.85, source="Wells 1982; Gargesh 2008: /v/ and /w/ merged"),
        Rule(name="v as w", changes={"v": "w"}, where="before a vowel", strength=0.4, source="Wells 1982; Gargesh 2008: /v/ and /w/ merged"),
        Rule(name="no tap", changes={"T": "t"}, strength=1.0, source="Wells 1982: /t/ is a full (retroflex) stop; the voice has no retroflex"),
        Rule(
            name="vowel before an s cluster",
            changes={"s": "ɪs"},
            where="initial, before a consonant",
            strength=0.7,
            source="Gargesh 2008; Swan & Smith 2001",
        ),
        Rule(name="zh as in judge", changes={"ʒ": "ʤ"}, strength=0.6, source="Gargesh 2008"),
        Rule(name="z as in judge", changes={"z": "ʤ"}, where="before a vowel", strength=0.6, source="Gargesh 2008; Swan & Smith 2001"),
        Rule(name="f as p", changes={"f": "p"}, strength=0.4, source="Swan & Smith 2001: /f/ as an aspirated /p/ by some"),
        Rule(name="plain FACE", changes={"A": "ɛ"}, strength=0.65, source="Wells 1982: FACE a monophthong; the voice's nearest is DRESS"),
        Rule(name="plain GOAT", changes={"O": "ɔ"}, strength=0.75, source="Wells 1982: GOAT a monophthong; the voice's nearest is THOUGHT"),
        Rule(name="plain NURSE", changes={"ɜɹ": "ʌɹ"}, strength=0.9, source="Gargesh 2008"),
        Rule(name="open THOUGHT", changes={"ɔ": "ɑ"}, where="stressed", strength=0.8, source="Wells 1982: LOT and THOUGHT merged"),
        Rule(name="TRAP as DRESS", changes={"æ": "ɛ"}, where="stressed", strength=0.65, source="Gargesh 2008"),
        Rule(
            name="full vowels",
            changes={"ə": "ɑ", "ᵻ": "ɛ"},
            where="unstressed",
            strength=0.5,
            source="Wells 1982; Gargesh 2008: vowels little reduced",
        ),
    ),
)

GERMAN = Accent(
    name="german",
    label="German-like English (simulated by rules)",
    l1="de",
    rules=(
        Rule(name="th as s", changes={"θ": "s"}, strength=0.95, source="Swan & Smith 2001"),
        Rule(name="dh as z", changes={"ð": "z"}, strength=0.95, source="Swan & Smith 2001"),
        Rule(name="w as v", changes={"w": "v"}, where="before a vowel", strength=0.9, source="Swan & Smith 2001"),
        Rule(name="final devoicing", changes=DEVOICING, where="final", strength=0.95, source="Swan & Smith 2001"),
        Rule(name="j as ch", changes={"ʤ": "ʧ"}, strength=0.8, source="Swan & Smith 2001: /ʤ/ and /ʒ/ voiceless"),
        Rule(name="zh as sh", changes={"ʒ": "ʃ"}, strength=0.8, source="Swan & Smith 2001: /ʤ/ and /ʒ/ voiceless"),
        Rule(name="initial s voiced", changes={"s": "z"}, where="initial, before a vowel", strength=0.8, source="Swan & Smith 2001"),
        Rule(name="TRAP as DRESS", changes={"æ": "ɛ"}, strength=0.95, source="Flege et al. 1997; Swan & Smith 2001"),
        Rule(name="STRUT as LOT", changes={"ʌ": "ɑ"}, where="stressed", strength=0.75, source="Swan & Smith 2001: /ʌ/ open"),
        Rule(name="plain GOAT", changes={"O": "ɔ"}, strength=0.8, source="Swan & Smith 2001: /əʊ/ a monophthong; the voice's nearest is THOUGHT"),
        Rule(name="plain FACE", changes={"A": "ɛ"}, strength=0.7, source="Swan & Smith 2001: /eɪ/ a monophthong; the voice's nearest is DRESS"),
        Rule(name="no tap", changes={"T": "t"}, strength=1.0, source="Swan & Smith 2001: British models; /t/ not tapped"),
    ),
)

SPANISH = Accent(
    name="spanish",
    label="Spanish-like English (simulated by rules)",
    l1="es",
    rules=(
        Rule(name="vowel before an s cluster", changes={"s": "ɛs"}, where="initial, before a consonant", strength=0.85, source="Swan & Smith 2001"),
        Rule(name="th as s", changes={"θ": "s"}, strength=0.9, source="Swan & Smith 2001: American Spanish lacks /θ/"),
        Rule(name="dh as d", changes={"ð": "d"}, strength=0.95, source="Swan & Smith 2001: [ð] is a variant of /d/"),
        Rule(name="v as b", changes={"v": "b"}, strength=0.95, source="Swan & Smith 2001"),
        Rule(name="z as s", changes={"z": "s", "ʒ": "ʃ"}, strength=0.95, source="Swan & Smith 2001"),
        Rule(name="sh as ch", changes={"ʃ": "ʧ"}, strength=0.7, source="Swan & Smith 2001"),
        Rule(name="y as j", changes={"j": "ʤ"}, where="initial", strength=0.75, source="Swan & Smith 2001: /j/ and /ʤ/ confused"),
        Rule(name="tense KIT", changes={"ɪ": "i"}, where="stressed", strength=0.95, source="Flege et al. 1997; Swan & Smith 2001"),
        Rule(name="tense FOOT", changes={"ʊ": "u"}, strength=0.8, source="Swan & Smith 2001"),
        Rule(
            name="one open vowel",
            changes={"æ": "ɑ", "ʌ": "ɑ"},
            where="stressed",
            strength=0.85,
            source="Flege et al. 1997; Swan & Smith 2001: /æ ɑː ʌ/ as one",
        ),
        Rule(name="final m as n", changes={"m": "n", "ŋ": "n"}, where="final", strength=0.6, source="Swan & Smith 2001"),
        Rule(
            name="final stop dropped in clusters",
            changes={"t": "", "d": "", "k": ""},
            where="final, after a consonant",
            strength=0.8,
            source="Swan & Smith 2001",
        ),
        Rule(name="full vowels", changes={"ə": "ɑ", "ᵻ": "ɛ"}, where="unstressed", strength=0.45, source="Swan & Smith 2001: no reduced vowel"),
        Rule(
            name="plain GOAT",
            changes={"O": "ɔ"},
            strength=0.5,
            source="Swan & Smith 2001: /əʊ/ as the vowel of Spanish o; the voice's nearest is THOUGHT",
        ),
        Rule(
            name="final stops voiceless",
            changes={"b": "p", "d": "t", "ɡ": "k", "ʤ": "ʧ"},
            where="final",
            strength=0.6,
            source="Swan & Smith 2001: final voiced stops voiceless",
        ),
    ),
)

WEST_AFRICAN = Accent(
    name="west_african",
    label="West African-like English (simulated by rules)",
    l1="yo",
    rules=(
        Rule(name="th as t", changes={"θ": "t"}, strength=0.9, source="Gut 2008; Huber 2008; Swan & Smith 2001"),
        Rule(name="dh as d", changes={"ð": "d"}, strength=0.9, source="Gut 2008; Huber 2008; Swan & Smith 2001"),
        Rule(name="NURSE without r", changes={"ɜɹ": "ɔ"}, strength=0.7, source="Simo Bobda 2000"),
        Rule(name="lettER open", changes={"əɹ": "ɑ"}, strength=0.7, source="Gut 2008; Huber 2008"),
        Rule(
            name="r dropped",
            changes={"ɹ": ""},
            where="not before a vowel",
            strength=0.75,
            source="Huber 2008: no /r/ unless before a vowel; Gut 2008",
        ),
        Rule(name="STRUT as THOUGHT", changes={"ʌ": "ɔ"}, where="stressed", strength=0.7, source="Gut 2008; Huber 2008"),
        Rule(name="KIT as FLEECE", changes={"ɪ": "i"}, where="stressed", strength=0.75, source="Gut 2008; Huber 2008"),
        Rule(name="FOOT as GOOSE", changes={"ʊ": "u"}, strength=0.8, source="Gut 2008; Huber 2008"),
        Rule(name="TRAP open", changes={"æ": "ɑ"}, where="stressed", strength=0.7, source="Gut 2008; Huber 2008"),
        Rule(name="plain FACE", changes={"A": "ɛ"}, strength=0.4, source="Gut 2008: FACE a monophthong; the voice's nearest is DRESS"),
        Rule(name="plain GOAT", changes={"O": "ɔ"}, strength=0.5, source="Gut 2008: GOAT a monophthong; the voice's nearest is THOUGHT"),
        Rule(name="final devoicing", changes=DEVOICING, where="final", strength=0.4, source="Gut 2008"),
        Rule(
            name="final stop dropped in clusters",
            changes={"t": "", "d": "", "k": ""},
            where="final, after a consonant",
            strength=0.5,
            source="Gut 2008; Huber 2008",
        ),
        Rule(name="no tap", changes={"T": "t"}, strength=1.0, source="Gut 2008: British models; /t/ not tapped"),
    ),
)

FRENCH = Accent(
    name="french",
    label="French-like English (simulated by rules)",
    l1="fr",
    rules=(
        Rule(
            name="r colored vowels plain",
            changes={"ɜɹ": "ɜ", "əɹ": "ɜ"},
            strength=0.6,
            source="Swan & Smith 2001: British models; NURSE as the vowel of French peur",
        ),
        Rule(name="th as s", changes={"θ": "s"}, strength=0.9, source="Swan & Smith 2001"),
        Rule(name="dh as z", changes={"ð": "z"}, strength=0.9, source="Swan & Smith 2001"),
        Rule(name="h dropped", changes={"h": ""}, where="initial", strength=0.95, source="Swan & Smith 2001"),
        Rule(name="ch as sh", changes={"ʧ": "ʃ", "ʤ": "ʒ"}, strength=0.8, source="Swan & Smith 2001"),
        Rule(name="tense KIT", changes={"ɪ": "i"}, where="stressed", strength=0.95, source="Swan & Smith 2001"),
        Rule(name="tense FOOT", changes={"ʊ": "u"}, strength=0.8, source="Swan & Smith 2001"),
        Rule(name="TRAP open", changes={"æ": "ɑ"}, where="stressed", strength=0.8, source="Swan & Smith 2001: /æ/ and /ʌ/ confused"),
        Rule(name="plain GOAT", changes={"O": "ɔ"}, strength=0.7, source="Swan & Smith 2001"),
        Rule(name="no tap", changes={"T": "t"}, strength=1.0, source="Swan & Smith 2001: British models; /t/ not tapped"),
        Rule(
            name="STRUT as NURSE",
            changes={"ʌ": "ɜ"},
            where="stressed",
            strength=0.7,
            source="Swan & Smith 2001: /ʌ/ as the vowel of French peur; the voice's nearest is NURSE",
        ),
        Rule(name="full vowels", changes={"ə": "ɜ", "ᵻ": "ɛ"}, where="unstressed", strength=0.45, source="Swan & Smith 2001: vowels little reduced"),
        Rule(name="plain FACE", changes={"A": "ɛ"}, strength=0.5, source="Swan & Smith 2001: diphthongs as single vowels"),
    ),
)

JAPANESE = Accent(
    name="japanese",
    label="Japanese-like English (simulated by rules)",
    l1="ja",
    rules=(
        Rule(name="th as s", changes={"θ": "s"}, strength=0.9, source="Swan & Smith 2001"),
        Rule(name="dh as z", changes={"ð": "z"}, strength=0.9, source="Swan & Smith 2001"),
        Rule(name="l as r", changes={"l": "ɹ"}, where="before a vowel", strength=0.7, source="Swan & Smith 2001"),
        Rule(name="r as l", changes={"ɹ": "l"}, where="before a vowel", strength=0.3, source="Swan & Smith 2001"),
        Rule(name="v as b", changes={"v": "b"}, strength=0.8, source="Swan & Smith 2001"),
        Rule(name="f as h", changes={"f": "h"}, where="before a vowel", strength=0.25, source="Swan & Smith 2001: /f/ bilabial, near [h]"),
        Rule(name="si as shi", changes={"sˈɪ": "ʃˈɪ", "sˈi": "ʃˈi", "sɪ": "ʃɪ"}, strength=0.7, source="Swan & Smith 2001"),
        Rule(
            name="vowel after a final consonant",
            changes={"t": "tO", "d": "dO", "k": "ku", "p": "pu", "s": "su", "ʃ": "ʃu"},
            where="final",
            strength=0.35,
            source="Dupoux et al. 1999; Swan & Smith 2001",
        ),
        Rule(name="NURSE open", changes={"ɜɹ": "ɑ", "əɹ": "ɑ"}, strength=0.7, source="Swan & Smith 2001"),
        Rule(name="one open vowel", changes={"æ": "ɑ", "ʌ": "ɑ"}, where="stressed", strength=0.8, source="Swan & Smith 2001"),
        Rule(name="tense FOOT", changes={"ʊ": "u"}, strength=0.6, source="Swan & Smith 2001"),
    ),
)

ACCENTS = (STANDARD, MANDARIN, HINDI, GERMAN, SPANISH, WEST_AFRICAN, FRENCH, JAPANESE)
