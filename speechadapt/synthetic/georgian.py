"""Georgian sentences: a small grammar of the present tense over georgian.txt, told apart by split through a hash of their words.

For a language whose letters an English base does not have (the Mkhedruli script, which knows no capitals). Few patterns, all of them plain:
subject in the nominative, object in the dative, verbs that agree in number; with verbs of feeling and having, who feels is in the dative.
"""

import dataclasses
import functools
import random
from collections.abc import Iterator
from pathlib import Path

from speechadapt.synthetic.sentences import distinct, read_sections
from speechadapt.text.sentence import sentence_form

WORDS = Path(__file__).with_name("georgian.txt")

SHORTEST, LONGEST = 3, 8
"""Words in a sentence."""

VOWELS = "აეიოუ"

FRAMES = {
    "person": (
        ("read", "text"),
        ("write", "written"),
        ("eat", "food"),
        ("drinks", "drink"),
        ("cook", "meal"),
        ("pick", "fruit"),
        ("grow", "plant"),
        ("handle", "thing"),
        ("handle", "thing"),
        ("carry", "small"),
        ("dress", "clothing"),
        ("build", "building"),
        ("draw", "picture"),
        ("open", "door"),
        ("listen", "sound"),
        ("watch", "sight"),
        ("study", "lesson"),
        ("drive", "vehicle"),
        ("send", "sent"),
        ("clean", "room"),
        ("meet", "person"),
        ("meet", "person"),
        ("meet", "kin"),
        ("tend", "animal"),
    ),
    "animal": (("chew", "feed"), ("lap", "water"), ("tend", "animal"), ("tend", "person")),
}
"""Which verbs take which objects, by who acts."""

ADJECTIVES = {
    "person": "person_adj",
    "animal": "animal_adj",
    "text": "text_adj",
    "written": "text_adj",
    "food": "food_adj",
    "meal": "food_adj",
    "thing": "thing_adj",
    "small": "thing_adj",
    "clothing": "thing_adj",
    "building": "place_adj",
    "vehicle": "thing_adj",
    "room": "place_adj",
    "in": "place_adj",
    "furniture": "thing_adj",
}
"""Which adjectives a class of nouns takes; all others take none."""

COUNTED = ("thing", "small", "text", "clothing", "vehicle", "animal")
"""Classes of nouns that a number may stand before."""

THESE = {"ეს": "ამ", "ის": "იმ"}
OWN = {"ჩემი": "ჩემს", "შენი": "შენს", "ჩვენი": "ჩვენს", "თქვენი": "თქვენს", "მისი": "მის", "მათი": "მათ"}
"""Determiners: the form before a nominative, and the one before every other case."""

FEELINGS = {
    "loves": ("უყვარს", "უყვართ"),
    "likes": ("მოსწონს", "მოსწონთ"),
    "has": ("აქვს", "აქვთ"),
    "keeps": ("ჰყავს", "ჰყავთ"),
    "needs": ("სჭირდება", "სჭირდებათ"),
    "sleeps": ("სძინავს", "სძინავთ"),
}
"""Verbs whose subject stands in the dative, for one and for many who feel."""

