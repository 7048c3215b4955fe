"""The world that the starter was taught: a scene from a spec, the same for the same seed.

`random_spec` draws a scene, `render` paints it in a few milliseconds. Captions are made elsewhere.
Nothing here is learned or generated; this is the truth that training and examining start from.
"""

import random
import zlib
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw

from starter.pen import OVERSAMPLE, Pen, darker, mix
from starter.places import DEFAULT_GROUND, GROUND, HOURS, PLACES, TINT, backdrop
from starter.styles import STYLES
from starter.things import AIRBORNE, COLOURS, THINGS

SIZE = 256
SIZES = {"small": 0.13, "medium": 0.19, "large": 0.27}
POSITIONS = {"left": 0.25, "centre": 0.5, "right": 0.75}
WEATHERS = ("clear", "rain", "snow", "fog")
RELATIONS = ("left of", "right of", "above", "behind")
HELD_OUT_SHARE = 16  # one combination of thing, colour and place in so many is never shown


@dataclass(frozen=True, slots=True)
class Item:
    thing: str
    colour: str
    size: str = "medium"
    position: str = "centre"
    count: int = 1


@dataclass(frozen=True, slots=True)
class Spec:
    """One scene. With two items, the relation says where the first is, seen from the second."""

    items: tuple[Item, ...]
    place: str = "plain"
    hour: str = "day"
    weather: str = "clear"
    style: str = "flat"
    relation: str | None = None
    seed: int = 0


def held_out(spec: Spec) -> bool:
    """Whether the trainer must never see this scene's combination."""
    key = f"{spec.items[0].thing}|{spec.items[0].colour}|{spec.place}"
    return zlib.crc32(key.encode()) % HELD_OUT_SHARE == 0


def random_spec(dice: random.Random) -> Spec:
    place = dice.choice(list(PLACES))
    two = dice.random() < 0.15
    items = [_random_item(dice, single=not two)]
    if two:
        other = _random_item(dice, single=False)
        while other.thing == items[0].thing or other.colour == items[0].colour:
            other = _random_item(dice, single=False)
        items.append(other)
    indoors = place in ("plain", "space")
    return Spec(
        items=tuple(items),
        place=place,
        hour="day" if place == "space" else dice.choices(HOURS, (0.5, 0.25, 0.25))[0],
        weather="clear" if indoors else dice.choices(WEATHERS, (0.76, 0.08, 0.08, 0.08))[0],
        style=dice.choices(list(STYLES), (0.4, 0.12, 0.12, 0.12, 0.12, 0.12))[0],
        relation=dice.choice(RELATIONS) if two else None,
        seed=dice.randrange(2**31),
    )


def _random_item(dice: random.Random, single: bool) -> Item:
    if not single:
        return Item(dice.choice(list(THINGS)), dice.choice(list(COLOURS)))
    count = dice.choices((1, 2, 3), (0.84, 0.08, 0.08))[0]
    size = dice.choices(list(SIZES), (0.25, 0.5, 0.25))[0] if count == 1 else "small"
    position = dice.choices(list(POSITIONS), (0.25, 0.5, 0.25))[0] if count == 1 else "centre"
    return Item(dice.choice(list(THINGS)), dice.choice(list(COLOURS)), size, position, count)


def render(spec: Spec, size: int = SIZE) -> Image.Image:
    return render_with_mask(spec, size)[0]


def render_with_mask(spec: Spec, size: int = SIZE) -> tuple[Image.Image, Image.Image]:
    """The picture, and where its things are: the trainer puts its weight there."""
    dice = random.Random(spec.seed)
    canvas = backdrop(spec.place, spec.hour, size * OVERSAMPLE, dice)
    mask = Image.new("L", canvas.size)
    for item, x, y, half in placed(spec, dice):
        _stamp(canvas, mask, item, (x, y), half, spec.hour)
    picture, mask = canvas.reduce(OVERSAMPLE), mask.reduce(OVERSAMPLE)
    picture = _weathered(picture, spec.weather, dice)
    return STYLES[spec.style](picture, mask, dice), mask


