"""What store tests share: settled wishes from the real catalog, painted answers, broken disks."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from studio.messages import Painted, Picture
from studio.request import ImageRequest
from studio.settings import Settings
from studio.store.files import Files
from studio.store.ids import new_id
from studio.store.rows import Job, Room
from studio.store.rows import Picture as KeptPicture
from studio.store.schema import MIGRATIONS
from studio.store.store import Store
from studio.wishes.catalog import Settled
from studio.wishes.presets import load_catalog

CATALOG = load_catalog(Settings().presets, "test-pattern")


def wish(prompt: str = "a red car", **fields: object) -> Settled:
    return CATALOG.settle(ImageRequest.model_validate({"prompt": prompt, "seed": 7, **fields}))


def submit(store: Store, *wishes: Settled, **given: object) -> list[Job]:
    return store.submit(wishes or (wish(),), **{"room": Room(1000), **given})  # type: ignore[arg-type]


def claimed(store: Store, **fields: object) -> Job:
    """A job that is being painted."""
    job = store.claim(submit(store, wish(**fields))[0].id, "slot0")  # type: ignore[arg-type]
    assert job
    return job


def painted(job: Job, *, token: int | None = None, warnings: tuple[str, ...] = ()) -> Painted:
    pictures = tuple(
        Picture(index, 7 + index, 64, 64, "png", b"picture %d" % index * 500, b"thumb %d" % index)
        for index in range(job.request["count"])
    )
    token = job.token if token is None else token
    return Painted(job.id, token, pictures, {"by": token}, {"total": 2.5}, warnings)


def kept(
    store: Store,
    prompt: str = "a red car",
    *,
    at: float = 1.8e9,
    became: Mapping[str, object] | None = None,
    content: str = "",
    **fields: object,
) -> list[str]:
    """Ids of pictures in the history, without files: for what looks at rows alone. `became` is what
    else stands in the settled request."""
    settled = wish(prompt, **fields)
    request = settled.request.model_copy(update=dict(became or {}))
    width = request.width or 0
    rows = [
        KeptPicture(
            id=new_id(at + index / 1000),
            job="",
            index=index,
            path=f"pictures/{new_id()}.png",
            thumb=f"thumbs/{new_id()}.webp",
            sha256=content or f"{secrets.randbits(256):064x}",
            bytes=1000,
            width=width,
            height=request.height or 0,
            seed=seed,
            format=request.output_format,
            recipe={"warnings": []},
            created_at=at,
            owner=request.owner,
            model=request.model,
            prompt=request.prompt,
        )
        for index, seed in enumerate(request.seeds())
    ]
    store.adopt(request, settled.wish.model_dump(mode="json"), rows, at, "")
    return [row.id for row in rows]


def files_in(data: Path) -> list[str]:
    """Every file of pictures, thumbs and inputs, whole or not."""
    folders = ("pictures", "thumbs", "inputs")
    found = (path for name in folders for path in (data / name).rglob("*") if path.is_file())
    return sorted(path.relative_to(data).as_posix() for path in found)


def first_migration(folder: Path) -> Path:
    """The migrations as the first version had them."""
    return migrations_to("0001", folder)


def migrations_to(last: str, folder: Path) -> Path:
    old = folder / "migrations"
    shutil.copytree(MIGRATIONS, old)
    for later in old.glob("versions/0*.py"):
        if later.name[:4] > last:
            later.unlink()
    return old


class WatchedFiles(Files):
    """Real files; `watch` hears of each effect first and may raise instead of letting it happen."""

    def __init__(self, watch: Callable[[str, Path], None]) -> None:
        self.watch = watch

    def write(self, path: Path, data: bytes) -> None:
        try:
            self.watch("write", path)
        except OSError:
            path.write_bytes(data[: len(data) // 2])  # a full disk leaves the beginning behind
            raise
        super().write(path, data)

    def sync(self, descriptor: int) -> None:
        self.watch("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        super().sync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self.watch("replace", target)
        super().replace(source, target)


class FailsAt:
    """Counts effects; the N-th one meets a full disk. With `for_good`, all later ones too."""

    def __init__(self, number: int = 0, *, for_good: bool = False) -> None:
        self.number, self.for_good, self.seen = number, for_good, 0

    def __call__(self, *_: object) -> None:
        self.seen += 1
        if self.seen == self.number or (self.for_good and self.seen > self.number > 0):
            raise OSError(errno.ENOSPC, "No space left on device")
