"""The scenes that the trainer learns from, rendered once by all cores and kept in shards on disk.

Scene i is the same on every machine: its spec comes from i alone.
"""

import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from starter.world import SIZE, Spec, held_out, random_spec, render_with_mask

SHARD = 64  # scenes in a file
CELL = 16  # pixels along the side of one cell of a mask
Pixels = NDArray[np.uint8]
Sight = tuple[int, Pixels, Pixels]  # a scene by its number, how it looks, and where its things are


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

    def shards(self, scenes: int) -> Iterator[tuple[range, Pixels, Pixels]]:
        """Numbers of scenes, their pictures and their masks, for so many scenes."""
        for shard in range(-(-scenes // SHARD)):
            with np.load(self._file(shard)) as kept:
                numbers = range(shard * SHARD, (shard + 1) * SHARD)
                yield numbers, kept["pictures"], kept["masks"]

    def scenes(self, count: int) -> Iterator[Sight]:
        """The same, one scene at a time."""
        scenes = (each for shard in self.shards(count) for each in zip(*shard, strict=True))
        yield from islice(scenes, count)

    def _file(self, shard: int) -> Path:
        return self.folder / f"{shard:05}.npz"


def _render_shard(folder: Path, shard: int, scene: Callable[[int], Spec]) -> None:
    pictures = np.empty((SHARD, SIZE, SIZE, 3), np.uint8)
    masks = np.empty((SHARD, SIZE // CELL, SIZE // CELL), np.uint8)
    for place in range(SHARD):
        picture, mask = render_with_mask(scene(shard * SHARD + place))
        pictures[place] = np.asarray(picture)
        masks[place] = np.asarray(mask.reduce(CELL))
    unfinished = folder / f".{shard:05}.npz"
    np.savez(unfinished, pictures=pictures, masks=masks)
    unfinished.rename(folder / f"{shard:05}.npz")
