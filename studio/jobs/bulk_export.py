"""Pictures of the history as a bulk file that paints them again, each by its recipe and seed."""

from collections.abc import Sequence

from studio.errors import Refused
from studio.formats.bulk.write import write_markdown
from studio.jobs.rerun import request_of
from studio.store.bulks import Bulks
from studio.store.selecting import rows, selected
from studio.store.store import Store

MOST = 10_000


def export(store: Store, ids: Sequence[str] | None = None, q: str | None = None) -> str:
    """Of ids in their order, or of a search; under the headings they came from."""
    found = selected(store, ids=ids, q=q)
    if len(found) > MOST:
        raise Refused(f"ids: {len(found)} pictures are too many; the most is {MOST}.", field="ids")
    pictures = [picture for _, picture in rows(store.database, found) if picture]
    groups = Bulks(store.database).groups([picture.job for picture in pictures])
    return write_markdown(
        [
            (groups.get(picture.job, ()), request_of(picture.recipe, picture.known_seed))
            for picture in pictures
        ]
    )


def export_bulk(store: Store, bulk_id: str) -> str:
    """What was painted of a file, as it was painted, in its order."""
    bulks = Bulks(store.database)
    bulks.find(bulk_id)
    ids = bulks.kept(bulk_id)
    if not ids:
        raise Refused("Nothing of this file is painted yet.")
    return export(store, ids)
