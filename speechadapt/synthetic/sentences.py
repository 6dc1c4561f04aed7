"""Sentences: everyday English from a small grammar over words.txt, told apart by split through a hash of their words.

A sentence belongs to one split for ever, whatever the seed or accent, so a guard set made today shares none with a training set made tomorrow.
"""

import dataclasses
import functools
import hashlib
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

WORDS = Path(__file__).with_name("words.txt")

VERB_FRAMES = (
    ("animal_verb", "animal"),
    ("meal_verb", "meal"),
    ("meal_verb", "food"),
    ("produce_verb", "produce"),
    ("clothing_verb", "clothing"),
    ("furniture_verb", "furniture"),
    ("thing_verb", "thing"),
    ("thing_verb", "thing"),
    ("device_verb", "device"),
    ("vehicle_verb", "vehicle"),
    ("place_verb", "place"),
    ("document_verb", "document"),
    ("plant_verb", "plant"),
    ("idea_verb", "idea"),
    ("idea_verb", "idea"),
    ("person_verb", "person"),
    ("action", ""),
    ("action", ""),
    ("action", ""),
)
"""Which verbs take which nouns: drinking furniture is grammatical, but a recognizer's language model would fight it."""

ADJECTIVES = {
    "person": "person_adj",
    "animal": "animal_adj",
    "meal": "food_adj",
    "food": "food_adj",
    "drink": "food_adj",
    "produce": "food_adj",
    "place": "place_adj",
    "nature": "place_adj",
    "room": "place_adj",
    "idea": "idea_adj",
}
"""Which adjectives a class of nouns takes; all others take `thing_adj`."""

MASS = ("food", "drink")

