"""What crosses the process border: small frozen messages with a msgpack form, in both directions.

Bytes travel inside them, never paths to pictures and never a pickle. A `token` comes back with
every answer, so that the words of a worker that lost its lease are recognised and dropped.
"""

import struct
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO, ClassVar

import msgpack


@dataclass(frozen=True, slots=True)
class Paint:
    """To the worker: paint this. `request` and `card` are JSON; `folder` holds the weights.

    `upscaler` is the file of the network that enlarges, if the picture is to be enlarged; `loras`
    are the files of the LoRAs by name, `inputs` the pictures it is painted from, as PNG by their
    hashes. So many of its pictures as `at_once` enter one pass. `ahead` says that the next job
    may begin while the last file of this one is made.
    """

    kind: ClassVar[str] = "paint"
    job: str
    token: int
    request: dict[str, Any]
    card: dict[str, Any]
    folder: str
    upscaler: str = ""
    loras: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, bytes] = field(default_factory=dict)
    at_once: int = 1
    wish: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Together:
    """To the worker: these differ in words and seeds alone; paint them side by side.

    Each is answered as if it were alone. `at_once` of the first counts.
    """

    kind: ClassVar[str] = "together"
    jobs: tuple[Paint, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """To the worker: have this model in memory before the first wish for it."""

    kind: ClassVar[str] = "load"
    card: dict[str, Any]
    folder: str


@dataclass(frozen=True, slots=True)
class Unload:
    """To the worker: the memory of this model is needed for another."""

    kind: ClassVar[str] = "unload"
    model: str


@dataclass(frozen=True, slots=True)
class Cancel:
    kind: ClassVar[str] = "cancel"
    job: str
    token: int


@dataclass(frozen=True, slots=True)
class Leave:
    """To the worker: finish nothing more, and exit."""

    kind: ClassVar[str] = "leave"


@dataclass(frozen=True, slots=True)
class Hello:
    """From the worker, once it can paint. `device` is what it found, with the reason in words."""

    kind: ClassVar[str] = "hello"
    pid: int
    device: str
    reason: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Loading:
    kind: ClassVar[str] = "loading"
    job: str
    token: int
    what: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The answer to `Load`; `why` it could not be, if so."""

    kind: ClassVar[str] = "loaded"
    model: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of one picture is done. `preview` is a small WebP, or empty.

    `stage` is in words what follows after the last step, where that takes its time.
    """

    kind: ClassVar[str] = "progress"
    job: str
    token: int
    index: int
    step: int
    steps: int
    preview: bytes = b""
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Writing:
    """Nothing of this job is left but its last file; the next may begin meanwhile."""

    kind: ClassVar[str] = "writing"
    job: str
    token: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished file, whole: the store only has to write the bytes.

    `own` is what its recipe says beyond that of its job; `likeness` is how it looks, in 64 bits.
    """

    index: int
    seed: int
    width: int
    height: int
    format: str
    data: bytes
    thumb: bytes
    own: dict[str, Any] = field(default_factory=dict)
    likeness: int | None = None


@dataclass(frozen=True, slots=True)
class Painted:
    """`recipe` is what painted it; `timings` are seconds by stage; `warnings` the worker's own."""

    kind: ClassVar[str] = "painted"
    job: str
    token: int
    pictures: tuple[Picture, ...]
    recipe: dict[str, Any]
    timings: dict[str, float]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """`code` is for programs; `sentence` is for the asker; `detail` goes to the log only."""

    kind: ClassVar[str] = "failed"
    job: str
    token: int
    code: str
    sentence: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Cancelled:
    kind: ClassVar[str] = "cancelled"
    job: str
    token: int


@dataclass(frozen=True, slots=True)
class Worn:
    """From the worker, before the end of its job: a new process should follow it."""

    kind: ClassVar[str] = "worn"
    why: str


ToWorker = Paint | Together | Load | Unload | Cancel | Leave
FromWorker = Hello | Loading | Loaded | Progress | Writing | Painted | Failed | Cancelled | Worn
OfJob = Loading | Progress | Writing | Painted | Failed | Cancelled
_TYPES = {
    kind.kind: kind
    for kind in (
        *(Paint, Together, Load, Unload, Cancel, Leave),
        *(Hello, Loading, Loaded, Progress, Writing, Painted, Failed, Cancelled, Worn),
    )
}


def pack(message: ToWorker | FromWorker) -> bytes:
    packed: bytes = msgpack.packb({"kind": message.kind, **asdict(message)})
    return packed


def unpack(data: bytes) -> ToWorker | FromWorker:
    fields = msgpack.unpackb(data, use_list=True)
    kind = fields.pop("kind")
    if kind == "painted":
        fields["pictures"] = tuple(Picture(**picture) for picture in fields["pictures"])
    if kind == "together":
        return Together(tuple(_message("paint", each) for each in fields["jobs"]))
    message: ToWorker | FromWorker = _message(kind, fields)
    return message


def _message(kind: str, fields: dict[str, Any]) -> Any:
    if "warnings" in fields:
        fields["warnings"] = tuple(fields["warnings"])
    return _TYPES[kind](**fields)


def write_frame(stream: BinaryIO, message: ToWorker | FromWorker) -> None:
    write_bytes(stream, pack(message))


def read_frame(stream: BinaryIO) -> ToWorker | FromWorker | None:
    """The next message, or None when the other side has gone, even in the middle of a message."""
    data = read_bytes(stream)
    return None if data is None else unpack(data)


def write_bytes(stream: BinaryIO, data: bytes) -> None:
    stream.write(struct.pack(">I", len(data)) + data)
    stream.flush()


def read_bytes(stream: BinaryIO) -> bytes | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    data = stream.read(length)
    return data if len(data) == length else None
