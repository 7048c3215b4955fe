"""Pictures from elsewhere, taken into the history: the originals are read and stay as they are.

Each is copied unchanged, known by its content, so that the same one comes in once however often it
is brought. A few share a transaction; files come first, as everywhere. Any number takes no more
memory than some pictures do.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from sqlalchemy import select

from studio.errors import Refused, Unavailable, sayable
from studio.formats.filename import ENDINGS, safe_name
from studio.store import jobs, pictures
from studio.store.files import Save
from studio.store.foreign import Foreign, understood
from studio.store.glancing import Glance, Glances, glances
from studio.store.ids import new_id
from studio.store.rows import Picture
from studio.store.shelf import BROUGHT
from studio.store.store import Store
from studio.store.tables import picture

AT_ONCE = 16  # files whose rows share a transaction
MUCH = 64 << 20  # bytes, after which no further one is held beside them
MOST_BYTES = 100 << 20
LOOKS_LIKE = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp"}

_one_by_one = threading.Lock()  # or two who bring the same picture would both find it new


@dataclass(frozen=True, slots=True)
class Given:
    """A picture to take in. `name` is as its owner knows it, with `/`; `at` is when it was made."""

    name: str
    data: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """`picture` is the one that came in, or that was known already; `why` says why none is."""

    name: str
    picture: str = ""
    known: bool = False
    why: str = ""


@dataclass(slots=True)
class Tally:
    """What came of many. `left` did not come in; `passed` counts what is no picture, by endings."""

    new: int = 0
    known: int = 0
    left: list[tuple[str, str]] = field(default_factory=list)
    passed: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        if outcome.why:
            self.left.append((outcome.name, outcome.why))
        elif outcome.known:
            self.known += 1
        else:
            self.new += 1

    @property
    def looked(self) -> int:
        return self.new + self.known + len(self.left)


@dataclass(slots=True)
class _Fresh:
    foreign: Foreign
    row: Picture
    name: str


def take_in(
    store: Store,
    given: Iterable[Given | Outcome],
    owner: str = "local",
    *,
    stop: Callable[[], bool] = lambda: False,
    gentle: bool = False,
) -> Iterator[Outcome]:
    """What came of each, in their order. One that could not even be read comes as its outcome.
    `stop` is asked before each; `gentle` leaves the machine to others."""
    if store.reading:
        raise Unavailable(store.reading)
    batch = f"import-{new_id()}"
    with glances(read=True, gentle=gentle) as looking:
        for some in _few(given):
            with _one_by_one:
                outcomes = _some(store, looking, some, owner, batch, stop)
            yield from outcomes
            if stop():
                return


def take_up(store: Store, data: Path, paths: Iterable[str]) -> Iterator[Outcome]:
    """Those that lie in the data folder already, brought by an import whose rows are gone."""
    batch = f"import-{new_id()}"
    with glances(read=True) as looking:
        for path in paths:
            try:
                content = (data / path).read_bytes()
                at, mark = (data / path).stat().st_mtime, sha256(content).hexdigest()
                if there := _known(store, [mark]).get(mark):
                    yield Outcome(path, there, known=True)
                    continue
                seen = looking.look(content)
            except Refused as error:
                yield Outcome(path, why=str(error))
                continue
            except OSError as error:
                yield Outcome(path, why=f"{error.strerror}.")
                continue
            thumb = Path("thumbs", *Path(path).parts[1:]).with_suffix(".webp").as_posix()
            save = store.saving()
            with save.or_undo():
                save.rename(save.write((data / thumb).parent, seen.thumb), data / thumb)
                save.sync_folders()
            one = Given(path.removeprefix(BROUGHT), content, at)
            fresh = _fresh(one, seen, mark, "local", path, thumb)
            _write_down(store, [fresh], batch)
            yield Outcome(path, fresh.row.id)


def of_folder(
    folder: Path, left: dict[str, int], stop: Callable[[], bool] = lambda: False
) -> Iterator[Given | Outcome]:
    """Its pictures, those of a folder in the order of their names. `left` counts, by their endings,
    the files that are none. `stop` is asked before each folder, for many may hold no picture."""
    closed: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=closed.append):
        if stop():
            return
        folders.sort()
        for path in (Path(parent, name) for name in folders):
            if path.is_symlink():  # it may lead back here
                why = "it leads to another folder; import that one."
                yield Outcome(f"{_called(path, folder)}/", why=why)
        for name in sorted(names):
            path = Path(parent, name)
            ending = path.suffix.lower()
            if ending not in LOOKS_LIKE:
                kind = sayable(ending or "no ending")
                left[kind] = left.get(kind, 0) + 1
                continue
            called = _called(path, folder)
            try:
                about = path.stat()
                if about.st_size > MOST_BYTES:
                    most = f"the most is {MOST_BYTES >> 20} MB"
                    yield Outcome(called, why=f"it has {about.st_size >> 20} MB; {most}.")
                else:
                    yield Given(called, path.read_bytes(), about.st_mtime)
            except OSError as error:
                yield Outcome(called, why=f"{error.strerror}.")
    yield from (_closed(error, folder) for error in closed)


def _closed(error: OSError, folder: Path) -> Outcome:
    """A folder below that cannot be listed."""
    return Outcome(f"{_called(Path(error.filename), folder)}/", why=f"{error.strerror}.")


def _called(path: Path, folder: Path) -> str:
    return sayable(path.relative_to(folder.parent).as_posix())


def how_many(folder: Path, stop: Callable[[], bool] = lambda: False) -> int:
    """By their names alone; `stop` is asked before each folder."""
    found = 0
    for _, _, names in os.walk(folder):
        if stop():
            break
        found += sum(Path(name).suffix.lower() in LOOKS_LIKE for name in names)
    return found


def check_folder(folder: Path, data: Path) -> None:
    if folder.is_file():
        sentence = f"import: {folder} is a file. Name the folder that it lies in."
        raise Refused(sentence, field="folder")
    if not folder.is_dir():
        raise Refused(f"import: there is no folder {folder}.", field="folder")
    inside, ours = folder.resolve(), data.resolve()
    if inside.is_relative_to(ours) or ours.is_relative_to(inside):
        raise Refused(
            f"import: {folder} and the data folder {data} lie in each other. What lies in the data "
            "folder already is taken up by 'python app.py recover'.",
            field="folder",
        )


def _few(given: Iterable[Given | Outcome]) -> Iterator[list[Given | Outcome]]:
    some, size = list[Given | Outcome](), 0
    for one in given:
        some.append(one)
        size += len(one.data) if isinstance(one, Given) else 0
        if len(some) == AT_ONCE or size >= MUCH:
            yield some
            some, size = [], 0
    if some:
        yield some


def _some(
    store: Store,
    looking: Glances,
    some: Sequence[Given | Outcome],
    owner: str,
    batch: str,
    stop: Callable[[], bool],
) -> list[Outcome]:
    marks = {id(one): sha256(one.data).hexdigest() for one in some if isinstance(one, Given)}
    known = _known(store, list(marks.values()))
    fresh: dict[str, _Fresh] = {}
    outcomes: list[Outcome] = []
    save = store.saving()
    with save.or_undo():
        for one in some:
            if stop():
                break
            if isinstance(one, Outcome):
                outcomes.append(one)
            elif there := known.get(mark := marks[id(one)]):
                outcomes.append(Outcome(one.name, there, known=True))
            else:
                outcomes.append(_bring(store, save, looking, one, mark, owner, fresh))
                known |= {mark: outcomes[-1].picture} if outcomes[-1].picture else {}
        save.sync_folders()
    try:
        _write_down(store, list(fresh.values()), batch)
    except BaseException:
        # A COMMIT that failed may have taken hold after all. If the database does not answer, the
        # files stay: better a file without a row than a row without its file.
        if not _known(store, list(fresh)):
            save.undo()
        raise
    return outcomes


def _known(store: Store, marks: Sequence[str]) -> dict[str, str]:
    with store.database.read() as connection:
        query = select(picture.c.sha256, picture.c.id).where(picture.c.sha256.in_(marks))
        return {mark: key for mark, key in connection.execute(query)}


def _bring(
    store: Store,
    save: Save,
    looking: Glances,
    one: Given,
    mark: str,
    owner: str,
    fresh: dict[str, _Fresh],
) -> Outcome:
    """Its files, durable; the row follows."""
    try:
        seen = looking.look(one.data)
    except Refused as error:
        return Outcome(one.name, why=str(error))
    content = (one.data, seen.thumb)
    path, thumb = store.bring(save, _stem(one.name), ENDINGS[seen.form], content)
    fresh[mark] = _fresh(one, seen, mark, owner, path, thumb)
    return Outcome(one.name, fresh[mark].row.id)


def _fresh(one: Given, seen: Glance, mark: str, owner: str, path: str, thumb: str) -> _Fresh:
    foreign = understood(seen, one.name, owner, one.at)
    row = Picture(
        id=new_id(one.at),
        job="",
        index=0,
        path=path,
        thumb=thumb,
        sha256=mark,
        bytes=len(one.data),
        width=seen.width,
        height=seen.height,
        seed=foreign.seed,
        format=seen.form,
        recipe=foreign.recipe,
        created_at=one.at,
        owner=owner,
        model=foreign.request.model,
        prompt=foreign.request.prompt,
    )
    return _Fresh(foreign, row, one.name)


def _stem(name: str) -> str:
    """Where it lies: as its owner had it, below a folder of ours."""
    *folders, last = name.split("/")
    stem = last.rpartition(".")[0] or last
    return "/".join(("imported", *(safe_name(part) for part in (*folders, stem))))


def _write_down(store: Store, fresh: Sequence[_Fresh], batch: str) -> None:
    """Of each a job that is done, and that nobody here painted."""
    if not fresh:
        return
    with store.database.write() as tx:
        rows = []
        for new in fresh:
            asked, at, note = new.foreign, new.row.created_at, f"imported: {new.name}"
            away = new.row.foreign
            job = jobs.adopt(tx, asked.request, asked.wish, (), at, note, batch, elsewhere=away)
            rows.append(replace(new.row, job=job.id))
        pictures.add(tx, tuple(rows))
