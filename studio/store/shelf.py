"""Where pictures lie in the data folder, under which names, and what is tidied up at start.

pictures/<template>.<ending>, thumbs/<the same>.webp, inputs/<sha256>, lost+found/ for what has no
row, and `paused` while nothing is begun. It knows no database: who asks says which names are taken.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from studio import messages
from studio.errors import CannotStart, NotFound, Refused, Unavailable
from studio.formats.filename import ENDINGS, check_template, render, values_of
from studio.store.files import PART, Files, Save
from studio.store.ids import new_id
from studio.store.rows import Job, Picture

PAUSED = "paused"
LOST = "lost+found"
BROUGHT = "pictures/imported/"  # what came from elsewhere
CLOCK_SECONDS = 60  # a file server's clock may differ from ours by this much

log = logging.getLogger("darkroom.store")


class Shelf:
    def __init__(self, root: Path, template: str, files: Files) -> None:
        try:
            check_template(template, "file_name")
        except Refused as error:
            raise CannotStart(f"Setting {error}") from None
        self._root = root
        self._template = template
        self._files = files
        self._naming = threading.Lock()

    def lay(
        self,
        job: Job,
        painted: messages.Painted,
        now: float,
        taken: Callable[[str], bool],
        group: Callable[[str], str],
    ) -> tuple[Save, tuple[Picture, ...]]:
        """The files, durable, under names of their own. `taken` says whether a row has a thumb."""
        save = Save(self._files, f"{job.id}-{painted.token}")
        rows: list[Picture] = []
        with save.or_undo():
            its = group(job.id) if "{group}" in self._template else ""
            written = [self._write(save, job, picture, now, its) for picture in painted.pictures]
            with self._naming:
                for picture, (wanted, file, thumb) in zip(painted.pictures, written, strict=True):
                    ending = ENDINGS[picture.format]
                    stem = next(s for s in _numbered(wanted) if self._free(s, ending, taken))
                    rows.append(_row(job, picture, painted.recipe, now, stem, ending))
                    save.rename(file, self._root / rows[-1].path)
                    save.rename(thumb, self._root / rows[-1].thumb)
            save.sync_folders()
        return save, tuple(rows)

    def saving(self) -> Save:
        """For several pictures from elsewhere, whose folders are synced once for all."""
        return Save(self._files, "import")

    def bring(
        self,
        save: Save,
        stem: str,
        ending: str,
        content: tuple[bytes, bytes],
        taken: Callable[[str], bool],
    ) -> tuple[str, str]:
        """A picture and its thumb, under this name or the next that is free; where both lie."""
        file = save.write((self._root / "pictures" / stem).parent, content[0])
        small = save.write((self._root / "thumbs" / stem).parent, content[1])
        with self._naming:
            free = next(
                s
                for s in _numbered(stem)
                if self._free(s, ending, taken) or self._left(s, ending, content[0], taken)
            )
            path, thumb = f"pictures/{free}{ending}", f"thumbs/{free}.webp"
            save.rename(file, self._root / path)
            save.rename(small, self._root / thumb)
        return path, thumb

    def lose(self, path: Path, name: str) -> Path:
        """Out of the way, and where it lay can still be told."""
        whole = self._root / LOST / name
        stems = (whole.with_name(s + whole.suffix) for s in _numbered(whole.stem))
        target = next(one for one in stems if not one.exists())
        self._files.make_folder(target.parent)
        self._files.replace(path, target)
        return target

    def put_back(self, lost: Path, name: str, taken: Callable[[str], bool]) -> None:
        """Among the pictures again, under its name or the next that is free."""
        inside = Path(name).relative_to("pictures").with_suffix("").as_posix()
        free = next(s for s in _numbered(inside) if self._free(s, lost.suffix, taken))
        target = self._root / f"pictures/{free}{lost.suffix}"
        self._files.make_folder(target.parent)
        self._files.replace(lost, target)

    @property
    def _paused(self) -> Path:
        return self._root / PAUSED

    def paused(self) -> bool:
        return self._paused.exists()

    def pause(self, on: bool) -> None:
        """As a file, so that a line that was stopped before a restart does not go on after it."""
        try:
            if on and not self.paused():
                save = Save(self._files, "pause")
                with save.or_undo():
                    save.rename(save.write(self._root, b""), self._paused)
                    save.sync_folders()
            elif not on:
                self._files.remove(self._paused)
                self._files.sync_folder(self._root)
        except OSError as error:
            raise Unavailable(f"That could not be written down: {error.strerror}.") from error

    def lay_input(self, data: bytes) -> str:
        """Named by its content, so the same picture lies there once."""
        name = sha256(data).hexdigest()
        if not (self._root / "inputs" / name).is_file():
            save = Save(self._files, "input")
            with save.or_undo():
                part = save.write(self._root / "inputs", data)
                save.rename(part, self._root / "inputs" / name)
                save.sync_folders()
        return name

    def drop(self, names: Sequence[str]) -> None:
        """Pictures and thumbs whose rows have ended, if they are still there."""
        try:
            for name in names:
                self._files.remove(self._root / name)
            for folder in {(self._root / name).parent for name in names}:
                if folder.is_dir():
                    self._files.sync_folder(folder)
        except OSError as error:
            raise Unavailable(f"A file could not be removed: {error.strerror}.") from error

    def find(self, folder: str, path: str) -> Path:
        """The file, if it is there and does lie in that folder of ours."""
        home = (self._root / folder).resolve()
        file = (self._root / path).resolve()
        if not file.is_relative_to(home) or not file.is_file():
            raise NotFound("The file is no longer in the data folder.")
        return file

    def sweep(
        self, known: set[str], since: float | None, half_done: Callable[[bytes], bool]
    ) -> None:
        """Removes half files. What the last server (running since then) wrote without a row goes to
        lost+found; what is older was put there by somebody else and stays, and so does a picture
        of a job that is over.
        """
        strangers: set[str] = set()
        for path in files_in(self._root, "pictures", "thumbs", "inputs"):
            name = path.relative_to(self._root).as_posix()
            stem = name.partition("/")[2].rpartition(".")[0]
            if path.name.startswith(PART):
                self._files.remove(path)
            elif (
                since
                and name not in known
                and not name.startswith("inputs/")
                and path.stat().st_mtime >= since - CLOCK_SECONDS
            ):
                brought = name.startswith(BROUGHT)  # which goes on where it broke off
                if name.startswith("pictures/") and (brought or not half_done(path.read_bytes())):
                    strangers.add(stem)
                elif stem not in strangers:
                    target = self.lose(path, name).relative_to(self._root).as_posix()
                    log.warning("%s belongs to no picture; it was moved to %s", name, target)
        if strangers:
            log.warning(
                "%d pictures are not in the history; python app.py recover finds them again",
                len(strangers),
            )

    def _write(
        self, save: Save, job: Job, picture: messages.Picture, now: float, group: str
    ) -> tuple[str, Path, Path]:
        values = values_of(
            job.request,
            job.wish,
            at=now,
            job=job.id,
            index=picture.index,
            counter=job.seq,
            group=group,
            model=job.model,
            seed=picture.seed,
            width=picture.width,
            height=picture.height,
        )
        stem = render(self._template, values)
        file = save.write((self._root / "pictures" / stem).parent, picture.data)
        thumb = save.write((self._root / "thumbs" / stem).parent, picture.thumb)
        return stem, file, thumb

    def _left(self, stem: str, ending: str, data: bytes, taken: Callable[[str], bool]) -> bool:
        """Whether this very picture lies there, of an import that was killed before its row."""
        file = self._root / f"pictures/{stem}{ending}"
        if not file.is_file() or file.stat().st_size != len(data) or taken(f"thumbs/{stem}.webp"):
            return False
        return file.read_bytes() == data

    def _free(self, stem: str, ending: str, taken: Callable[[str], bool]) -> bool:
        thumb = f"thumbs/{stem}.webp"
        paths = (self._root / thumb, self._root / f"pictures/{stem}{ending}")
        return not any(path.exists() for path in paths) and not taken(thumb)


def files_in(root: Path, *folders: str) -> Iterator[Path]:
    for folder in folders:
        for parent, _, names in os.walk(root / folder):
            yield from (Path(parent, name) for name in names)


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    yield from (f"{stem}-{number}" for number in count(2))


def _row(
    job: Job,
    picture: messages.Picture,
    recipe: dict[str, Any],
    now: float,
    stem: str,
    ending: str,
) -> Picture:
    return Picture(
        id=new_id(),
        job=job.id,
        index=picture.index,
        path=f"pictures/{stem}{ending}",
        thumb=f"thumbs/{stem}.webp",
        sha256=sha256(picture.data).hexdigest(),
        bytes=len(picture.data),
        width=picture.width,
        height=picture.height,
        seed=picture.seed,
        format=picture.format,
        recipe=recipe | picture.own,
        created_at=now,
        owner=job.owner,
        model=job.model,
        prompt=job.request["prompt"],
    )
