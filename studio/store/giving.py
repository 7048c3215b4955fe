"""A picture as it leaves the studio: with all that it says of itself, with less, or with nothing.

The file in the data folder keeps all of it, for the history is found again by that.
"""

from typing import get_args

from studio.errors import Refused
from studio.formats.rewrite import Said, saying
from studio.store.rows import Picture
from studio.store.store import Store


def given_out(store: Store, picture: Picture, said: Said) -> bytes:
    return saying(store.file(picture).read_bytes(), said)


def said_of(given: str | None, usual: Said) -> Said:
    """What somebody asked for, or else what is usual here."""
    if given is None:
        return usual
    for said in get_args(Said):
        if given == said:
            return said  # type: ignore[no-any-return]
    known = ", ".join(get_args(Said))
    raise Refused(f"metadata: {given[:40]!r} is not one of {known}.", field="metadata")
