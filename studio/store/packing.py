"""Pictures of the history as one ZIP: their files unchanged, and two manifests that tell of them.

`manifest.json` has the recipe of each and what is wrong with it; `manifest.csv` is for a table.
It is given away as a stream, and holds one piece of one picture at a time.
"""

import csv
import hashlib
import io
import json
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from studio.errors import NotFound, Unavailable
from studio.formats.filename import unlike
from studio.formats.rewrite import Said, saying
from studio.formats.zip64 import IN_MEMORY, PIECE, Zip
from studio.store.naming import ending_of, stem_of
from studio.store.rows import Picture
from studio.store.selecting import rows
from studio.store.store import Store

MANIFESTS = ("manifest.json", "manifest.csv")
FACTS = ("id", "job", "index", "created_at", "owner", "width", "height")
ASKED = ("negative_prompt", "steps", "guidance", "sampler")  # of the request, for the table
COLUMNS: tuple[str, ...] = (
    "file",
    "state",
    "id",
    "job",
    "index",
    "created_at",
    "owner",
    "model",
    "seed",
)
COLUMNS += ("width", "height", "bytes", "sha256", "prompt", *ASKED)
FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # what a table would compute instead of showing it


def pack(store: Store, ids: Sequence[str], name: str = "", said: Said = "all") -> Iterator[bytes]:
    """The bytes of the ZIP, in their order. `name` is a template, already checked; without one each
    picture is called as when it is downloaded alone. `said` is what pictures and manifests tell."""
    now, taken = time.time(), set(MANIFESTS)
    with (
        Zip() as archive,
        tempfile.SpooledTemporaryFile(IN_MEMORY) as told,
        tempfile.SpooledTemporaryFile(IN_MEMORY) as table,
    ):
        packed = 0
        _write_row(table, dict(zip(COLUMNS, COLUMNS, strict=True)))
        for counter, (key, picture) in enumerate(rows(store.database, ids), 1):
            about: dict[str, Any] = {"file": None, "state": "deleted", "id": key}
            if picture is not None:
                called = unlike(stem_of(store, picture, name, counter), ending_of(picture), taken)
                yield from _picture(archive, store, picture, called, said, about)
            packed += about["file"] is not None
            _write_row(table, about)
            told.write(b",\n" * (counter > 1) + json.dumps(about, ensure_ascii=False).encode())
        ends = {"made_at": now, "asked": len(ids), "packed": packed, "missing": len(ids) - packed}
        yield from archive.deflated(MANIFESTS[0], now, _manifest(told, ends))
        table.seek(0)
        yield from archive.deflated(MANIFESTS[1], now, iter(lambda: table.read(PIECE), b""))
        yield from archive.end()


def _picture(
    archive: Zip, store: Store, picture: Picture, called: str, said: Said, about: dict[str, Any]
) -> Iterator[bytes]:
    """Read twice: for its checksum, then to be sent. `about` learns what came of it."""
    about |= _about(picture, said) | {"state": "missing", "file": None}
    try:
        file = store.file(picture).open("rb")
    except (NotFound, OSError):
        return
    with file:
        size, checksum, now = _sums(file)
        about |= {"state": "whole" if now == picture.sha256 else "changed", "file": called}
        sent: IO[bytes] = file
        if said != "all":
            sent = io.BytesIO(saying(file.read(), said))
            size, checksum, now = _sums(sent)
        about |= {"sha256": now, "bytes": size}
        pieces = iter(lambda: sent.read(PIECE), b"")
        try:
            yield from archive.stored(called, picture.created_at, size, checksum, pieces)
        except ValueError as error:
            raise Unavailable(f"A picture changed while it was packed: {error}.") from None


def _sums(file: IO[bytes]) -> tuple[int, int, str]:
    """Its size, its CRC-32 and its SHA-256; it stands at its beginning again."""
    checksum, size, content = 0, 0, hashlib.sha256()
    while piece := file.read(PIECE):
        checksum, size = zlib.crc32(piece, checksum), size + len(piece)
        content.update(piece)
    file.seek(0)
    return size, checksum, content.hexdigest()


def _about(picture: Picture, said: Said) -> dict[str, Any]:
    """No more than the picture itself is to say."""
    told = {name: getattr(picture, name) for name in FACTS}
    told |= {"bytes": picture.bytes, "sha256": picture.sha256, "kept_sha256": picture.sha256}
    if said == "none":
        return told
    request = picture.recipe.get("request", {})
    told |= {"model": picture.model, "seed": picture.known_seed, "prompt": picture.prompt}
    told |= {name: request.get(name) for name in ASKED}
    return told | ({"recipe": picture.recipe} if said == "all" else {})


def _manifest(pictures: IO[bytes], ends: Mapping[str, object]) -> Iterator[bytes]:
    pictures.seek(0)
    yield b'{"version": 1, ' + json.dumps(ends).encode()[1:-1] + b', "pictures": [\n'
    while piece := pictures.read(PIECE):
        yield piece
    yield b"\n]}\n"


def _write_row(table: IO[bytes], about: Mapping[str, Any]) -> None:
    text = io.StringIO()
    csv.writer(text).writerow(_cell(about.get(name)) for name in COLUMNS)
    table.write(text.getvalue().encode())


def _cell(value: object) -> object:
    """Text that begins like a formula is shown as text: prompts may come from anywhere."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
