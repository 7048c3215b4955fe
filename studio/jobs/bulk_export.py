"""Pictures of the history as a bulk file that paints them again, each by its recipe and seed."""

from collections.abc import Sequence

from studio.errors import Refused
from studio.formats.bulk.write import write_markdown
from studio.jobs.rerun import request_of
from studio.store.bulks import Bulks
from studio.store.rows import Picture
from studio.store.store import Store

MOST = 10_000


def export(store: Store, picture_ids: Sequence[str]) -> str:
    """In the order they are named, under the headings they came from."""
    if not picture_ids:
        raise Refused("pictures: name at least one, by its id.", field="pictures")
    if len(picture_ids) > MOST:
        sentence = f"pictures: {len(picture_ids)} are too many; the most is {MOST}."
        raise Refused(sentence, field="pictures")
    return export_pictures(store, [store.picture(name) for name in picture_ids])


def export_bulk(store: Store, bulk_id: str) -> str:
    """What was painted of a file, as it was painted, in its order."""
    bulks = Bulks(store.database)
    bulks.find(bulk_id)
    done = [one.job for one in bulks.pictures(bulk_id, states=("done",))]
    pictures = [picture for job in done for picture in store.pictures(job=job)]
    if not pictures:
        raise Refused("Nothing of this file is painted yet.")
    return export_pictures(store, pictures)


def export_pictures(store: Store, pictures: Sequence[Picture]) -> str:
    groups = Bulks(store.database).groups([picture.job for picture in pictures])
    return write_markdown(
        [
            (groups.get(picture.job, ()), request_of(picture.recipe, picture.seed))
            for picture in pictures
        ]
    )
