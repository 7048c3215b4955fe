"""Models on their way from the hub, one after another: each is `app.py models pull` in a process.

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
from studio.models import hub
from studio.models.card import ModelCard
from studio.models.weights import absent
from studio.settings import ROOT, Settings

log = logging.getLogger("darkroom.hub")
PULL = (sys.executable, str(ROOT / "app.py"), "models", "pull")
OURS = "darkroom: "  # how a sentence of ours begins on standard error


@dataclass(frozen=True, slots=True)
class Fetch:
    """`said` is why it failed. Bytes are those of its repositories on this disk, and in all."""

    state: Literal["waiting", "fetching", "failed"]
    done: int = 0
    total: int | None = None
    said: str = ""


class Fetching:
    def __init__(self, settings: Settings, command: tuple[str, ...] = PULL) -> None:
        self._settings, self._command = settings, command
        self._lock = threading.Lock()
        self._waiting: list[ModelCard] = []
        self._now: tuple[ModelCard, int | None] | None = None
        self._failed: dict[str, str] = {}
        self._child: subprocess.Popen[str] | None = None
        self._stopped: set[str] = set()
        self._thread: threading.Thread | None = None

    def begin(self, card: ModelCard) -> None:
        if not absent(card, self._settings.model_folder):
            raise Refused(f"model: {card.title} is on this machine already.", field="model")
        with self._lock:
            comes = self._now and self._now[0] == card and card.name not in self._stopped
            if comes or card in self._waiting:
                return
            self._failed.pop(card.name, None)
            self._waiting.append(card)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fetching", daemon=True)
                self._thread.start()

    def stop(self, card: ModelCard) -> None:
        """What has come stays; begun again, it goes on from there."""
        with self._lock:
            if card in self._waiting:
                self._waiting.remove(card)
            elif self._now and self._now[0] == card:
                self._stopped.add(card.name)
                self._end_child()
            else:
                raise Refused(f"model: {card.title} is not on its way.", field="model")

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
            found |= {card.name: Fetch("waiting") for card in self._waiting}
        if now:
            card, total = now
            found[card.name] = Fetch("fetching", hub.begun(card), total)
        return found

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread, self._now = None, None
                    return
                card = self._waiting.pop(0)
                self._stopped.discard(card.name)  # if it was, it was begun again since
                self._now = card, None
            why = self._fetch(card)
            with self._lock:
                self._child = None
                if why and card.name not in self._stopped:
                    self._failed[card.name] = why

    def _fetch(self, card: ModelCard) -> str:
        """Why it did not come; empty if it did."""
        total = hub.whole(card, self._settings.hf_token or None)
        token = {"HF_TOKEN": self._settings.hf_token} if self._settings.hf_token else {}
        with self._lock:
            if card.name in self._stopped:
                return "stopped"
            self._now = card, total
            try:
                self._child = child = subprocess.Popen(
                    [*self._command, card.name, "--data", str(self._settings.data)],
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
            log.info("%s has come from the hub", card.title)
            return ""
        log.warning("%s was not fetched (%d): %s", card.title, child.returncode, told.strip())
        ours = [line.removeprefix(OURS) for line in told.splitlines() if line.startswith(OURS)]
        return ours[-1] if ours else "It broke off; the log says more. Ask again."

    def _end_child(self) -> None:
        if self._child:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGTERM)
