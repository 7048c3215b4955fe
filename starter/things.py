"""The things of the world, each drawn in one colour and its shades, inside the unit square.

Every thing stands on y = 1 or hangs in the middle; `AIRBORNE` tells which may float.
"""

from collections.abc import Callable

from starter.pen import Colour, Pen, blob, darker, lighter, on_ellipse, star_points

INK: Colour = (46, 42, 54)
GLASS: Colour = (188, 222, 236)
WOOD: Colour = (134, 94, 62)
LEAF: Colour = (86, 140, 84)
WHITE: Colour = (252, 250, 244)


def car(p: Pen, c: Colour) -> None:
    p.shape(blob([(-0.62, 0.2), (-0.4, -0.28), (0.25, -0.3), (0.58, 0.2)]), darker(c, 0.12))
    p.shape([(-0.5, 0.16), (-0.34, -0.18), (-0.06, -0.2), (-0.06, 0.16)], GLASS)
    p.shape([(0.03, 0.16), (0.03, -0.2), (0.24, -0.2), (0.46, 0.16)], GLASS)
    p.box(-0.98, 0.12, 0.98, 0.62, c, 0.2)
    p.box(-0.98, 0.46, 0.98, 0.62, darker(c), 0.1)
    p.ellipse(0.88, 0.28, 0.09, 0.09, (255, 236, 170))
    for x in (-0.54, 0.54):
        p.disc(x, 0.62, 0.25, INK)
        p.disc(x, 0.62, 0.11, (206, 206, 212))


def boat(p: Pen, c: Colour) -> None:
    p.line([(0, -0.95), (0, 0.45)], WOOD, 0.06)
    p.shape(blob([(0.05, -0.9), (0.5, -0.2), (0.66, 0.32), (0.05, 0.34)], 5), WHITE)
    p.shape([(-0.06, -0.75), (-0.06, 0.32), (-0.58, 0.32)], (232, 226, 214))
    p.shape([(-0.95, 0.45), (0.98, 0.45), (0.66, 0.95), (-0.62, 0.95)], c)
    p.shape([(-0.95, 0.45), (0.98, 0.45), (0.92, 0.57), (-0.89, 0.57)], lighter(c))
    p.shape([(0, -0.95), (0.3, -0.85), (0, -0.75)], darker(c))


def plane(p: Pen, c: Colour) -> None:
    p.shape([(-0.95, -0.5), (-0.72, -0.5), (-0.42, 0.02), (-0.85, 0.02)], darker(c))
    p.shape([(-0.1, -0.05), (0.2, -0.05), (-0.2, -0.6), (-0.38, -0.6)], darker(c, 0.35))
    p.shape(
        blob([(-0.9, 0.0), (-0.3, -0.2), (0.6, -0.2), (0.98, 0.04), (0.6, 0.24), (-0.4, 0.2)]), c
    )
    p.shape([(-0.15, 0.08), (0.3, 0.08), (-0.28, 0.72), (-0.5, 0.72)], lighter(c, 0.2))
    for x in (-0.3, -0.08, 0.14, 0.36):
        p.disc(x, -0.06, 0.06, GLASS)
    p.slice(0.7, -0.02, 0.18, 0.14, (180, 360), GLASS)


def house(p: Pen, c: Colour) -> None:
    p.box(0.36, -0.82, 0.58, -0.2, darker(c, 0.45))
    p.box(-0.72, -0.12, 0.72, 0.98, c)
    p.box(0.4, -0.12, 0.72, 0.98, darker(c, 0.12))
    p.shape([(-0.92, -0.08), (0, -0.92), (0.92, -0.08)], darker(c, 0.5))
    p.box(-0.16, 0.36, 0.2, 0.98, WOOD, 0.04)
    p.disc(0.12, 0.68, 0.04, (240, 214, 130))
    for x in (-0.5, 0.46):
        p.box(x - 0.15, 0.14, x + 0.15, 0.46, (255, 238, 178), 0.02)
        p.line([(x, 0.14), (x, 0.46)], darker(c, 0.4), 0.04)


