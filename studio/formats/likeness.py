"""How a picture looks, in 64 bits: two of which few differ are of pictures that look nearly alike.

Each bit says whether a patch is lighter than the one to its left. Scaling, another format and a
little noise change few of them; another composition changes half. Pure.
"""

from PIL import Image

SIDE = 8
FLAT = 4  # levels of 255


def likeness(image: Image.Image) -> int | None:
    """From -2^63 to 2^63 - 1, as databases count. None of one that is flat, or only
    grows darker: it is like all such."""
    small = image.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    light = small.tobytes()
    if max(light) - min(light) < FLAT:
        return None
    bits = 0
    for row in range(SIDE):
        for column in range(SIDE):
            at = row * (SIDE + 1) + column
            bits = bits << 1 | (light[at + 1] > light[at])
    return (bits - (bits >> 63 << 64)) or None
