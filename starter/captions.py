"""Words for a scene: full sentences, other orders, synonyms, and the short forms people type.

What a caption leaves out stands at its default (a flat drawing, by day, clear, in the middle), so
that a short prompt means one thing. Only colour and place, left out, may be any.
"""

import random
import re

from starter.things import COLOURS as SHADES
from starter.things import THINGS as KINDS
from starter.world import RELATIONS, Item, Spec

THINGS = {
    "car": ("car", "automobile"), "boat": ("boat", "sailboat"), "plane": ("plane", "airplane"),
    "house": ("house", "cottage"), "cat": ("cat", "kitten"), "dog": ("dog", "puppy"),
    "balloon": ("balloon", "hot air balloon"), "rocket": ("rocket", "spaceship"),
    "flower": ("flower", "blossom"), "cup": ("cup", "mug", "cup of coffee"),
    "circle": ("circle", "disc", "ball"), "robot": ("robot",), "person": ("person", "man"),
    "bicycle": ("bicycle", "bike"), "mushroom": ("mushroom", "toadstool"),
}  # fmt: skip
COLOURS = {"purple": ("purple", "violet"), "grey": ("grey", "gray"), "teal": ("teal", "turquoise")}
PLACES = {
    "mountains": ("in the mountains", "in front of mountains", "mountains"),
    "ocean": ("on the ocean", "at sea", "ocean"),
    "forest": ("in a forest", "in the woods", "forest"),
    "desert": ("in the desert", "among sand dunes", "desert"),
    "space": ("in space", "on the moon", "space"),
    "city": ("in a city", "in front of a skyline", "city"),
    "snow": ("in the snow", "in a winter landscape", "snow"),
    "meadow": ("in a meadow", "on a green field", "meadow"),
    "beach": ("on a beach", "by the sea", "beach"),
    "island": ("on an island", "on a small island", "island"),
    "street": ("on a street", "in a small town", "street"),
    "plain": ("on plain paper", "on a plain background", "plain background"),
}
HOURS = {
    "sunset": ("at sunset", "in the evening", "sunset"),
    "night": ("at night", "by moonlight", "night"),
}
WEATHERS = {
    "rain": ("in the rain", "rainy", "rain"),
    "snow": ("while it snows", "snowing", "snowfall"),
    "fog": ("in the fog", "misty", "fog"),
}
STYLES = {
    "flat": ("flat illustration", "vector art", "simple illustration"),
    "watercolour": ("watercolour", "watercolor painting", "aquarelle"),
    "pencil": ("pencil drawing", "sketch", "crayon drawing"),
    "pixel": ("pixel art", "8-bit", "retro game sprite"),
    "neon": ("neon", "neon lights", "glowing neon sign"),
    "papercut": ("paper cut", "papercut", "cut paper"),
}
SIZES = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
POSITIONS = {"left": ("on the left", "at the left side", "left"),
             "right": ("on the right", "at the right side", "right")}  # fmt: skip
COUNTS = {2: ("two", "a pair of", "2"), 3: ("three", "3")}


def caption(spec: Spec, dice: random.Random, whole: bool = False) -> str:
    """One way of saying the scene; a whole one leaves neither colour nor place out."""
    subject = _subject(spec, dice, whole)
    place = dice.choice(PLACES[spec.place])
    hour = dice.choice(HOURS[spec.hour]) if spec.hour in HOURS else _seldom("by day", dice)
    weather = dice.choice(WEATHERS[spec.weather]) if spec.weather in WEATHERS else ""
    style = dice.choice(STYLES[spec.style]) if spec.style != "flat" else _seldom(
        dice.choice(STYLES["flat"]), dice
    )  # fmt: skip
    if not whole and dice.random() < 0.08:
        place = ""
    rest = [part for part in (place, hour, weather) if part]
    if dice.random() < 0.4:
        return _listed(subject, [*rest, style], dice)
    return _sentence(subject, rest, style, dice)


def fragment(spec: Spec, dice: random.Random) -> str:
    """One or two traits of the scene alone, as negative prompts name them. The rest may be any."""
    item = spec.items[0]
    traits = [
        dice.choice(THINGS.get(item.thing, (item.thing,))),
        dice.choice(COLOURS.get(item.colour, (item.colour,))),
        dice.choice(PLACES[spec.place]),
        dice.choice(STYLES[spec.style]),
        *([dice.choice(HOURS[spec.hour])] if spec.hour in HOURS else []),
        *([dice.choice(WEATHERS[spec.weather])] if spec.weather in WEATHERS else []),
        *([dice.choice(POSITIONS[item.position])] if item.position in POSITIONS else []),
    ]
    return ", ".join(dice.sample(traits, dice.choice((1, 1, 2))))


def _sentence(subject: str, rest: list[str], style: str, dice: random.Random) -> str:
    said = " ".join([subject, *rest])
    if not style:
        return said
    form = dice.choice(("{style} of {said}", "{said}, {style}", "{said}, {style} style"))
    return form.format(style=style, said=said)


def _listed(subject: str, rest: list[str], dice: random.Random) -> str:
    rest = [part for part in rest if part]
    dice.shuffle(rest)
    return ", ".join([subject, *rest])


def _seldom(words: str, dice: random.Random) -> str:
    return words if dice.random() < 0.15 else ""


def _subject(spec: Spec, dice: random.Random, whole: bool) -> str:
    if spec.relation:
        one, other = (_named(item, dice, whole) for item in spec.items)
        return f"{one} {spec.relation} {other}" if spec.relation != "left of" else dice.choice(
            (f"{one} left of {other}", f"{one} to the left of {other}")
        )  # fmt: skip
    item = spec.items[0]
    named = _named(item, dice, whole)
    if item.position in POSITIONS:
        named += " " + dice.choice(POSITIONS[item.position])
    return named


def _named(item: Item, dice: random.Random, whole: bool) -> str:
    thing = dice.choice(THINGS.get(item.thing, (item.thing,)))
    colour = dice.choice(COLOURS.get(item.colour, (item.colour,)))
    if not whole and dice.random() < 0.04:
        colour = ""
    size = dice.choice(SIZES[item.size]) if item.count == 1 and item.size in SIZES else ""
    words = " ".join(word for word in (size, colour, thing) if word)
    if item.count > 1:
        return f"{dice.choice(COUNTS[item.count])} {_plural(words)}"
    if dice.random() < 0.25:
        return words
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _plural(words: str) -> str:
    if words.endswith("cup of coffee"):
        return words.replace("cup of", "cups of")
    if words.endswith("man"):
        return words[:-2] + "en"
    if words.endswith(("person", "fish")):
        return words.replace("person", "people")
    if words.endswith("y"):
        return f"{words[:-1]}ies"
    return words + ("es" if words.endswith(("s", "x")) else "s")


def known_words() -> list[str]:
    """Every word that a caption can hold: what the card says the starter knows."""
    tables = (THINGS, COLOURS, PLACES, HOURS, WEATHERS, STYLES, SIZES, POSITIONS, COUNTS)
    said = [form for table in tables for forms in table.values() for form in forms]
    things = [form for thing in KINDS for form in THINGS.get(thing, (thing,))]
    said += [*things, *map(_plural, things), *SHADES, *RELATIONS, "left of", "to the left of"]
    said += ["a an of style by day"]
    return sorted({word for text in said for word in re.findall("[a-z0-9]+", text)})
