"""A plot as SVG, both axes logarithmic: lines through what was measured, and where the bars are."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDE, HIGH, LEFT, RIGHT, TOP, BELOW = 720, 360, 56, 120, 40, 40
LINE = 15  # of text
COLOURS = ("#3b82f6", "#16a34a", "#d97706", "#9333ea")
Line = tuple[Sequence[tuple[float, float]], float]  # points, and the bar: what is the most


def draw(words: str, lines: Mapping[str, Line]) -> str:
    xs = [x for points, _ in lines.values() for x, _ in points]
    ys = [y for points, bar in lines.values() for y in (bar, *(y for _, y in points))]
    across = _scale(xs, LEFT, WIDE - RIGHT)
    down = _scale(ys, HIGH - BELOW, TOP)
    labels = _apart({name: down(points[-1][1]) for name, (points, _) in lines.items()})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#808890">',
        f'<text x="{LEFT}" y="20">{escape(words)}</text>',
    ]
    parts += (
        f'<text x="{across(x):.1f}" y="{HIGH - 16}" text-anchor="middle">{x:,}</text>'
        for x in sorted(set(xs))
    )
    parts += (
        f'<path d="M{LEFT} {down(y):.1f}H{WIDE - RIGHT}" stroke="#80889040"/>'
        f'<text x="{LEFT - 8}" y="{down(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
        for y in _tens(ys)
    )
    for (name, (points, bar)), colour in zip(lines.items(), COLOURS, strict=False):
        way = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in points)
        parts.append(
            f'<path d="M{LEFT} {down(bar):.1f}H{WIDE - RIGHT}" stroke="{colour}" '
            'stroke-dasharray="2 5"/>'
            f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{WIDE - RIGHT + 8}" y="{labels[name] + 4:.1f}" fill="{colour}">'
            f"{escape(name)} {points[-1][1]:.3g} of {bar:g}</text>"
        )
    return "\n".join([*parts, "</svg>\n"])


def _apart(wanted: Mapping[str, float]) -> dict[str, float]:
    """Labels one below the other, none over another."""
    placed: dict[str, float] = {}
    last = -math.inf
    for name, y in sorted(wanted.items(), key=lambda pair: pair[1]):
        placed[name] = last = max(y, last + LINE)
    return placed


def _scale(values: Sequence[float], begin: float, end: float) -> Callable[[float], float]:
    low, high = math.log10(min(values)), math.log10(max(values))
    share = (end - begin) / max(high - low, 1e-9)
    return lambda value: begin + share * (math.log10(value) - low)


def _tens(values: Sequence[float]) -> list[float]:
    low, high = math.ceil(math.log10(min(values))), math.floor(math.log10(max(values)))
    return [10.0**power for power in range(low, high + 1)]
