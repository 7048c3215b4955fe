"""Pictures of the history as a bulk file that paints them again, each by its recipe and seed."""

import re
from collections.abc import Sequence

from studio.errors import Refused
from studio.formats.bulk.write import write_markdown
from studio.jobs.rerun import request_of
from studio.request import ImageRequest
from studio.store.bulks import Bulks
from studio.store.selecting import rows, selected
from studio.store.store import Store

MOST = 10_000
_MARKS = re.compile(r"[{}\\]|__")


def export(store: Store, ids: Sequence[str] | None = None, q: str | None = None) -> str:
    """Of ids in their order, or of a search; under the headings they came from."""
    found = selected(store, ids=ids, q=q)
    if len(found) > MOST:
        raise Refused(f"ids: {len(found)} pictures are too many; the most is {MOST}.", field="ids")
    pictures = [picture for _, picture in rows(store.database, found) if picture]
    groups = Bulks(store.database).groups([picture.job for picture in pictures])
    return write_markdown(
        [
            (groups.get(picture.job, ()), _said(request_of(picture.recipe, picture.known_seed)))
            for picture in pictures
        ]
    )


def _said(request: ImageRequest) -> ImageRequest:
    """Without `expand: no` where there is nothing to expand: in the head it would hold for all that
    somebody writes below."""
    if _MARKS.search(f"{request.prompt} {request.negative_prompt}"):
        return request
    return request.model_copy(update={"expand": "random"})


def export_bulk(store: Store, bulk_id: str) -> str:
    """What was painted of a file, as it was painted, in its order."""
    bulks = Bulks(store.database)
    bulks.find(bulk_id)
    ids = bulks.kept(bulk_id)
    if not ids:
        raise Refused("Nothing of this file is painted yet.")
    return export(store, ids)
