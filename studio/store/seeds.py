"""Pictures of the history by their seeds: also those in the trash, until that is emptied."""

from collections.abc import Callable, Collection, Iterator

import numpy as np
from sqlalchemy import select

from studio.store.entries import GONE
from studio.store.rows import Picture
from studio.store.store import Store
from studio.store.tables import entry, picture

AT_ONCE = 500


def of_seeds(
    store: Store, seeds: Collection[int], wanted: Callable[[str], bool]
) -> Iterator[Picture]:
    """Those whose prompt is `wanted`, the oldest first: one seed may have painted thousands."""
    if not seeds:
        return
    sight = store.history.found("").sight
    which = np.isin(sight["seed"], np.fromiter(seeds, np.int64, len(seeds)))
    seqs = sight["seq"][which & (sight["state"] < GONE)].tolist()
    its = picture.join(entry, entry.c.picture == picture.c.id)
    prompts, rows = select(entry.c.seq, picture.c.prompt), select(picture)
    for start in range(0, len(seqs), AT_ONCE):
        some = entry.c.seq.in_(seqs[start : start + AT_ONCE])
        with store.database.read() as connection:
            asked = connection.execute(prompts.select_from(its).where(some))
            among = entry.c.seq.in_([seq for seq, prompt in asked if wanted(prompt)])
            query = rows.select_from(its).where(among).order_by(entry.c.seq)
            found = connection.execute(query).all()
        yield from (Picture(*row) for row in found)
