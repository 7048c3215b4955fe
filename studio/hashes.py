"""Hashes of what a model holds on this disk: which files are loaded, and what is in them.

Known without loading anything, so that it can be told before painting whether a model is still the
one that painted a picture.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from studio.catalog import ModelCard

WHOLE_BYTES = 2**30  # above, only samples are read: 7 GB would add seconds to every load
SAMPLE = 2**20


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
    state = file.stat()
    return _file_hash(str(file), state.st_mtime_ns, state.st_size)


def file_state(file: Path) -> tuple[int, int] | None:
    """What changes when the file does: its time and its size; None if it is not there."""
    try:
        state = file.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


@lru_cache(maxsize=4096)
def _file_hash(file: str, _changed: int, _size: int) -> str:
    with Path(file).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def tensor_hash(file: Path) -> str:
    """SHA-256 of a safetensors file behind its header: what LoRAs are known by elsewhere, since
    it stays the same when somebody changes what the file says of itself."""
    state = file.stat()
    return _tensor_hash(str(file), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4096)
def _tensor_hash(file: str, _changed: int, _size: int) -> str:
    with Path(file).open("rb") as opened:
        opened.seek(8 + int.from_bytes(opened.read(8), "little"))
        return hashlib.file_digest(opened, "sha256").hexdigest()


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
