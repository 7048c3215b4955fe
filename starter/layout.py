"""What stands where, told in words' own tongue: the last places of a caption draw its things.

A painter that reads words one by one is slow to learn outlines: thousands of scenes go by before
"bicycle" is more than a spot. So the text encoder draws them: each of its last sixteen places
learns what one cell of a 4 by 4 grid shows, and the painter looks there for what it paints.
`drawing` is what those places are asked for while they learn.
"""

import random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from starter.pen import OVERSAMPLE, Pen
from starter.things import THINGS
from starter.world import Spec, placed

GRID = 4  # cells a side
CELLS = GRID * GRID
SIDE = 64  # of a drawing; 16 points a side in each cell
GREY = (150, 150, 156)  # no colour: those are read off the words themselves
POINTS = 2 * (SIDE // GRID) ** 2


def drawing(spec: Spec) -> NDArray[np.uint8]:
    """Where the scene's things are, and their light and shade (2 x 64 x 64)."""
    side = SIDE * OVERSAMPLE
    canvas, mask = Image.new("L", (side, side)), Image.new("L", (side, side))
    for item, x, y, half in placed(spec, random.Random(spec.seed)):
        blank = Image.new("RGB", canvas.size)
        pen = Pen(ImageDraw.Draw(blank), x * side, y * side, half * side)
        THINGS[item.thing](pen, GREY)
        shape = blank.convert("L")
        inside = shape.point(lambda level: 255 * (level > 0))
        canvas.paste(shape, mask=inside)
        mask = ImageChops.lighter(mask, inside)
    return np.stack([np.asarray(part.reduce(OVERSAMPLE)) for part in (mask, canvas)])


def cells(drawings: NDArray[np.uint8]) -> torch.Tensor:
    """Drawings (n x 2 x 64 x 64) cell by cell (n x 16 x 512), 0 to 1."""
    points = torch.from_numpy(drawings).float() / 255
    n, side = len(points), SIDE // GRID
    rows = points.view(n, 2, GRID, side, GRID, side).permute(0, 2, 4, 1, 3, 5)
    return rows.reshape(n, CELLS, POINTS)
