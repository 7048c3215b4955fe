"""Which tensors a file of weights holds, by its table of contents alone: safetensors or PyTorch's.

A PyTorch file is a pickle, which may name any function to be run. This one knows four names and
runs none of them; whatever else a file asks for ends the reading. No number of a tensor is read.
"""

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from studio.formats.safetensors import read_header

LONGEST = 16 * 2**20  # bytes of a table; the longest seen are a tenth of it
PICKLED = (".pth", ".pt", ".ckpt", ".bin")
AVERAGED = ("params_ema", "params", "state_dict")  # where trainers keep them; the averaged first
# What a pickle that is torn or made up ends in.
SPOILT = (
    *(LookupError, TypeError, AttributeError, ValueError, MemoryError),
    *(struct.error, AssertionError, OverflowError),
)
Shapes = dict[str, tuple[int, ...]]


def table(file: Path) -> tuple[Shapes, dict[str, str]]:
    """The shapes by name, and what the file says of itself; `ValueError` says what is wrong."""
    if file.suffix.lower() in PICKLED:
        return _pickled(file), {}
    header = read_header(file)
    return header.shapes, header.says


def inmost(held: Any) -> Any:
    """The tensors themselves, out of what a trainer wrapped them into."""
    if isinstance(held, Mapping):
        for name in AVERAGED:
            if isinstance(held.get(name), Mapping):
                return held[name]
    return held


def _pickled(file: Path) -> Shapes:
    try:
        with file.open("rb") as opened:
            held = inmost(_zipped(file) if zipfile.is_zipfile(opened) else _plain(file))
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, RecursionError) as error:
        raise ValueError(f"it is no PyTorch file of plain tensors: {error}") from None
    except SPOILT:
        raise ValueError("it is no PyTorch file of plain tensors") from None
    if not isinstance(held, Mapping):
        raise ValueError("it holds no table of tensors")
    return {name: one for name, one in held.items() if isinstance(one, _Shape)}


def _zipped(file: Path) -> Any:
    with zipfile.ZipFile(file) as archive:
        (name, *_) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if archive.getinfo(name).file_size > LONGEST:
            raise pickle.UnpicklingError("its table is too long")
        with archive.open(name) as opened:
            return _Table(opened).load()


def _plain(file: Path) -> Any:
    """As PyTorch wrote before 1.6: a number, a version and the system, then the table."""
    with file.open("rb") as opened:
        for _ in range(3):
            _Table(opened).load()
        return _Table(opened).load()


class _Shape(tuple[int, ...]):
    """What stands here for a tensor."""


class _Table(pickle._Unpickler):
    """The one in Python: that in C makes room for as many things as a file of ten bytes says."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, *more: _Shape(size)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *more: tensor
        if module == "torch" and name.endswith("Storage"):
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> None:
        return None
