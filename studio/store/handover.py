"""An import that a command hands to the studio that runs, by small files in the data folder.

The folder has one writer, and that is the studio; who may write into the folder may ask it. The
question stands there until it is answered, so a studio that is started again goes on with it. The
answer is written anew while it grows.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from studio.errors import InUse, NotFound, Unavailable
from studio.store.files import PART
from studio.store.ids import new_id
from studio.store.importing import Tally

FOLDER = "imports"
ASKED, TOLD, STOP = ".json", ".told", ".stop"
LOOKS_SECONDS = 0.2
# Seconds: after 30 no studio is there that knows of this. It tells each second, but a picture may
# take a minute.
PATIENCE = (30.0, 90.0)
OVER = ("done", "stopped", "failed")
KEPT_SECONDS = 86_400.0  # an answer that nobody read


@dataclass(frozen=True, slots=True)
class Asked:
    id: str
    folder: str
    owner: str
    host: str


@dataclass(slots=True)
class Told:
    """How far it is, of `total` that look like pictures. `said` is why it failed as a whole."""

    state: Literal["waiting", "running", "done", "stopped", "failed"] = "running"
    name: str = ""
    total: int = 0
    said: str = ""
    tally: Tally = field(default_factory=Tally)


# The command's side


def ask(data: Path, folder: Path, owner: str) -> str:
    key = new_id()
    question = {"folder": str(folder), "owner": owner, "host": socket.gethostname()}
    try:
        (data / FOLDER).mkdir(exist_ok=True)
        _write(data / FOLDER / f"{key}{ASKED}", question)
    except OSError as error:
        raise Unavailable(f"import: {data / FOLDER}: {error.strerror}.") from None
    return key


def follow(
    data: Path,
    key: str,
    busy: InUse,
    stopped: Callable[[], bool] = lambda: False,
    patience: tuple[float, float] = PATIENCE,
) -> Iterator[Told]:
    """What the studio tells, until it is over: all that came in, also where `stopped` wants no
    more. `busy` is raised if none takes it up."""
    heard, was, told = time.monotonic(), 0, None
    while told is None or told.state not in OVER:
        time.sleep(LOOKS_SECONDS)
        if stopping := stopped():
            with suppress(NotFound):  # it was over in this moment
                stop(data, key)
        if (now := _changed(data / FOLDER / f"{key}{TOLD}")) != was:
            heard, was, told = time.monotonic(), now, read(data, key) or told
        if told is not None:
            yield told
        if stopping and (told is None or told.state == "waiting"):
            return  # nothing came in, and nothing will
        if time.monotonic() - heard < patience[told is not None]:
            continue
        if told is None:
            forget(data, key)
            raise busy
        raise Unavailable(
            "import: the studio says nothing any more. It goes on with this at its next start; or "
            "begin it again then."
        )
    forget(data, key)


def stop(data: Path, key: str) -> None:
    """After the picture that is looked at just now."""
    if key not in _keys(data, ASKED):
        raise NotFound(f"import: {key[:64]!r} is not on its way.", field="id")
    (data / FOLDER / f"{key}{STOP}").touch()


def forget(data: Path, key: str) -> None:
    for ending in (ASKED, TOLD, STOP):
        (data / FOLDER / f"{key}{ending}").unlink(missing_ok=True)


# The studio's side


def asked(data: Path) -> list[Asked]:
    """What is to be done, the oldest first."""
    found = []
    for key in _keys(data, ASKED):
        try:
            told = json.loads((data / FOLDER / f"{key}{ASKED}").read_text(encoding="utf-8"))
            found.append(Asked(key, str(told["folder"]), str(told["owner"]), str(told["host"])))
        except FileNotFoundError:
            continue  # who asked has taken it back
        except (OSError, ValueError, KeyError, TypeError):
            end(data, key, Told("failed", said="import: what was asked cannot be read."))
    return found


def is_stopped(data: Path, key: str) -> bool:
    return (data / FOLDER / f"{key}{STOP}").exists()


def tell(data: Path, key: str, told: Told) -> None:
    _write(data / FOLDER / f"{key}{TOLD}", asdict(told))


def end(data: Path, key: str, told: Told) -> None:
    tell(data, key, told)
    for ending in (ASKED, STOP):
        (data / FOLDER / f"{key}{ending}").unlink(missing_ok=True)


def all_told(data: Path) -> dict[str, Told]:
    """Those that wait have told nothing yet."""
    waiting = {key: Told("waiting") for key in _keys(data, ASKED)}
    return waiting | {key: told for key in _keys(data, TOLD) if (told := read(data, key))}


def read(data: Path, key: str) -> Told | None:
    try:
        told = json.loads((data / FOLDER / f"{key}{TOLD}").read_text(encoding="utf-8"))
        tally = told["tally"]
        counted = Tally(**tally | {"left": [(name, why) for name, why in tally["left"]]})
        return Told(**told | {"tally": counted})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def clear(data: Path, now: float) -> None:
    """Answers that nobody came for, and what a killed command left half."""
    with suppress(FileNotFoundError):
        for file in (data / FOLDER).iterdir():
            asks = not file.name.startswith(PART) and file.with_suffix(ASKED).exists()
            if not asks and file.stat().st_mtime < now - KEPT_SECONDS:
                file.unlink(missing_ok=True)


def _keys(data: Path, ending: str) -> list[str]:
    try:
        names = os.listdir(data / FOLDER)
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(ending) for name in names if _is(name, ending))


def _is(name: str, ending: str) -> bool:
    return name.endswith(ending) and not name.startswith(PART)


def _write(file: Path, what: dict[str, Any]) -> None:
    """Whole or not there. It may be lost with the machine's power; then it is asked again."""
    part = file.with_name(f"{PART}{file.name}")
    part.write_text(json.dumps(what), encoding="utf-8")
    part.replace(file)


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
