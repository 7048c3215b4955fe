"""The scenes that the trainer learns from, in shards: rendered by all cores and kept on disk.

Scene i is the same on every machine: its spec comes from i alone.
"""

import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from starter.world import SIZE, Spec, held_out, random_spec, render_with_mask

SHARD = 64  # scenes in a file
CELL = 16  # pixels along the side of one cell of a mask
Pixels = NDArray[np.uint8]
Sight = tuple[range, Pixels, Pixels]  # numbers of scenes, how they look, where their things are


def scene(index: int) -> Spec:
    """The scene of this number, or the first one after it, by the same dice, that may be shown."""
    dice = random.Random(f"album {index}")
    while held_out(spec := random_spec(dice)):
        pass
    return spec


def exam_scene(index: int) -> Spec:
    """Any scene of one kind of thing, held out or not: what the examiner learns to read."""
    dice = random.Random(f"exam {index}")
    while (spec := random_spec(dice)).relation:
        pass
    return spec


class Album:
    """Shards in a folder: pictures (n x 256 x 256 x 3) and the share of each cell that is thing."""

    def __init__(self, folder: Path, scene: Callable[[int], Spec] = scene) -> None:
        self.folder = folder
        self.scene = scene

    def grow(self, scenes: int) -> None:
        """Renders what is missing up to so many scenes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [
            (self.folder, shard, self.scene)
            for shard in range(-(-scenes // SHARD))
            if not self._file(shard).exists()
        ]
        if missing:
            with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as cooks:
                list(cooks.map(_render_shard, *zip(*missing, strict=True)))

    def shards(self, scenes: int) -> Iterator[Sight]:
        yield from map(self.shard, range(-(-scenes // SHARD)))

    def shard(self, shard: int) -> Sight:
        """From the disk, or rendered now and not kept."""
        numbers = range(shard * SHARD, (shard + 1) * SHARD)
        try:
            with np.load(self._file(shard)) as kept:
                return numbers, kept["pictures"], kept["masks"]
        except FileNotFoundError:
            return numbers, *_render(numbers, self.scene)

    def _file(self, shard: int) -> Path:
        return self.folder / f"{shard:05}.npz"


def _render(numbers: range, scene: Callable[[int], Spec]) -> tuple[Pixels, Pixels]:
    pictures = np.empty((len(numbers), SIZE, SIZE, 3), np.uint8)
    masks = np.empty((len(numbers), SIZE // CELL, SIZE // CELL), np.uint8)
    for place, number in enumerate(numbers):
        picture, mask = render_with_mask(scene(number))
        pictures[place] = np.asarray(picture)
        masks[place] = np.asarray(mask.reduce(CELL))
    return pictures, masks


def _render_shard(folder: Path, shard: int, scene: Callable[[int], Spec]) -> None:
    pictures, masks = _render(range(shard * SHARD, (shard + 1) * SHARD), scene)
    unfinished = folder / f".{shard:05}.npz"
    np.savez(unfinished, pictures=pictures, masks=masks)
    unfinished.rename(folder / f"{shard:05}.npz")