def placed(spec: Spec, dice: random.Random) -> list[tuple[Item, float, float, float]]:
    """Each single thing with the middle of its box and half its side, from back to front."""
    if spec.relation:
        return _related(spec, dice)
    item = spec.items[0]
    half = SIZES[item.size] * dice.uniform(0.94, 1.06)
    x = POSITIONS[item.position] + dice.uniform(-0.035, 0.035)
    y = _level(item.thing, spec.place, half, dice)
    gap = half * 2.15
    first = x - gap * (item.count - 1) / 2
    return [(item, first + gap * index, y, half) for index in range(item.count)]


def _related(spec: Spec, dice: random.Random) -> list[tuple[Item, float, float, float]]:
    one, other = spec.items
    half = 0.17 * dice.uniform(0.95, 1.05)
    y = [_level(item.thing, spec.place, half, dice) for item in (one, other)]
    if spec.relation in ("left of", "right of"):
        side = -0.23 if spec.relation == "left of" else 0.23
        return [(other, 0.5 - side, y[1], half), (one, 0.5 + side, y[0], half)]
    ground = GROUND.get(spec.place, DEFAULT_GROUND) - half
    if spec.relation == "above":
        return [(other, 0.5, ground, half), (one, 0.5, 0.27, half)]
    return [(one, 0.44, ground - 0.14, half * 1.15), (other, 0.58, ground + 0.02, half)]


def _level(thing: str, place: str, half: float, dice: random.Random) -> float:
    if thing in AIRBORNE and place != "plain":
        return 0.36 + dice.uniform(-0.04, 0.04)
    return GROUND.get(place, DEFAULT_GROUND) - half + dice.uniform(-0.015, 0.015)


def _stamp(
    canvas: Image.Image, mask: Image.Image, item: Item, middle: tuple[float, float], half: float,
    hour: str,
) -> None:  # fmt: skip
    """Draws the thing with its shadow. The light of the hour falls on it, but its colour stays."""
    size = canvas.width
    x, y, scale = middle[0] * size, middle[1] * size, half * size
    draw = ImageDraw.Draw(canvas)
    if item.thing not in AIRBORNE:
        under = canvas.getpixel((min(size - 1, max(0, round(x))), min(size - 1, round(y + scale))))
        shadow = darker(under, 0.3)  # type: ignore[arg-type]
        draw.ellipse(
            [x - scale * 0.95, y + scale * 0.9, x + scale * 0.95, y + scale * 1.1], fill=shadow
        )
    tint, share = TINT[hour]
    before = canvas.copy()
    THINGS[item.thing](Pen(draw, x, y, scale), mix(COLOURS[item.colour], tint, share * 0.28))
    drawn = (
        ImageChops.difference(before, canvas).convert("L").point(lambda level: 255 * (level > 0))
    )
    mask.paste(255, mask=drawn)


def _weathered(picture: Image.Image, weather: str, dice: random.Random) -> Image.Image:
    size = picture.width
    if weather == "fog":
        return Image.blend(picture, Image.new("RGB", picture.size, (222, 226, 230)), 0.34)
    if weather == "clear":
        return picture
    veil = Image.blend(picture, Image.new("RGB", picture.size, (120, 130, 150)), 0.16)
    draw = ImageDraw.Draw(veil)
    for _ in range(90):
        x, y = dice.random() * size, dice.random() * size
        if weather == "rain":
            draw.line([x, y, x - size * 0.012, y + size * 0.045], fill=(206, 220, 236), width=1)
        else:
            r = dice.choice((1.0, 1.5, 2.2)) * size / 256
            draw.ellipse([x - r, y - r, x + r, y + r], fill=(252, 252, 255))
    return veil