def tree(p: Pen, c: Colour) -> None:
    p.shape([(-0.14, 0.98), (-0.08, 0.1), (0.08, 0.1), (0.16, 0.98)], WOOD)
    for x, y, r in ((-0.38, -0.02, 0.42), (0.38, -0.05, 0.42), (0, -0.42, 0.5), (0, 0.06, 0.42)):
        p.disc(x, y, r, darker(c, 0.12))
    for x, y, r in ((-0.42, -0.12, 0.3), (0.28, -0.2, 0.3), (-0.1, -0.52, 0.36)):
        p.disc(x, y, r, c)
    p.disc(-0.2, -0.6, 0.16, lighter(c, 0.25))


def cat(p: Pen, c: Colour) -> None:
    p.line([(0.45, 0.8), (0.8, 0.62), (0.78, 0.22), (0.92, 0.02)], darker(c), 0.14)
    p.shape(blob([(-0.4, 0.98), (-0.36, 0.3), (0.1, 0.05), (0.55, 0.5), (0.58, 0.98)]), c)
    p.shape([(-0.62, -0.42), (-0.56, -0.95), (-0.24, -0.62)], darker(c))
    p.shape([(0.3, -0.42), (0.26, -0.95), (-0.06, -0.62)], darker(c))
    p.ellipse(-0.16, -0.3, 0.5, 0.42, c)
    for x in (-0.34, 0.04):
        p.ellipse(x, -0.32, 0.08, 0.11, (250, 238, 160))
        p.ellipse(x, -0.32, 0.035, 0.1, INK)
    p.shape([(-0.21, -0.16), (-0.09, -0.16), (-0.15, -0.08)], (230, 140, 140))
    p.ellipse(-0.1, 0.66, 0.2, 0.28, lighter(c, 0.45))
    for x in (-0.28, 0.06):
        p.ellipse(x, 0.92, 0.14, 0.09, lighter(c, 0.3))


def dog(p: Pen, c: Colour) -> None:
    p.line([(-0.72, 0.2), (-0.95, -0.12)], c, 0.14)
    for x in (-0.6, -0.36, 0.22, 0.42):
        p.box(x - 0.1, 0.3, x + 0.1, 0.98, darker(c, 0.15), 0.08)
    p.box(-0.78, 0.05, 0.52, 0.62, c, 0.26)
    p.ellipse(0.52, -0.25, 0.36, 0.36, c)
    p.box(0.6, -0.26, 0.98, 0.04, lighter(c, 0.25), 0.14)
    p.ellipse(0.94, -0.2, 0.08, 0.07, INK)
    p.ellipse(0.28, -0.22, 0.14, 0.34, darker(c, 0.35))
    p.disc(0.58, -0.34, 0.06, INK)
    p.box(0.24, 0.06, 0.56, 0.16, (206, 70, 70), 0.04)


def fish(p: Pen, c: Colour) -> None:
    p.shape([(-0.5, 0), (-0.98, -0.42), (-0.84, 0), (-0.98, 0.42)], darker(c))
    p.shape([(-0.1, -0.38), (0.22, -0.72), (0.36, -0.3)], darker(c))
    p.ellipse(0.14, 0, 0.74, 0.46, c)
    p.slice(0.14, 0, 0.74, 0.46, (20, 160), lighter(c, 0.3))
    p.arc(0.46, 0, 0.16, 0.32, (110, 250), darker(c), 0.05)
    p.shape([(0.0, 0.06), (-0.26, 0.3), (0.12, 0.28)], darker(c, 0.35))
    p.disc(0.62, -0.12, 0.1, WHITE)
    p.disc(0.64, -0.12, 0.055, INK)


def bird(p: Pen, c: Colour) -> None:
    p.shape([(-0.4, 0.1), (-0.98, 0.02), (-0.92, 0.34)], darker(c))
    p.shape(blob([(-0.55, 0.15), (-0.1, -0.25), (0.4, -0.15), (0.5, 0.25), (0.05, 0.55)]), c)
    p.disc(0.46, -0.28, 0.32, c)
    p.shape([(0.72, -0.36), (0.98, -0.24), (0.72, -0.16)], (242, 170, 60))
    p.shape(blob([(0.2, 0.0), (-0.2, -0.1), (-0.62, 0.42), (0.0, 0.34)]), darker(c, 0.3))
    p.slice(0.14, 0.2, 0.34, 0.32, (10, 170), lighter(c, 0.45))
    p.disc(0.54, -0.34, 0.06, INK)
    for x in (-0.02, 0.16):
        p.line([(x, 0.5), (x + 0.02, 0.9)], (208, 138, 60), 0.05)


