"""A contact sheet painted by the starter: `python -m starter.sheet docs/starter.webp`.

Each prompt is painted once, with its own number as the seed, at the card's own settings.
"""

import argparse
from pathlib import Path

from PIL import Image

from starter.evaluate import Easel

PROMPTS = (
    "a red lighthouse on an island at sunset",
    "a yellow car on a street, watercolour",
    "neon rocket in space",
    "a blue bird in a forest, paper cut",
    "pixel art of a green castle in the mountains",
    "a purple hot air balloon in a meadow",
    "an orange cat on a beach at night",
    "a pink robot in a city, pencil drawing",
    "a white boat on the ocean in the fog",
    "three red mushrooms in the forest",
    "a teal umbrella in the snow while it snows",
    "a brown dog on the right, in the desert",
)
COLUMNS = 4


def sheet(easel: Easel, prompts: tuple[str, ...], side: int) -> Image.Image:
    rows = -(-len(prompts) // COLUMNS)
    paper = Image.new("RGB", (COLUMNS * side, rows * side))
    for number, prompt in enumerate(prompts):
        picture = easel.paint(prompt=prompt, seed=number).resize((side, side))
        paper.paste(picture, (number % COLUMNS * side, number // COLUMNS * side))
    return paper


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m starter.sheet", description=__doc__)
    reader.add_argument("out", type=Path)
    reader.add_argument("--side", type=int, default=256)
    wish = reader.parse_args()
    sheet(Easel(), PROMPTS, wish.side).save(wish.out, quality=88)


if __name__ == "__main__":
    main()
