"""Pictures of the history as a bulk file that paints them again, each by its recipe and seed.

One of another tool is asked for as near as can be; what cannot be painted from it is ticked off,
and a comment says why.
"""

import re
from collections.abc import Sequence

from studio.errors import Refused
from studio.formats.bulk.write import Picture as Written
from studio.formats.bulk.write import write_markdown
from studio.jobs.bulk_past import NO_PROMPT, Reader
from studio.jobs.line import Line
from studio.request import ImageRequest
from studio.store.bulks import Bulks
from studio.store.rows import Picture
from studio.store.selecting import rows, selected

MOST = 10_000
MOST_LOST = 8  # sentences of one picture
_MARKS = re.compile(r"[{}\\]|__")


def export(line: Line, ids: Sequence[str] | None = None, q: str | None = None) -> str:
    """Of ids in their order, or of a search; under the headings they came from."""
    store = line.store
    found = selected(store, ids=ids, q=q)
    if not found:
        raise Refused("q: nothing is found by it, so there is nothing to export.", field="q")
    if len(found) > MOST:
        field = "q" if ids is None else "ids"
        sentence = f"{field}: {len(found):,} pictures are too many; the most is {MOST:,}."
        raise Refused(sentence, field=field)
    pictures = [picture for _, picture in rows(store.database, found) if picture]
    groups = Bulks(store.database).groups([picture.job for picture in pictures])
    reader = Reader(line)
    return write_markdown([_told(reader, one, groups.get(one.job, ())) for one in pictures])


def export_bulk(line: Line, bulk_id: str) -> str:
    """What was painted of a file, as it was painted, in its order."""
    bulks = Bulks(line.store.database)
    bulks.find(bulk_id)
    ids = bulks.kept(bulk_id)
    if not ids:
        raise Refused("Nothing of this file is painted yet.")
    return export(line, ids)


def _told(reader: Reader, picture: Picture, groups: tuple[str, ...]) -> Written:
    past = reader.past(picture)
    lost = [one for one in (past.why, *past.lost) if one]
    if not (picture.foreign and lost):
        return Written(groups, _said(past.request))
    told = picture.recipe["imported"]
    sentences = list(dict.fromkeys(lost))
    more = [f"And {len(sentences) - MOST_LOST} more."] if len(sentences) > MOST_LOST else []
    by = f", of {told['tool']}" if told.get("tool") else ""
    above = " ".join([f"{told['file']}{by}:", *sentences[:MOST_LOST], *more])
    wish = None if past.why == NO_PROMPT else _said(past.request)
    return Written(groups, wish, above, ticked=bool(past.why))


def _said(request: ImageRequest) -> ImageRequest:
    """Without `expand: no` where there is nothing to expand: in the head it would hold for all that
    somebody writes below."""
    if _MARKS.search(f"{request.prompt} {request.negative_prompt}"):
        return request
    return request.model_copy(update={"expand": "random"})
