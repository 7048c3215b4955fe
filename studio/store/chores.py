"""What the studio does beside painting, in one thread of its own: what has had its time goes, once
a day, and folders come in that a command handed over.

Each step is small, and whole by itself wherever it is stopped; between them others have their turn.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from studio.errors import DarkroomError, Refused, sayable
from studio.settings import Settings
from studio.store import handover
from studio.store.handover import Asked, Told
from studio.store.history import DAY
from studio.store.importing import check_folder, how_many, of_folder, take_in
from studio.store.retention import Tidied, tidying
from studio.store.store import Store

LOOKS_SECONDS = 1.0
TELLS_SECONDS = 1.0
REST_SECONDS = 0.05  # between two steps of tidying
AGAIN_SECONDS = 3600.0  # after one that failed
BROKE = "import: something broke here; the log of the studio says what."

log = logging.getLogger("darkroom.store")


class Chores:
    def __init__(
        self,
        store: Store,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        looks: float = LOOKS_SECONDS,
    ) -> None:
        self._store, self._settings, self._clock, self._looks = store, settings, clock, looks
        self._stop = threading.Event()
        self._due = self._told_at = 0.0
        self._now: tuple[str, Told] | None = None
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="chores", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """What is being done ends with the picture or the step that it is at."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def tidy(self, rest: float = 0.0) -> None:
        """What failed is told where the last time is told, and tried again in an hour."""
        began = self._clock()
        done = Tidied(began)
        try:
            for _ in tidying(self._store, self._settings, done, self._clock):
                self._beat()
                if self._stop.wait(rest):
                    return
            self._due = began + DAY
        except (DarkroomError, OSError) as error:
            done.said = str(error)
            self._due = began + AGAIN_SECONDS
            log.warning("not tidied: %s", error)
        done.seconds = round(self._clock() - began, 1)
        try:
            done.keep(self._settings.data)
        except OSError as error:
            log.warning("that it was tidied could not be written down: %s", error.strerror)

    def _run(self) -> None:
        while not self._stop.wait(self._looks):
            try:
                self._tidy_if_due()
                for asked in handover.asked(self._settings.data):
                    if self._stop.is_set():
                        return
                    self._import(asked)
            except Exception:  # nobody looks after this thread; the next round may do better
                log.exception("a chore broke off")
                self._stop.wait(AGAIN_SECONDS / 60)

    def _tidy_if_due(self) -> None:
        if self._clock() >= self._due:
            self.tidy(REST_SECONDS)

    def _import(self, asked: Asked) -> None:
        told = Told(name=sayable(Path(asked.folder).name))
        self._now, self._told_at = (asked.id, told), 0.0  # who asked hears at once
        try:
            folder = self._folder(asked)
            told.total = how_many(folder, self._stopped)
            given = of_folder(folder, told.tally.passed, self._stopped)
            for outcome in take_in(
                self._store, given, asked.owner, stop=self._stopped, gentle=True
            ):
                told.tally.add(outcome)
                self._tidy_if_due()
            told.state = "stopped" if self._stopped() else "done"
        except (DarkroomError, OSError) as error:
            told.state, told.said = "failed", sayable(str(error))
        except Exception:  # noqa: BLE001 - else it is begun again for ever, and all others wait
            log.exception("%s cannot come in", asked.folder)
            told.state, told.said = "failed", BROKE
        finally:
            self._now = None
        if not self._stop.is_set():  # else the next studio goes on with it
            handover.end(self._settings.data, asked.id, told)
            log.info("%d pictures of %s came in: %s", told.tally.new, asked.folder, told.state)

    def _stopped(self) -> bool:
        self._beat()
        key = self._now[0] if self._now else ""
        return self._stop.is_set() or handover.is_stopped(self._settings.data, key)

    def _beat(self) -> None:
        """Who waits for an import hears that it goes on, or that it will."""
        if time.monotonic() - self._told_at < TELLS_SECONDS:
            return
        self._told_at, data = time.monotonic(), self._settings.data
        key, told = self._now or ("", Told())
        for asked in handover.asked(data):
            handover.tell(data, asked.id, told if asked.id == key else Told("waiting"))

    def _folder(self, asked: Asked) -> Path:
        here = socket.gethostname()
        if asked.host != here:
            raise Refused(
                f"import: the studio runs on {here}, where {asked.folder} is another folder. Begin "
                "the import there.",
                field="folder",
            )
        check_folder(Path(asked.folder), self._settings.data)
        return Path(asked.folder)
