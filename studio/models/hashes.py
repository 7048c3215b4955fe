"""Hashes of what a model holds on this disk: which files are loaded, and what is in them.

Known without loading anything, so that it can be told before painting whether a model is still the
one that painted a picture.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

from studio.models.card import ModelCard
from studio.models.hash_book import HashBook, State, What, state_of

WHOLE_BYTES = 2**30  # above, only samples are read: 7 GB would add seconds to every load
SAMPLE = 2**20
BLOCK = 2**22  # bytes of two files that are compared at once

_book = HashBook()


def variant(folder: Path, card: ModelCard) -> str | None:
    """The card's variant, unless the folder was put there by hand without one."""
    if card.variant and any(folder.glob(f"*/*.{card.variant}*.safetensors")):
        return card.variant
    return None


def content_hash(folder: Path, card: ModelCard, parts: Mapping[str, Path]) -> tuple[str, str]:
    """SHA-256 over the weights that are loaded, and in words over which bytes. Of a checkpoint in
    one file it is the hash that other tools know it by."""
    if card.beside:
        file = next(iter(parts.values()))
        return file_hash(file), f"all bytes of {file.name}"
    return weights_hash(loaded_files(folder, card, parts))


def weights_hash(files: Sequence[tuple[str, Path]]) -> tuple[str, str]:
    """The same of some files, by component."""
    return _hash(tuple((name, str(f), f.stat().st_mtime_ns, f.stat().st_size) for name, f in files))


def loaded_files(
    folder: Path, card: ModelCard, parts: Mapping[str, Path]
) -> list[tuple[str, Path]]:
    """The files of weights that are loaded, by component."""
    files = [(file.parent.name, file) for file in _own_files(folder, variant(folder, card), parts)]
    return files + sorted(parts.items())


def file_hash(file: Path) -> str:
    """SHA-256 of all bytes, read once for each state of the file."""
    return _once(file, "all")


def tensor_hash(file: Path) -> str:
    """SHA-256 of a safetensors file behind its header: what LoRAs are known by elsewhere, since
    it stays the same when somebody changes what the file says of itself."""
    return _once(file, "tensors")


def keep_hashes_in(folder: Path) -> None:
    """Said once, at the start of a process; before that they are known to it alone."""
    global _book
    _book = HashBook(folder)


def is_hashed_whole(file: Path) -> bool:
    """Whether the hash of all its bytes is known without reading it."""
    return _book.find(file, "all") is not None


def is_hashed(file: Path) -> bool:
    """Whether both are."""
    return is_hashed_whole(file) and _book.find(file, "tensors") is not None


def _once(file: Path, what: What) -> str:
    if known := _book.find(file, what):
        return known
    state = state_of(file)
    with file.open("rb") as opened:
        if what == "tensors":
            opened.seek(8 + int.from_bytes(opened.read(8), "little"))
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    _book.note(file, what, state, found)
    return found


def file_state(file: Path) -> State | None:
    """What changes when the file does; None if it is not there."""
    try:
        return state_of(file)
    except OSError:
        return None


class Piece(NamedTuple):
    """A file in one state of it; or of a safetensors file all tensors whose names begin so."""

    file: str
    state: State | None
    prefix: str = ""

    @classmethod
    def of(cls, file: Path, prefix: str = "") -> Self:
        return cls(str(file.resolve()), file_state(file), prefix)

    @property
    def there(self) -> bool:
        """As it was."""
        return self.state is not None and self.state == file_state(Path(self.file))


def same_bytes(one: tuple[Piece, ...], other: tuple[Piece, ...]) -> bool:
    """Whether the same is in them, told by reading both as far as they agree; it is remembered.
    Where they differ that is soon known, and where not a hash of both would take twice as long."""
    return one == other or _same_bytes(*sorted((one, other)))


@lru_cache(maxsize=256)
def _same_bytes(one: tuple[Piece, ...], other: tuple[Piece, ...]) -> bool:
    if len(one) != len(other) or not all(each.there for each in (*one, *other)):
        return False
    try:
        return all(_same(*pair) for pair in zip(one, other, strict=True))
    except (OSError, ValueError, LookupError, TypeError):
        return False  # what cannot be read is not the same as anything


def _same(one: Piece, other: Piece) -> bool:
    spans = [_spans(piece) for piece in (one, other)]
    if [(name, size) for name, _, size in spans[0]] != [(name, size) for name, _, size in spans[1]]:
        return False
    with Path(one.file).open("rb") as first, Path(other.file).open("rb") as second:
        for (_, start, size), (_, begin, _) in zip(*spans, strict=True):
            first.seek(start)
            second.seek(begin)
            for left in range(size, 0, -BLOCK):
                length = min(left, BLOCK)
                if first.read(length) != second.read(length):
                    return False
    return True


def _spans(piece: Piece) -> list[tuple[str, int, int]]:
    """What is compared, where it begins and how long it is: the whole, or tensor by tensor."""
    if not piece.prefix:
        return [("", 0, Path(piece.file).stat().st_size)]
    with Path(piece.file).open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    found = []
    for name in sorted(name for name in header if name.startswith(piece.prefix)):
        about = header[name]
        start, end = about["data_offsets"]
        kind = f"{name} {about['dtype']} {about['shape']}"
        found.append((kind, 8 + length + start, end - start))
    return found


def _own_files(folder: Path, variant: str | None, parts: Mapping[str, Path]) -> list[Path]:
    files = sorted(folder.glob("*/*.safetensors"))
    if variant:
        files = [file for file in files if f".{variant}" in file.name]
    return [file for file in files if file.parent.name not in parts]


@lru_cache(maxsize=64)
def _hash(files: tuple[tuple[str, str, int, int], ...]) -> tuple[str, str]:
    whole = sum(size for *_, size in files) <= WHOLE_BYTES
    digest = hashlib.sha256()
    for component, path, _, size in files:
        digest.update(f"{component} {size}\n".encode())
        with Path(path).open("rb") as file:
            if whole:
                digest.update(hashlib.file_digest(file, "sha256").digest())
            else:
                digest.update(file.read(SAMPLE))  # holds the header: every tensor's name and shape
                file.seek(max(0, size - SAMPLE))
                digest.update(file.read(SAMPLE))
    return digest.hexdigest(), "all bytes" if whole else "first and last megabyte of each file"
