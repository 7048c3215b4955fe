"""What stands on a machine of a cluster: a worker process there, and who hands its words on.

It imports no Ray: the ferry makes an actor of it. Whoever lost sight of it is not waited for.
"""

import hashlib
import os
import platform
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Empty
from typing import Any, cast

from studio.jobs.devices import nvidia_cards, share_of_memory
from studio.jobs.local import LocalSlot, python_command
from studio.jobs.slot import Gone, Inbox, Said
from studio.messages import Failed, Paint, Together, ToWorker, pack, unpack
from studio.settings import ROOT

BEAT = 2.0  # seconds: it says at least so often that there is nothing to say
DESERTED = 60.0  # seconds after which nobody will ask any more


def tell_machine(gpus: int) -> dict[str, Any]:
    """What the pool must know of the machine this runs on. Pretended cards share the memory."""
    cards = nvidia_cards()
    gb = min((card.gb for card in cards), default=share_of_memory(gpus))
    about = f"{cards[0].name}, {cards[0].memory}" if cards else "no NVIDIA card answers here"
    return {"gb": gb, "about": about, "cores": os.cpu_count() or 1, "code": fingerprint()}


def fingerprint() -> str:
    """Of all code that speaks with workers: two machines with different ones would mumble."""
    told = hashlib.sha256()
    for file in sorted((ROOT / "studio").rglob("*.py")):
        told.update(file.relative_to(ROOT).as_posix().encode() + file.read_bytes())
    return told.hexdigest()


class Berth:
    def __init__(self, module: str, options: Sequence[str]) -> None:
        self._slot = LocalSlot("worker", "", python_command(module, *options), {})
        self._inbox: Inbox = Inbox()
        self._asked_at = time.monotonic()
        self._slot.start(self._inbox, 1)
        threading.Thread(target=self._look_out, daemon=True).start()

    def send(self, data: bytes) -> None:
        message = cast(ToWorker, unpack(data))
        paints = message.jobs if isinstance(message, Together) else [message]
        lacking = [(paint, _missing(paint)) for paint in paints if isinstance(paint, Paint)]
        if not any(missing for _, missing in lacking):
            self._slot.send(message)
            return
        for paint, missing in lacking:  # they are alike in all but words
            sentence = f"model: {missing} is not on {platform.node()}, a machine of the cluster."
            failed = Failed(paint.job, paint.token, "model_missing", sentence)
            self._inbox.put(Said("", 1, failed))

    def hear(self) -> list[bytes | str]:
        """What was said since, as frames; a text is the last there is: how the worker ended."""
        self._asked_at = time.monotonic()
        heard: list[bytes | str] = []
        try:
            item = self._inbox.get(timeout=BEAT)
            while True:
                word = cast(Said, item).message
                heard.append(word.how if isinstance(word, Gone) else pack(word))
                item = self._inbox.get_nowait()
        except Empty:
            return heard

    def _look_out(self) -> None:
        while time.monotonic() - self._asked_at < DESERTED:
            time.sleep(1)
        self._slot.kill()
        os._exit(1)


def _missing(paint: Paint) -> str:
    needed = (paint.folder, paint.upscaler, *paint.loras.values())
    return next((path for path in needed if path and not Path(path).exists()), "")