TEMPLATES = (
    "{a.past} {past}.",
    "{past}, {a.past}.",
    "{a.past} {where}.",
    "{a.past} {manner}.",
    "{a.past} and {b.past}.",
    "{a.past}, but {b.past_negative}.",
    "{a.past} because {b.past}.",
    "{a.past} while {b.was_doing}.",
    "{a.was_doing} when {b.past}.",
    "{a.will} {future}.",
    "{a.will} after {b.present}.",
    "If {a.present}, {b.will}.",
    "When {a.past}, {b.was_doing}.",
    "{a.present} {habit}.",
    "{a.has_done} many times.",
    "{a.has_never_done} before.",
    "{a.subject} {a.wants} to {a.base}.",
    "{a.subject} used to {a.base} {habit}.",
    "{a.subject} should {a.base} before {b.present}.",
    "{a.subject} could not {a.base} without {the_thing}.",
    "{a.subject} must not {a.base} {where}.",
    "{a.subject} tried to {a.base}, but it was too {idea_adj}.",
    "{a.subject} {a.was} {feeling} that {b.past}.",
    "{a.subject} {a.was} talking about {topic} with {the_person}.",
    "{a.subject} promised to {a.base} {future}.",
    "{a.subject} decided to {a.base} instead of {b.doing}.",
    "{a.subject} enjoyed {a.doing} {past}.",
    "Did {a.subject} {a.base} {past}?",
    "Why did {a.subject} {a.base}?",
    "Where did {a.subject} {a.base}?",
    "When will {a.subject} {a.base}?",
    "How often did {a.subject} {a.base} {past}?",
    "Can you help me {yours.base}?",
    "Could you please {yours.base} {future}?",
    "Please {yours.base} before you {yours_too.base}.",
    "Do not {yours.base} {where}.",
    "Let us {ours.base} {future}.",
    "Would you like to {yours.base} or {yours_too.base}?",
    "It is {idea_adj} to {yours.base} {manner}.",
    "It was {idea_adj} for {the_person} to {theirs.base}.",
    "After {a.doing}, {a.subject} {b.verb_past}.",
    "Before {a.doing}, {a.subject} {b.verb_past}.",
    "Everybody {said} that {a.past}.",
    "My {family} {said} that {a.past}.",
    "The {person} {said} that {a.will}.",
    "I think that {a.subject} will {a.base} {future}.",
    "Nobody knows why {a.past}.",
    "The {weather} weather {where} surprised {the_person}.",
    "It was {weather} and {weather} {past}.",
    "The weather will be {weather} {future}.",
    "{The_thing} {where} is {thing_adj} and {thing_adj}.",
    "{The_thing} looks more {good} than {the_thing}.",
    "There was {a_thing} {where}.",
    "There is {a_place} near {the_nature}.",
    "There were many {many_animal} {where}.",
    "{The_animal} and {the_animal} were {where}.",
    "{The_place} is between {the_place} and {the_place}.",
    "We walked from {the_place} to {the_nature} {past}.",
    "We need {measure} {food}, two {many_produce} and three {many_produce}.",
    "I would like {measure} {drink} and {a_meal}, please.",
    "The {person} put {measure} {food} on {the_meal}.",
    "They sell {many_clothing}, {many_furniture} and {many_device} at {the_place}.",
    "{The_clothing} was made of {material} and {material}.",
    "{The_furniture} in the {room} is made of {material}.",
    "{The_person} hurt {his} {body} while {theirs.doing}.",
    "My {family} has a pain in the {body} and needs {a_person}.",
    "My {family} plays {sport} with {the_person} {habit}.",
    "{The_person} studied {topic} and {topic} at the university.",
    "{The_person} prefers {sport}, but {the_person} prefers {sport}.",
    "{The_document} is about {the_animal} that lived in {the_nature}.",
    "{The_document} about {topic} was {idea_adj} and {idea_adj}.",
    "This is {the_good} {document} about {topic}.",
    "{The_vehicle} stopped in front of {the_place}.",
    "{The_vehicle} was full of {many_animal} and {many_produce}.",
    "How much does {the_device} in {the_room} cost?",
    "Who left {the_thing} in {the_room}?",
    "What is the difference between {a_thing} and {a_device}?",
    "Which {place} is closer to {the_nature}?",
    "Whose {clothing} is lying under {the_furniture}?",
    "{The_person} who lives near {the_place} {theirs.verb_past}.",
    "{The_person} that we met {past} has {a_animal}.",
    "{The_idea} was {idea_adj}, so {a.past}.",
    "Thank you for {yours.doing} {past}.",
    "{many_person} often {yours.base} {where}.",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    """A noun in both numbers; a mass noun has the same form twice."""

    singular: str
    plural: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A verb's forms, each with its particle (`looked after`) or the rest of its phrase (`brushed my teeth`)."""

    base: str
    third: str
    past: str
    participle: str
    doing: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who acts, and what agrees with it."""

    text: str
    possessive: str
    was: str
    has: str
    third: bool


PRONOUNS = tuple(
    Subject(text=text, possessive=possessive, was=was, has=has, third=third)
    for text, possessive, was, has, third in (
        ("I", "my", "was", "have", False),
        ("you", "your", "were", "have", False),
        ("we", "our", "were", "have", False),
        ("they", "their", "were", "have", False),
        ("he", "his", "was", "has", True),
        ("she", "her", "was", "has", True),
    )
)
YOU, WE, HE = PRONOUNS[1], PRONOUNS[2], PRONOUNS[4]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A subject and what it does, in the tenses the templates ask for."""

    who: Subject
    verb: Verb
    rest: str

    def _say(self, form: str) -> str:
        return re.sub(r"\bmy\b", self.who.possessive, form) + self.rest

    @property
    def subject(self) -> str:
        """`the teacher`."""
        return self.who.text

    @property
    def was(self) -> str:
        """`was` or `were`."""
        return self.who.was

    @property
    def wants(self) -> str:
        """`wants` or `want`."""
        return "wants" if self.who.third else "want"

    @property
    def base(self) -> str:
        """`wash the cup`."""
        return self._say(self.verb.base)

    @property
    def doing(self) -> str:
        """`washing the cup`."""
        return self._say(self.verb.doing)

    @property
    def verb_past(self) -> str:
        """`washed the cup`."""
        return self._say(self.verb.past)

    @property
    def past(self) -> str:
        """`the teacher washed the cup`."""
        return f"{self.subject} {self.verb_past}"

    @property
    def past_negative(self) -> str:
        """`the teacher did not wash the cup`."""
        return f"{self.subject} did not {self.base}"

    @property
    def present(self) -> str:
        """`the teacher washes the cup`."""
        return f"{self.subject} {self._say(self.verb.third if self.who.third else self.verb.base)}"

    @property
    def will(self) -> str:
        """`the teacher will wash the cup`."""
        return f"{self.subject} will {self.base}"

    @property
    def was_doing(self) -> str:
        """`the teacher was washing the cup`."""
        return f"{self.subject} {self.was} {self.doing}"

    @property
    def has_done(self) -> str:
        """`the teacher has washed the cup`."""
        return f"{self.subject} {self.who.has} {self._say(self.verb.participle)}"

    @property
    def has_never_done(self) -> str:
        """`the teacher has never washed the cup`."""
        return f"{self.subject} {self.who.has} never {self._say(self.verb.participle)}"


class Sentence(dict[str, object]):
    """The blanks of one template, filled when `str.format_map` asks for them: `a` and `b` are clauses, `the_CLASS` and `a_CLASS` noun phrases."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng

    def __missing__(self, blank: str) -> object:
        fixed = {"a": None, "b": None, "yours": YOU, "yours_too": YOU, "ours": WE, "theirs": HE}
        if blank in fixed:
            self[blank] = self._clause(fixed[blank])  # kept, so that a template can use several forms of one clause
            return self[blank]
        article, _, kind = blank.partition("_")
        if article in ("the", "The") and kind:
            phrase = self._definite(kind)
            return phrase[0].upper() + phrase[1:] if article == "The" else phrase
        if article == "a" and kind:
            return with_article(self._described(kind, self._noun(kind).singular))
        if article == "many" and kind:
            return self._described(kind, self._noun(kind).plural)
        if blank == "said":
            return self.rng.choice(verbs()["say"]).past
        if blank == "his":
            return self.rng.choice(("his", "her"))
        return self.rng.choice(words()[blank]).partition(":")[0]

    def _clause(self, who: Subject | None) -> Clause:
        rng = self.rng
        who = who or self._who()
        kind, nouns = rng.choice(VERB_FRAMES)
        verb = rng.choice(verbs()[kind])
        return Clause(who=who, verb=verb, rest=f" {self._object(nouns, who)}" if nouns else "")

    def _who(self) -> Subject:
        rng = self.rng
        draw = rng.random()
        if draw < 0.4:
            return rng.choice(PRONOUNS)
        possessive = rng.choice(("his", "her"))
        if draw < 0.6:
            relative = rng.choice(words()["family"]).partition(":")[0]
            if relative == "parents":
                return Subject(text="my parents", possessive="their", was="were", has="have", third=False)
            return Subject(text=f"my {relative}", possessive=possessive, was="was", has="has", third=True)
        noun = self._noun("person")
        if draw < 0.75:
            return Subject(text=f"the {self._described('person', noun.plural)}", possessive="their", was="were", has="have", third=False)
        return Subject(text=f"the {self._described('person', noun.singular)}", possessive=possessive, was="was", has="has", third=True)

    def _object(self, kind: str, who: Subject) -> str:
        rng = self.rng
        draw = rng.random()
        noun = self._noun(kind)
        if kind in MASS:
            return f"{rng.choice(('the', 'some', who.possessive))} {self._described(kind, noun.singular)}"
        if draw < 0.2:
            return f"{rng.choice(('the', 'some', 'those', 'these', 'all the', 'several', 'two', 'three'))} {self._described(kind, noun.plural)}"
        if noun.singular == noun.plural or draw < 0.65:
            return f"{rng.choice(('the', 'the', 'the', 'this', 'that', who.possessive))} {self._described(kind, noun.singular)}"
        return with_article(self._described(kind, noun.singular))

    def _definite(self, kind: str) -> str:
        if kind == "good":
            return with_article(self.rng.choice(words()["good"]))
        owned = () if kind in ("place", "nature", "person") else ("my", "our")
        determiner = self.rng.choice(("the", "the", "the", "this", "that", *owned))
        return f"{determiner} {self._described(kind, self._noun(kind).singular)}"

    def _described(self, kind: str, noun: str) -> str:
        if self.rng.random() < 0.5:
            return noun
        return f"{self.rng.choice(words()[ADJECTIVES.get(kind, 'thing_adj')])} {noun}"

    def _noun(self, kind: str) -> Noun:
        return self.rng.choice(nouns(kind))


def sentences(split: str, *, seed: int) -> Iterator[str]:
    """An endless stream of distinct sentences of one split, the same for the same seed.

    Args:
        split: train, dev or test. Sentences of different splits never have the same words, whatever their seeds.
    """
    rng = random.Random(f"sentences|{split}|{seed}")

    def draw() -> str:
        text = rng.choice(TEMPLATES).format_map(Sentence(rng))
        return text[0].upper() + text[1:]

    return distinct(split, draw, words_of)


def distinct(split: str, draw: Callable[[], str], key: Callable[[str], str]) -> Iterator[str]:
    """Keep what `draw` gives where its `key`, the words alone, is new and belongs to the split; endless as long as `draw` has new sentences."""
    seen: set[str] = set()
    while True:
        text = draw()
        words = key(text)
        if words not in seen and split_of_key(words) == split:
            seen.add(words)
            yield text


def split_of(text: str) -> str:
    """The split an English sentence belongs to by its words."""
    return split_of_key(words_of(text))


def split_of_key(key: str) -> str:
    """80 % train, 8 % dev, 12 % test, decided by a hash of what two sentences share when they are the same to a listener."""
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 100
    return "dev" if share < 8 else "test" if share < 20 else "train"


def words_of(text: str) -> str:
    """The letters and blanks of a sentence in lower case: what two sentences share when they are the same to a listener."""
    return " ".join(re.sub(r"[^a-z ]", "", text.lower()).split())


def with_article(phrase: str) -> str:
    """`a` or `an` in front of a phrase."""
    if re.match(r"(hour|honest)", phrase) or (phrase[0] in "aeiou" and not re.match(r"(uni[^mn]|use)", phrase)):
        return f"an {phrase}"
    return f"a {phrase}"


@functools.cache
def words() -> dict[str, tuple[str, ...]]:
    """The sections of words.txt."""
    return read_sections(WORDS)


def read_sections(path: Path) -> dict[str, tuple[str, ...]]:
    """The sections of a list of words, each a tuple of entries as written there."""
    sections: dict[str, list[str]] = {}
    entries: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line.strip()):
            entries = sections.setdefault(header[1], [])
        elif not line.startswith("#"):
            entries += [entry.strip() for entry in line.split(",") if entry.strip()]
    return {name: tuple(dict.fromkeys(entries)) for name, entries in sections.items()}


@functools.cache
def nouns(kind: str) -> tuple[Noun, ...]:
    """One section read as nouns."""
    parted = (entry.partition(":") for entry in words()[kind])
    return tuple(Noun(singular=singular, plural=plural or (singular if kind in MASS else add_s(singular))) for singular, _, plural in parted)


@functools.cache
def verbs() -> dict[str, tuple[Verb, ...]]:
    """All sections of verbs."""
    return {name: tuple(map(_verb, words()[name])) for name in words() if name.endswith("_verb") or name in ("action", "say")}


def _verb(entry: str) -> Verb:
    base, past, participle = [*(form.replace("+", " ") for form in entry.split(":")), "", ""][:3]
    base, blank, particle = base.partition(" ")
    rest = blank + particle  # the same in every form
    past = past.partition(" ")[0] or add_ed(base)
    participle = participle.partition(" ")[0] or past
    return Verb(base=base + rest, third=add_s(base) + rest, past=past + rest, participle=participle + rest, doing=add_ing(base) + rest)


def add_s(word: str) -> str:
    """Plural of a noun, third person of a verb."""
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|x|z|ch|sh|[^aeiou]o)$", word) and not re.search(r"(piano|photo|radio)$", word) else "s")


def add_ed(word: str) -> str:
    """Regular past of a verb."""
    if word.endswith("e"):
        return word + "d"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ied"
    return _doubled(word) + "ed"


def add_ing(word: str) -> str:
    """Present participle of a verb."""
    if word.endswith("e") and not word.endswith("ee"):
        return word[:-1] + "ing"
    return _doubled(word) + "ing"


def _doubled(word: str) -> str:
    short = re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", word)
    return word + word[-1] if short or word in ("forget", "regret", "prefer", "admit", "unplug", "quit") else word