TEMPLATES = (
    "{a.who} {a.what} {a.does}.",
    "{a.who} {a.what} {a.does}.",
    "{a.who} {a.does} {a.what}.",
    "{time} {a.who} {a.what} {a.does}.",
    "{a.who} {time} {a.what} {a.does}.",
    "{a.who} {place} {a.what} {a.does}.",
    "{a.who} {a.what} არ {a.does}.",
    "{time} {a.who} {a.what} არ {a.does}.",
    "{pair} {a.what} {a.verb.many}.",
    "{act.who} {manner} {act.does}.",
    "{act.who} {place} {act.does}.",
    "{time} {act.who} {place} {act.does}.",
    "{pair} {place} {act.verb.many}.",
    "{move.who} {place} {move.does}.",
    "{time} {move.who} {city} {move.does}.",
    "{move.who} {place} არ {move.does}.",
    "{stay.who} {place} {stay.does}.",
    "{stay.who} {city} {stay.does}.",
    "{skill.who} ძალიან კარგად {skill.does}.",
    "{act.who} {act.does}, {too.who} კი {too.does}.",
    "{act.who} {act.does}, მაგრამ {too.who} არ {too.does}.",
    "{act.who} {act.does}, როცა {move.who} {move.does}.",
    "{act.who} {act.does}, რადგან {a.who} {a.what} {a.does}.",
    "რას აკეთებს {one_person}?",
    "რას აკეთებენ {many_person}?",
    "რას აკეთებს {place} {one_person}?",
    "სად {stay.does} {stay.who}?",
    "სად {move.does} {time} {move.who}?",
    "რატომ {act.does} {act.who}?",
    "რატომ არ {act.does} {act.who}?",
    "როდის {move.does} {move.who}?",
    "როგორ {skill.does} {skill.who}?",
    "ვინ {act.verb.one} {place}?",
    "ვინ {a.verb.one} {a.what}?",
    "სად არის {one_thing}?",
    "{one_thing} {furniture}ა.",
    "{furniture} {one_thing}ა.",
    "{furniture} {number} {bare_small}ა.",
    "{place} {number} {bare_animal}ა.",
    "{own_thing} ძალიან {thing_is}ა.",
    "{own_text} ძალიან {text_adj}ა.",
    "{own_person} ძალიან {person_adj}ა.",
    "{own_animal} ძალიან {animal_adj}ა.",
    "{own_person} არ არის {person_adj}.",
    "{own_thing} არ არის {thing_is}.",
    "ეს {own_thing}ა.",
    "ეს {own_person}ა.",
    "ეს {own_kin}ა.",
    "ეს არ არის {own_thing}.",
    "{e.who} {e.loves} {love}.",
    "{e.who} {love} {e.likes}.",
    "{e.who} არ {e.likes} {love}.",
    "{e.who} {e.has} {one_thing}.",
    "{e.who} {e.keeps} {one_animal}.",
    "{e.who} {e.needs} {one_small}.",
    "{e.who} {place} {e.sleeps}.",
    "ვის უყვარს {love}?",
    "ვის სჭირდება {one_small}?",
    "{time} {city} {weather}.",
    "{time} {city} არ {weather}.",
    "{own_young} {age} წლისაა.",
    "{one_thing} {price} ლარი ღირს.",
    "რა ღირს {one_thing}?",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    """A noun's nominatives; `plural` is empty where the list gives none."""

    singular: str
    plural: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """The third person of the present tense, for one and for many who act."""

    one: str
    many: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A noun with what stands before it; written out it is in the nominative.

    Attributes:
        determiner: before a nominative, or empty. oblique: the same before every other case.
        adjective: in the nominative, or empty.
        noun: in the nominative of its number.
        plural: whether it is many.
    """

    determiner: str
    oblique: str
    adjective: str
    noun: str
    plural: bool

    def __str__(self) -> str:
        return " ".join(filter(None, (self.determiner, self.adjective, self.noun)))

    def __format__(self, spec: str) -> str:
        return str(self)

    @property
    def dative(self) -> str:
        """`ამ დიდ სახლს`."""
        return self._with("ს")

    def at(self, suffix: str) -> str:
        """`ამ დიდ სახლში`; the suffix is ში (in) or ზე (on)."""
        return self._with(suffix)

    def _with(self, suffix: str) -> str:
        return " ".join(filter(None, (self.oblique, stem(self.adjective), stem(self.noun) + suffix)))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """Who does something, and to what, if the verb takes an object."""

    who: Phrase
    verb: Verb
    object: Phrase | None = None

    @property
    def what(self) -> str:
        """The object in the dative."""
        return self.object.dative if self.object else ""

    @property
    def does(self) -> str:
        """The verb in the subject's number."""
        return self.verb.many if self.who.plural else self.verb.one


class Experience(dict[str, str]):
    """Who feels or has something: `who` in the dative, and each of `FEELINGS` in that number."""

    def __init__(self, who: Phrase) -> None:
        super().__init__({name: forms[who.plural] for name, forms in FEELINGS.items()}, who=who.dative)

    def __getattr__(self, name: str) -> str:
        return self[name]


class Sentence(dict[str, object]):
    """The blanks of one template, filled when `str.format_map` asks for them and then kept."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng

    def __missing__(self, blank: str) -> object:
        self[blank] = self._fill(blank)
        return self[blank]

    def _fill(self, blank: str) -> object:
        rng = self.rng
        if blank == "a":
            return self._clause("person" if rng.random() < 0.85 else "animal")
        if blank in ("act", "too") and rng.random() < 0.25:
            return Clause(who=self._phrase("animal"), verb=rng.choice(verbs("animal_act")))
        if blank in ("act", "too", "stay", "move", "skill"):
            return Clause(who=self._who(), verb=rng.choice(verbs("act" if blank == "too" else blank)))
        if blank == "e":
            return Experience(self._who())
        if blank == "pair":
            first, second = rng.sample(nouns("person") + nouns("kin"), 2)
            return f"{first.singular} და {second.singular}"
        if blank == "love":
            return self._phrase(rng.choice(("food", "drink", "sound", "animal", "plant", "lesson")), plural=False)
        if blank == "place":
            suffix, kind = rng.choice((("ში", "in"), ("ში", "in"), ("ზე", "on")))
            return self._phrase(kind, plural=False).at(suffix)
        if blank == "city":
            return stem(rng.choice(words()["city"])) + "ში"
        if blank == "furniture":
            return self._phrase("furniture", plural=False).at("ზე")
        form, _, kind = blank.partition("_")
        if form == "bare" and kind:
            return rng.choice(nouns(kind)).singular
        if form == "own" and kind:
            return f"{rng.choice(list(OWN))} {rng.choice(nouns(kind)).singular}"
        if form in ("one", "many") and kind:
            return self._phrase(kind, plural=form == "many")
        return rng.choice(words()[blank])

    def _who(self) -> Phrase:
        return self._phrase("kin" if self.rng.random() < 0.25 else "person")

    def _clause(self, kind: str) -> Clause:
        verb, objects = self.rng.choice(FRAMES[kind])
        who = self._phrase(kind) if kind == "animal" else self._who()
        return Clause(who=who, verb=self.rng.choice(verbs(verb)), object=self._phrase(objects, countable=objects in COUNTED))

    def _phrase(self, kind: str, *, plural: bool | None = None, countable: bool = False) -> Phrase:
        """One noun of a class; `countable` lets a number stand before it (and then the noun is in the singular)."""
        rng = self.rng
        noun = rng.choice([one for one in nouns(kind) if one.plural] if plural else nouns(kind))
        many = plural if plural is not None else bool(noun.plural) and rng.random() < 0.25
        determiner, oblique = "", ""
        draw = rng.random()
        if countable and draw < 0.15:
            many, determiner = False, rng.choice(words()["number"])
            oblique = stem(determiner)
        elif draw < 0.45 and kind != "kin":
            determiner, oblique = rng.choice(list((OWN | THESE).items()))
        elif draw < 0.7 and kind in ("kin", "person"):
            determiner, oblique = rng.choice(list(OWN.items()))
        adjectives = words()[ADJECTIVES[kind]] if kind in ADJECTIVES and rng.random() < 0.35 else ("",)
        return Phrase(
            determiner=determiner, oblique=oblique, adjective=rng.choice(adjectives), noun=noun.plural if many else noun.singular, plural=bool(many)
        )


def georgian_sentences(split: str, *, seed: int) -> Iterator[str]:
    """An endless stream of distinct sentences of one split, 3 to 8 words each, the same for the same seed.

    Args:
        split: train, dev or test. Sentences of different splits never have the same words, whatever their seeds.
    """
    rng = random.Random(f"georgian|{split}|{seed}")

    def draw() -> str:
        while True:
            text = rng.choice(TEMPLATES).format_map(Sentence(rng))
            if SHORTEST <= len(text.split()) <= LONGEST:
                return text

    return distinct(split, draw, sentence_form)


def stem(nominative: str) -> str:
    """Without the -ი of the nominative, which only stems that end in a consonant have: კაც|ი, but ჩაი and კატა."""
    return nominative[:-1] if nominative.endswith("ი") and nominative[-2] not in VOWELS else nominative


@functools.cache
def words() -> dict[str, tuple[str, ...]]:
    """The sections of georgian.txt."""
    return read_sections(WORDS)


@functools.cache
def nouns(kind: str) -> tuple[Noun, ...]:
    """One section read as nouns."""
    parted = (entry.partition(":") for entry in words()[kind])
    return tuple(Noun(singular=singular, plural=plural) for singular, _, plural in parted)


@functools.cache
def verbs(kind: str) -> tuple[Verb, ...]:
    """One section read as verbs."""
    parted = (entry.partition(":") for entry in words()[kind])
    return tuple(Verb(one=one, many=many) for one, _, many in parted)
