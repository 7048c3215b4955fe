"""The places of the world: a backdrop in the light of its hour, drawn over the whole canvas.

Coordinates are 0 to 1 across and down. Each place says by `GROUND` where things stand in it.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw

from starter.pen import Colour, Point, darker, lighter, mix

HOURS = ("day", "sunset", "night")
SKY: dict[str, tuple[Colour, Colour]] = {
    "day": ((126, 190, 232), (222, 240, 246)),
    "sunset": ((92, 74, 136), (252, 170, 108)),
    "night": ((18, 22, 52), (54, 62, 110)),
}
TINT: dict[str, tuple[Colour, float]] = {
    "day": ((255, 255, 255), 0.0),
    "sunset": ((214, 110, 84), 0.3),
    "night": ((22, 28, 66), 0.58),
}


@dataclass(frozen=True, slots=True)
class Scene:
    draw: ImageDraw.ImageDraw
    size: int
    hour: str
    dice: random.Random

    def lit(self, colour: Colour, haze: float = 0.0) -> Colour:
        """The colour in this light; haze fades what is far into the sky."""
        tint, share = TINT[self.hour]
        return mix(mix(colour, tint, share), SKY[self.hour][1], haze)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        s = self.size
        self.draw.rectangle([x0 * s, y0 * s, x1 * s, y1 * s], fill=fill)

    def shape(self, points: list[Point], fill: Colour) -> None:
        self.draw.polygon([(x * self.size, y * self.size) for x, y in points], fill=fill)

    def disc(self, x: float, y: float, r: float, fill: Colour, squash: float = 1.0) -> None:
        s = self.size
        self.draw.ellipse(
            [(x - r) * s, (y - r * squash) * s, (x + r) * s, (y + r * squash) * s], fill=fill
        )

    def hills(self, level: float, height: float, fill: Colour, waves: float = 1.5) -> None:
        phase = self.dice.random() * math.tau
        ridge = [
            (x / 40, level - height * math.sin(phase + x / 40 * math.tau * waves) * 0.5)
            for x in range(41)
        ]
        self.shape([(0, 1), *ridge, (1, 1)], fill)

    def peaks(self, level: float, height: float, fill: Colour, cap: Colour | None) -> None:
        x = -0.1
        while x < 1.05:
            wide, top = self.dice.uniform(0.22, 0.4), self.dice.uniform(0.65, 1.0) * height
            mid = x + wide * self.dice.uniform(0.42, 0.58)
            self.shape([(x, level), (mid, level - top), (x + wide, level)], fill)
            self.shape(
                [(mid, level - top), (x + wide, level), (mid + 0.01, level)], darker(fill, 0.12)
            )
            if cap:
                left, right = mid - (mid - x) * 0.28, mid + (x + wide - mid) * 0.28
                tip = level - top * 0.72
                zigzag = [(left, tip), (mid - 0.02, tip - 0.02), (mid, tip + 0.02),
                          (mid + 0.025, tip - 0.01), (right, tip)]  # fmt: skip
                self.shape([(mid, level - top), *zigzag], cap)
            x += wide * self.dice.uniform(0.5, 0.8)


def sky(scene: Scene, sun: bool = True, low: float = 0.75) -> None:
    top, foot = SKY[scene.hour]
    bands = 48
    for band in range(bands):
        y = band / bands
        scene.box(0, y, 1, y + 1 / bands + 0.01, mix(top, foot, min(1.0, y / low)))
    if scene.hour == "night":
        _stars(scene, 40)
    if not sun:
        return
    x = scene.dice.choice([0.16, 0.28, 0.72, 0.84])
    if scene.hour == "day":
        scene.disc(x, 0.16, 0.075, (255, 240, 184))
    elif scene.hour == "sunset":
        scene.disc(x, 0.42, 0.13, (254, 206, 130))
        scene.disc(x, 0.42, 0.1, (255, 232, 172))
    else:
        scene.disc(x, 0.17, 0.07, (238, 236, 214))
        scene.disc(x + 0.028, 0.155, 0.058, mix(top, foot, 0.2))


def _stars(scene: Scene, count: int) -> None:
    for _ in range(count):
        r = scene.dice.choice([0.0022, 0.003, 0.005])
        scene.disc(scene.dice.random(), scene.dice.random() * 0.7, r, (246, 240, 214))


def _clouds(scene: Scene, count: int) -> None:
    white = scene.lit((255, 255, 255), 0.1)
    for _ in range(count):
        x, y = scene.dice.random(), scene.dice.uniform(0.08, 0.32)
        for dx, r in ((-0.06, 0.03), (0, 0.045), (0.055, 0.034)):
            scene.disc(x + dx, y, r, white, 0.8)
        scene.box(x - 0.085, y + 0.008, x + 0.085, y + 0.028, white)


def mountains(scene: Scene) -> None:
    sky(scene)
    scene.peaks(0.66, 0.4, scene.lit((122, 136, 168), 0.35), scene.lit(WHITE, 0.1))
    scene.peaks(0.72, 0.24, scene.lit((84, 104, 130), 0.1), None)
    scene.hills(0.74, 0.05, scene.lit((92, 140, 92)))
    scene.hills(0.87, 0.04, scene.lit((74, 122, 80)), 1.0)


WHITE: Colour = (250, 250, 250)


def ocean(scene: Scene) -> None:
    sky(scene, low=0.55)
    _clouds(scene, 2 if scene.hour == "day" else 0)
    deep, shallow = scene.lit((38, 104, 158)), scene.lit((78, 158, 194), 0.15)
    for band in range(16):
        y = 0.52 + band * 0.03
        scene.box(0, y, 1, y + 0.04, mix(shallow, deep, band / 15))
    for _ in range(16):
        x, y = scene.dice.random(), scene.dice.uniform(0.56, 0.98)
        scene.box(x, y, x + 0.05 + y * 0.06, y + 0.006, lighter(shallow, 0.35))


def forest(scene: Scene) -> None:
    sky(scene, sun=scene.hour != "day")
    for row, (level, haze, tall) in enumerate(((0.66, 0.45, 0.34), (0.74, 0.22, 0.42))):
        fill = scene.lit((56, 108, 80), haze)
        x = -0.05
        while x < 1.05:
            top = tall * scene.dice.uniform(0.7, 1.1)
            for part in (0.0, 0.3, 0.55):
                wide = 0.035 + 0.05 * part + 0.012 * row
                y = level - top * (1 - part)
                scene.shape([(x, y), (x + wide, y + top * 0.42), (x - wide, y + top * 0.42)], fill)
            x += scene.dice.uniform(0.06, 0.1)
        scene.box(0, level - 0.04, 1, 1, fill)
    scene.hills(0.75, 0.03, scene.lit((86, 130, 78)))
    scene.hills(0.88, 0.03, scene.lit((70, 112, 68)), 1.0)


def desert(scene: Scene) -> None:
    sky(scene)
    scene.hills(0.64, 0.14, scene.lit((224, 176, 120), 0.2), 1.0)
    scene.hills(0.74, 0.1, scene.lit((236, 190, 124)), 1.4)
    scene.hills(0.88, 0.06, scene.lit((222, 170, 106)), 0.8)
    cactus = scene.lit((84, 130, 88))
    for x in (scene.dice.uniform(0.06, 0.2), scene.dice.uniform(0.8, 0.94)):
        scene.box(x - 0.014, 0.5, x + 0.014, 0.72, cactus)
        scene.box(x - 0.05, 0.56, x - 0.028, 0.62, cactus)
        scene.box(x - 0.05, 0.6, x, 0.622, cactus)
        scene.box(x + 0.03, 0.54, x + 0.05, 0.6, cactus)
        scene.box(x, 0.58, x + 0.05, 0.602, cactus)


def space(scene: Scene) -> None:
    for band in range(40):
        y = band / 40
        scene.box(0, y, 1, y + 0.03, mix((14, 14, 38), (52, 32, 84), y))
    _stars(scene, 70)
    for _ in range(30):
        r = scene.dice.choice([0.002, 0.003])
        scene.disc(scene.dice.random(), scene.dice.uniform(0.6, 1), r, (226, 226, 246))
    x = scene.dice.choice([0.14, 0.86])
    scene.disc(x, 0.18, 0.1, (206, 150, 112))
    scene.disc(x - 0.02, 0.16, 0.07, (222, 172, 132))
    scene.disc(x, 0.185, 0.165, (240, 214, 170), 0.12)
    scene.disc(x, 0.175, 0.09, (214, 160, 120), 0.3)
    scene.disc(0.5, 1.5, 0.72, (150, 146, 160))
    for dx, y, r in (
        (-0.26, 0.9, 0.05),
        (0.16, 0.86, 0.036),
        (0.34, 0.94, 0.05),
        (-0.02, 0.95, 0.06),
    ):
        scene.disc(0.5 + dx, y, r, (128, 124, 142), 0.45)


def city(scene: Scene) -> None:
    sky(scene)
    for level, haze, wide, tall in ((0.78, 0.5, 0.1, 0.5), (0.8, 0.18, 0.14, 0.36)):
        x = -0.04
        while x < 1:
            w = wide * scene.dice.uniform(0.7, 1.2)
            h = tall * scene.dice.uniform(0.45, 1.0)
            fill = scene.lit(
                scene.dice.choice([(112, 118, 148), (134, 120, 140), (98, 116, 138)]), haze
            )
            scene.box(x, level - h, x + w, level, fill)
            _windows(scene, x, level - h, w, h, fill, haze)
            x += w + 0.008
    scene.box(0, 0.78, 1, 1, scene.lit((150, 148, 152)))
    scene.box(0, 0.87, 1, 1, scene.lit((108, 108, 118)))


def _windows(
    scene: Scene, x: float, top: float, w: float, h: float, wall: Colour, haze: float
) -> None:
    if haze > 0.4:
        return
    for row in range(int(h / 0.05) - 1):
        for column in range(max(1, int(w / 0.036))):
            left, y = x + 0.012 + column * 0.036, top + 0.02 + row * 0.05
            if left + 0.016 > x + w - 0.006:
                continue
            on = scene.hour != "day" and scene.dice.random() < 0.6
            scene.box(
                left, y, left + 0.016, y + 0.022, (255, 220, 140) if on else lighter(wall, 0.2)
            )


def snow(scene: Scene) -> None:
    sky(scene, sun=scene.hour != "day")
    scene.peaks(0.68, 0.26, scene.lit((196, 210, 228), 0.35), scene.lit(WHITE))
    scene.hills(0.72, 0.08, scene.lit((226, 234, 244), 0.1))
    for x in (0.1, 0.22, 0.8, 0.92):
        fill = scene.lit((96, 130, 128), 0.15)
        for y, w in ((0.5, 0.03), (0.56, 0.042), (0.62, 0.054)):
            scene.shape([(x, y), (x + w, y + 0.1), (x - w, y + 0.1)], fill)
            scene.shape(
                [(x, y), (x + w * 0.5, y + 0.05), (x - w * 0.5, y + 0.05)], scene.lit(WHITE)
            )
    scene.hills(0.8, 0.05, scene.lit((242, 247, 252)), 1.0)


def meadow(scene: Scene) -> None:
    sky(scene)
    _clouds(scene, 3 if scene.hour != "night" else 0)
    scene.hills(0.62, 0.08, scene.lit((142, 186, 114), 0.25), 1.2)
    scene.hills(0.7, 0.08, scene.lit((122, 178, 98)), 1.0)
    scene.hills(0.86, 0.04, scene.lit((102, 160, 84)), 0.7)
    for _ in range(46):
        x, y = scene.dice.random(), scene.dice.uniform(0.74, 0.99)
        petal = scene.dice.choice([(255, 244, 240), (252, 214, 110), (238, 150, 172)])
        scene.disc(x, y, 0.004 + (y - 0.7) * 0.016, scene.lit(petal))


def beach(scene: Scene) -> None:
    sky(scene, low=0.5)
    scene.box(0, 0.48, 1, 0.7, scene.lit((64, 156, 188)))
    scene.box(0, 0.6, 1, 0.7, scene.lit((104, 190, 204)))
    scene.hills(0.68, 0.03, scene.lit((250, 250, 244)), 2.0)
    scene.hills(0.695, 0.03, scene.lit((240, 216, 166)), 2.0)
    scene.hills(0.88, 0.03, scene.lit((230, 202, 148)), 1.0)
    x = scene.dice.choice([0.1, 0.9])
    lean = 0.05 if x < 0.5 else -0.05
    trunk = scene.lit((142, 104, 70))
    scene.shape(
        [(x - 0.016, 0.8), (x + 0.016, 0.8), (x + lean + 0.01, 0.36), (x + lean - 0.008, 0.36)],
        trunk,
    )
    for angle in (-160, -125, -70, -30, 15, 165):
        tip = (
            x + lean + 0.15 * math.cos(math.radians(angle)),
            0.36 + 0.11 * math.sin(math.radians(angle)) + 0.03,
        )
        side = (
            x + lean + 0.07 * math.cos(math.radians(angle + 22)),
            0.34 + 0.06 * math.sin(math.radians(angle + 22)),
        )
        scene.shape([(x + lean, 0.355), side, tip, (x + lean, 0.375)], scene.lit((78, 146, 88)))


def island(scene: Scene) -> None:
    ocean(scene)
    scene.disc(0.5, 0.84, 0.44, scene.lit((240, 214, 160)), 0.28)
    scene.disc(0.5, 0.81, 0.38, scene.lit((126, 172, 100)), 0.24)


def street(scene: Scene) -> None:
    sky(scene, sun=False)
    x = -0.03
    walls = [(222, 150, 120), (236, 202, 140), (150, 180, 180), (206, 164, 176), (176, 190, 150)]
    scene.dice.shuffle(walls)
    for wall in walls:
        w, h = scene.dice.uniform(0.2, 0.24), scene.dice.uniform(0.36, 0.52)
        top = 0.74 - h
        scene.box(x, top, x + w, 0.74, scene.lit(wall))
        scene.shape([(x - 0.01, top), (x + w / 2, top - 0.09), (x + w + 0.01, top)],
                    scene.lit((140, 82, 70)))  # fmt: skip
        glass = (255, 222, 144) if scene.hour != "day" else (196, 222, 232)
        for row in range(2):
            for column in range(2):
                left, y = x + 0.03 + column * 0.09, top + 0.06 + row * 0.13
                scene.box(left, y, left + 0.05, y + 0.075, glass)
        x += w
    scene.box(0, 0.74, 1, 0.8, scene.lit((190, 184, 178)))
    scene.box(0, 0.8, 1, 1, scene.lit((104, 104, 114)))
    for index in range(6):
        scene.box(index * 0.2 + 0.02, 0.93, index * 0.2 + 0.12, 0.945, scene.lit((232, 222, 190)))


def plain(scene: Scene) -> None:
    """One colour of paper with a soft shadow to stand on; the hour chooses how dark it is."""
    paper: Colour = {"day": (238, 230, 216), "sunset": (244, 204, 176), "night": (54, 58, 84)}[
        scene.hour
    ]
    for band in range(32):
        y = band / 32
        scene.box(0, y, 1, y + 0.04, mix(lighter(paper, 0.12), darker(paper, 0.08), y))


PLACES: dict[str, Callable[[Scene], None]] = {
    place.__name__: place
    for place in (
        mountains, ocean, forest, desert, space, city, snow, meadow, beach, island, street, plain,
    )
}  # fmt: skip
GROUND = {"ocean": 0.72, "island": 0.8, "space": 0.84, "city": 0.86, "street": 0.88, "plain": 0.84}
DEFAULT_GROUND = 0.84


def backdrop(place: str, hour: str, size: int, dice: random.Random) -> Image.Image:
    image = Image.new("RGB", (size, size))
    PLACES[place](Scene(ImageDraw.Draw(image), size, hour, dice))
    return image