def balloon(p: Pen, c: Colour) -> None:
    p.line([(-0.2, 0.3), (-0.14, 0.72)], WOOD, 0.03)
    p.line([(0.2, 0.3), (0.14, 0.72)], WOOD, 0.03)
    p.shape(blob([(0, -0.98), (-0.66, -0.6), (-0.62, -0.08), (-0.16, 0.42), (0.16, 0.42),
                  (0.62, -0.08), (0.66, -0.6)]), c)  # fmt: skip
    p.shape(
        blob([(0, -0.97), (-0.3, -0.5), (-0.1, 0.4), (0.1, 0.4), (0.3, -0.5)]), lighter(c, 0.45)
    )
    p.shape(blob([(0, -0.97), (-0.1, -0.5), (0, 0.4), (0.1, -0.5)]), c)
    p.box(-0.18, 0.68, 0.18, 0.96, WOOD, 0.05)
    p.box(-0.2, 0.66, 0.2, 0.74, darker(WOOD), 0.02)


def rocket(p: Pen, c: Colour) -> None:
    p.shape(blob([(-0.16, 0.6), (0, 0.99), (0.16, 0.6), (0, 0.5)]), (250, 176, 60))
    p.shape(blob([(-0.08, 0.6), (0, 0.82), (0.08, 0.6), (0, 0.55)]), (255, 236, 150))
    for side in (-1, 1):
        p.shape([(side * 0.2, 0.1), (side * 0.6, 0.66), (side * 0.2, 0.56)], darker(c))
    p.shape(blob([(0, -0.98), (-0.34, -0.3), (-0.28, 0.6), (0.28, 0.6), (0.34, -0.3)]), WHITE)
    p.shape(blob([(0, -0.98), (-0.28, -0.46), (0, -0.42), (0.28, -0.46)]), c)
    p.box(-0.31, 0.3, 0.31, 0.48, c)
    p.disc(0, -0.1, 0.18, darker(c))
    p.disc(0, -0.1, 0.13, GLASS)


def lighthouse(p: Pen, c: Colour) -> None:
    p.shape(blob([(-0.7, 0.98), (-0.4, 0.78), (0.35, 0.8), (0.72, 0.98)]), (120, 112, 112))
    p.shape([(-0.34, 0.88), (-0.2, -0.46), (0.2, -0.46), (0.34, 0.88)], WHITE)
    for top, foot in ((-0.36, -0.08), (0.2, 0.5)):
        w0, w1 = 0.2 + 0.104 * (top + 0.46), 0.2 + 0.104 * (foot + 0.46)
        p.shape([(-w0, top), (w0, top), (w1, foot), (-w1, foot)], c)
    p.box(-0.28, -0.54, 0.28, -0.44, INK)
    p.box(-0.15, -0.76, 0.15, -0.54, (255, 232, 140))
    p.shape([(-0.22, -0.74), (0, -0.98), (0.22, -0.74)], c)
    p.box(-0.08, 0.62, 0.08, 0.86, INK, 0.06)


def castle(p: Pen, c: Colour) -> None:
    for x in (-0.68, 0.68):
        p.box(x - 0.24, -0.42, x + 0.24, 0.98, darker(c, 0.1))
        p.shape([(x - 0.3, -0.4), (x, -0.9), (x + 0.3, -0.4)], darker(c, 0.5))
    p.box(-0.5, 0.02, 0.5, 0.98, c)
    for x in (-0.44, -0.2, 0.04, 0.28):
        p.box(x, -0.12, x + 0.15, 0.06, c)
    p.box(-0.18, 0.56, 0.18, 0.98, INK)
    p.slice(0, 0.57, 0.18, 0.2, (180, 360), INK)
    for x in (-0.68, 0.68):
        p.box(x - 0.06, -0.12, x + 0.06, 0.14, (255, 232, 150), 0.05)


def flower(p: Pen, c: Colour) -> None:
    p.line([(0, 0.98), (0.04, 0.4), (0, -0.2)], LEAF, 0.08)
    p.shape(blob([(0.02, 0.72), (0.4, 0.4), (0.58, 0.5), (0.3, 0.74)]), LEAF)
    p.shape(blob([(0.02, 0.84), (-0.38, 0.56), (-0.56, 0.66), (-0.28, 0.88)]), darker(LEAF, 0.15))
    for index in range(6):
        x, y = on_ellipse(0, -0.36, 0.36, 0.36, index * 60 - 90)
        p.disc(x, y, 0.25, c if index % 2 else lighter(c, 0.22))
    p.disc(0, -0.36, 0.2, (248, 206, 90))


