"""Parcels on their way, one after another: each is `app.py models pull` in a process of its own.

So it can be stopped at any moment, and what has come so far is kept for the next time.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studio.errors import Refused
from studio.models import parcels, upscalers
from studio.models.parcels import Parcel
from studio.models.safety import load_checkers
from studio.settings import ROOT, Settings
from studio.wishes.catalog import Catalog

log = logging.getLogger("darkroom.hub")
PULL = (sys.executable, str(ROOT / "app.py"), "models", "pull")
OURS = "darkroom: "  # how a sentence of ours begins on standard error


@dataclass(frozen=True, slots=True)
class Fetch:
    """`said` is why it failed. Bytes are those on this disk, and in all."""

    state: Literal["waiting", "fetching", "failed"]
    done: int = 0
    total: int | None = None
    said: str = ""


class Fetching:
    def __init__(self, settings: Settings, command: tuple[str, ...] = PULL) -> None:
        self._settings, self._command = settings, command
        self._lock = threading.Lock()
        self._waiting: list[Parcel] = []
        self._now: tuple[Parcel, int | None] | None = None
        self._failed: dict[str, str] = {}
        self._child: subprocess.Popen[str] | None = None
        self._stopped: set[str] = set()
        self._thread: threading.Thread | None = None

    def begin(self, parcel: Parcel) -> None:
        if parcel.here:
            raise Refused(f"model: {parcel.card.title} is on this machine already.", field="model")
        with self._lock:
            comes = self._now and self._now[0] == parcel and parcel.name not in self._stopped
            if comes or parcel in self._waiting:
                return
            self._failed.pop(parcel.name, None)
            self._waiting.append(parcel)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fetching", daemon=True)
                self._thread.start()

    def stop(self, parcel: Parcel) -> None:
        """What has come stays; begun again, it goes on from there."""
        with self._lock:
            if parcel in self._waiting:
                self._waiting.remove(parcel)
            elif self._now and self._now[0] == parcel:
                self._stopped.add(parcel.name)
                self._end_child()
            else:
                raise Refused(f"model: {parcel.card.title} is not on its way.", field="model")

    def close(self) -> None:
        with self._lock:
            self._waiting.clear()
            if self._now:
                self._stopped.add(self._now[0].name)
            self._end_child()
            thread = self._thread
        if thread:
            thread.join()

    def views(self) -> dict[str, Fetch]:
        with self._lock:
            now = self._now
            found = {name: Fetch("failed", said=said) for name, said in self._failed.items()}
            found |= {parcel.name: Fetch("waiting") for parcel in self._waiting}
        if now:
            parcel, total = now
            found[parcel.name] = Fetch("fetching", parcel.begun(), total)
        return found

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread, self._now = None, None
                    return
                parcel = self._waiting.pop(0)
                self._stopped.discard(parcel.name)  # if it was, it was begun again since
                self._now = parcel, None
            why = self._fetch(parcel)
            with self._lock:
                self._child = None
                if why and parcel.name not in self._stopped:
                    self._failed[parcel.name] = why

    def _fetch(self, parcel: Parcel) -> str:
        """Why it did not come; empty if it did."""
        total = parcel.whole(self._settings.hf_token or None)
        token = {"HF_TOKEN": self._settings.hf_token} if self._settings.hf_token else {}
        with self._lock:
            if parcel.name in self._stopped:
                return "stopped"
            self._now = parcel, total
            try:
                self._child = child = subprocess.Popen(
                    [*self._command, parcel.name, "--data", str(self._settings.data)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=os.environ | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"} | token,
                    cwd=Path.cwd(),
                    start_new_session=True,
                )
            except OSError as error:
                return f"It could not begin: {error.strerror}."
        _, told = child.communicate()
        if child.returncode == 0:
            log.info("%s has come from the hub", parcel.card.title)
            return ""
        log.warning(
            "%s was not fetched (%d): %s", parcel.card.title, child.returncode, told.strip()
        )
        ours = [line.removeprefix(OURS) for line in told.splitlines() if line.startswith(OURS)]
        return ours[-1] if ours else "It broke off; the log says more. Ask again."

    def _end_child(self) -> None:
        if self._child:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGTERM)


def find_parcel(name: str, catalog: Catalog, settings: Settings) -> Parcel:
    """As `app.py models pull` finds it: an upscaler, a checker, else a model."""
    folder = settings.model_folder
    for one in upscalers.split([name], catalog.upscalers, folder)[0]:
        return parcels.of_upscaler(one, folder)
    if checker := load_checkers(settings.presets).get(name):
        return parcels.of_checker(checker, folder)
    return parcels.of_model(catalog.find(name), folder)
