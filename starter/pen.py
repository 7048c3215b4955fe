"""A pen in unit coordinates over a Pillow canvas: x to the right, y down, one unit to each side.

It knows how to place and tint strokes, and nothing of what they show.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]
OVERSAMPLE = 2  # drawn twice as large and reduced: cheap and clean edges


def mix(one: Colour, other: Colour, share: float) -> Colour:
    r, g, b = (round(a + (c - a) * share) for a, c in zip(one, other, strict=True))
    return r, g, b


def darker(colour: Colour, share: float = 0.25) -> Colour:
    return mix(colour, (20, 18, 30), share)


def lighter(colour: Colour, share: float = 0.35) -> Colour:
    return mix(colour, (255, 252, 244), share)


@dataclass(frozen=True, slots=True)
class Pen:
    draw: ImageDraw.ImageDraw
    x: float
    y: float
    scale: float

    def at(self, x: float, y: float, scale: float = 1.0) -> "Pen":
        """A pen for a part of the thing, in coordinates of its own."""
        return Pen(self.draw, *self._to((x, y)), self.scale * scale)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        self.draw.ellipse([*self._to((x - rx, y - ry)), *self._to((x + rx, y + ry))], fill=fill)

    def disc(self, x: float, y: float, r: float, fill: Colour) -> None:
        self.ellipse(x, y, r, r, fill)

    def ring(self, x: float, y: float, r: float, fill: Colour, width: float) -> None:
        box = [*self._to((x - r, y - r)), *self._to((x + r, y + r))]
        self.draw.ellipse(box, outline=fill, width=self._width(width))

    def box(
        self, x0: float, y0: float, x1: float, y1: float, fill: Colour, round_: float = 0
    ) -> None:
        box = [*self._to((x0, y0)), *self._to((x1, y1))]
        self.draw.rounded_rectangle(box, radius=round_ * self.scale, fill=fill)

    def shape(self, points: Sequence[Point], fill: Colour) -> None:
        self.draw.polygon([self._to(point) for point in points], fill=fill)

    def line(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        path = [self._to(point) for point in points]
        thick = self._width(width)
        self.draw.line(path, fill=fill, width=thick, joint="curve")
        for x, y in (path[0], path[-1]):  # round ends
            r = thick / 2
            self.draw.ellipse([x - r, y - r, x + r, y + r], fill=fill)

    def arc(
        self, x: float, y: float, rx: float, ry: float, turn: tuple[float, float], fill: Colour,
        width: float,
    ) -> None:  # fmt: skip
        self.line([on_ellipse(x, y, rx, ry, angle) for angle in steps(*turn, 14)], fill, width)

    def slice(
        self, x: float, y: float, rx: float, ry: float, turn: tuple[float, float], fill: Colour
    ) -> None:
        """The part of an ellipse between two angles, closed by a straight line."""
        self.shape([on_ellipse(x, y, rx, ry, angle) for angle in steps(*turn, 28)], fill)

    def _to(self, point: Point) -> tuple[float, float]:
        return self.x + point[0] * self.scale, self.y + point[1] * self.scale

    def _width(self, width: float) -> int:
        return max(1, round(width * self.scale))


def on_ellipse(x: float, y: float, rx: float, ry: float, degrees: float) -> Point:
    angle = math.radians(degrees)
    return x + rx * math.cos(angle), y + ry * math.sin(angle)


def steps(start: float, end: float, count: int) -> list[float]:
    return [start + (end - start) * index / count for index in range(count + 1)]


def star_points(x: float, y: float, r: float, inner: float, tips: int = 5) -> list[Point]:
    return [
        on_ellipse(x, y, radius, radius, -90 + index * 180 / tips)
        for index in range(tips * 2)
        for radius in [r if index % 2 == 0 else r * inner]
    ]


def blob(points: Sequence[Point], detail: int = 6) -> list[Point]:
    """A smooth closed curve through the points (Catmull-Rom)."""
    count = len(points)
    curve: list[Point] = []
    for index in range(count):
        p0, p1, p2, p3 = (points[(index + shift) % count] for shift in (-1, 0, 1, 2))
        for part in range(detail):
            t = part / detail
            curve.append(_spline(p0, p1, p2, p3, t))
    return curve


def _spline(p0: Point, p1: Point, p2: Point, p3: Point, t: float) -> Point:
    def along(a: float, b: float, c: float, d: float) -> float:
        return 0.5 * (
            2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t
            + (3 * b - a - 3 * c + d) * t * t * t
        )  # fmt: skip

    return along(p0[0], p1[0], p2[0], p3[0]), along(p0[1], p1[1], p2[1], p3[1])