def cup(p: Pen, c: Colour) -> None:
    p.ring(0.56, 0.3, 0.3, darker(c), 0.12)
    p.shape(blob([(-0.62, -0.12), (-0.56, 0.62), (-0.3, 0.88), (0.24, 0.88), (0.5, 0.62),
                  (0.56, -0.12)]), c)  # fmt: skip
    p.ellipse(-0.03, -0.1, 0.6, 0.16, lighter(c))
    p.ellipse(-0.03, -0.09, 0.5, 0.12, (104, 66, 44))
    for x in (-0.26, 0.16):
        p.line([(x, -0.36), (x + 0.1, -0.54), (x - 0.02, -0.7), (x + 0.08, -0.88)], WHITE, 0.05)
    p.ellipse(-0.03, 0.92, 0.72, 0.07, darker(c, 0.35))


def apple(p: Pen, c: Colour) -> None:
    p.shape(blob([(0, -0.36), (-0.5, -0.5), (-0.8, 0.0), (-0.55, 0.72), (-0.18, 0.9), (0, 0.84),
                  (0.18, 0.9), (0.55, 0.72), (0.8, 0.0), (0.5, -0.5)]), c)  # fmt: skip
    p.shape(blob([(-0.5, -0.3), (-0.66, 0.06), (-0.5, 0.3), (-0.42, -0.04)]), lighter(c, 0.5))
    p.line([(0, -0.36), (0.06, -0.86)], WOOD, 0.08)
    p.shape(blob([(0.08, -0.6), (0.34, -0.92), (0.62, -0.8), (0.36, -0.58)]), LEAF)


def star(p: Pen, c: Colour) -> None:
    p.shape(star_points(0, 0.08, 0.95, 0.46), darker(c, 0.2))
    p.shape(star_points(0, 0.05, 0.86, 0.46), c)
    p.shape(star_points(-0.04, 0.0, 0.5, 0.46), lighter(c, 0.3))


def heart(p: Pen, c: Colour) -> None:
    outline = [(0, 0.88), (-0.7, 0.2), (-0.86, -0.3), (-0.5, -0.68), (-0.14, -0.56), (0, -0.34),
               (0.14, -0.56), (0.5, -0.68), (0.86, -0.3), (0.7, 0.2)]  # fmt: skip
    p.shape(blob(outline, 5), c)
    p.shape(blob([(-0.62, -0.3), (-0.46, -0.5), (-0.34, -0.4), (-0.52, -0.1)]), lighter(c, 0.5))


def circle(p: Pen, c: Colour) -> None:
    p.disc(0, 0, 0.9, darker(c, 0.15))
    p.disc(-0.03, -0.04, 0.84, c)


def square(p: Pen, c: Colour) -> None:
    p.box(-0.84, -0.84, 0.84, 0.84, darker(c, 0.15), 0.06)
    p.box(-0.84, -0.84, 0.76, 0.76, c, 0.06)


def triangle(p: Pen, c: Colour) -> None:
    p.shape([(0, -0.88), (0.96, 0.84), (-0.96, 0.84)], darker(c, 0.15))
    p.shape([(-0.02, -0.8), (0.82, 0.76), (-0.88, 0.76)], c)


def robot(p: Pen, c: Colour) -> None:
    p.line([(0, -0.72), (0, -0.92)], INK, 0.05)
    p.disc(0, -0.93, 0.07, (250, 120, 90))
    p.box(-0.42, -0.74, 0.42, -0.14, c, 0.12)
    p.box(-0.32, -0.6, 0.32, -0.3, INK, 0.08)
    for x in (-0.15, 0.15):
        p.disc(x, -0.45, 0.08, (150, 236, 240))
    p.box(-0.5, -0.06, 0.5, 0.58, darker(c, 0.12), 0.1)
    p.box(-0.26, 0.08, 0.26, 0.36, lighter(c, 0.4), 0.05)
    for side in (-1, 1):
        p.line([(side * 0.56, 0.04), (side * 0.8, 0.42)], darker(c, 0.35), 0.14)
        p.box(side * 0.26 - 0.14, 0.6, side * 0.26 + 0.14, 0.98, darker(c, 0.35), 0.06)


def person(p: Pen, c: Colour) -> None:
    for x in (-0.17, 0.17):
        p.box(x - 0.12, 0.4, x + 0.12, 0.98, (70, 74, 104), 0.06)
    p.line([(-0.36, -0.16), (-0.56, 0.36)], (240, 196, 160), 0.15)
    p.line([(0.36, -0.16), (0.56, 0.36)], (240, 196, 160), 0.15)
    p.shape(blob([(-0.42, -0.2), (-0.34, 0.56), (0.34, 0.56), (0.42, -0.2), (0, -0.34)]), c)
    p.disc(0, -0.6, 0.3, (240, 196, 160))
    p.slice(0, -0.64, 0.33, 0.32, (180, 360), (84, 58, 46))
    for x in (-0.1, 0.1):
        p.disc(x, -0.54, 0.035, INK)
    p.arc(0, -0.48, 0.1, 0.08, (30, 150), INK, 0.03)


def bicycle(p: Pen, c: Colour) -> None:
    for x in (-0.56, 0.56):
        p.ring(x, 0.5, 0.42, INK, 0.07)
        for angle in (0, 60, 120):
            a, b = (
                on_ellipse(x, 0.5, 0.38, 0.38, angle),
                on_ellipse(x, 0.5, 0.38, 0.38, angle + 180),
            )
            p.line([a, b], (150, 150, 158), 0.02)
    frame = [(-0.56, 0.5), (-0.22, -0.1), (0.36, -0.1), (0.0, 0.5), (-0.56, 0.5)]
    p.line(frame, c, 0.09)
    p.line([(0.0, 0.5), (-0.27, -0.26)], c, 0.09)
    p.line([(0.56, 0.5), (0.32, -0.36), (0.56, -0.42)], darker(c), 0.08)
    p.box(-0.44, -0.34, -0.12, -0.24, INK, 0.05)


def mushroom(p: Pen, c: Colour) -> None:
    p.shape(blob([(-0.2, 0.1), (-0.3, 0.9), (0.3, 0.9), (0.2, 0.1)]), (242, 230, 208))
    p.slice(0, 0.16, 0.92, 0.92, (180, 360), c)
    p.ellipse(0, 0.16, 0.92, 0.14, darker(c, 0.2))
    for x, y, r in ((-0.46, -0.16, 0.13), (0.08, -0.42, 0.16), (0.5, -0.12, 0.11)):
        p.disc(x, y, r, WHITE)


def umbrella(p: Pen, c: Colour) -> None:
    p.line([(0, -0.8), (0, 0.8)], WOOD, 0.07)
    p.arc(0.14, 0.8, 0.14, 0.14, (180, 0), WOOD, 0.07)
    p.slice(0, 0.06, 0.95, 0.86, (180, 360), c)
    for x in (-0.63, 0, 0.63):
        p.ellipse(x, 0.07, 0.32, 0.13, darker(c, 0.25) if x else lighter(c, 0.15))
    p.shape(blob([(0, -0.8), (-0.3, 0.02), (0.3, 0.02)]), lighter(c, 0.15))


THINGS: dict[str, Callable[[Pen, Colour], None]] = {
    thing.__name__: thing
    for thing in (
        car, boat, plane, house, tree, cat, dog, fish, bird, balloon, rocket, lighthouse, castle,
        flower, cup, apple, star, heart, circle, square, triangle, robot, person, bicycle, mushroom,
        umbrella,
    )
}  # fmt: skip
AIRBORNE = {"plane", "bird", "balloon", "rocket", "star", "heart", "circle", "square", "triangle"}

COLOURS: dict[str, Colour] = {
    "red": (214, 58, 52),
    "orange": (240, 140, 48),
    "yellow": (246, 206, 66),
    "green": (84, 160, 84),
    "teal": (42, 160, 158),
    "blue": (58, 106, 206),
    "purple": (132, 82, 178),
    "pink": (240, 138, 178),
    "brown": (140, 92, 58),
    "white": (246, 244, 238),
    "grey": (146, 148, 156),
    "black": (44, 42, 52),
}
