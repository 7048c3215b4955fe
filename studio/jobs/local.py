"""A slot that is a process on this machine: its own process group, its own GPUs, no secrets.

Messages travel in frames over its standard input and output. The pool learns of its death from the
end of that stream, within milliseconds, whatever killed it.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import BinaryIO, cast

from studio.jobs.slot import Gone, Inbox, Said
from studio.messages import FromWorker, ToWorker, read_frame, write_frame
from studio.settings import ROOT

log = logging.getLogger("darkroom.slot")
Outbox = SimpleQueue[ToWorker | None]
SECRETS = ("TOKEN", "SECRET", "PASSWORD", "API_KEY", "DATABASE", "CREDENTIAL")


class LocalSlot:
    machine = "here"
    leased = False

    def __init__(
        self,
        name: str,
        device: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        gb: float = 8.0,
    ) -> None:
        self.name = name
        self.device = device
        self.gb = gb
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._outbox: Outbox = Outbox()

    def start(self, inbox: Inbox, life: int) -> None:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=without_secrets(os.environ) | self._environment,
            cwd=ROOT,
            start_new_session=True,
        )
        self._outbox = Outbox()
        for work in (
            partial(_speak, cast(BinaryIO, self._process.stdin), self._outbox),
            partial(self._listen, self._process, self._outbox, inbox, life),
        ):
            threading.Thread(target=work, name=self.name, daemon=True).start()

    def send(self, message: ToWorker) -> None:
        self._outbox.put(message)

    def kill(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        if sys.platform == "win32":
            process.kill()
        else:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def pid(self) -> int | None:
        process = self._process
        return process.pid if process and process.poll() is None else None

    def _listen(
        self, process: subprocess.Popen[bytes], outbox: Outbox, inbox: Inbox, life: int
    ) -> None:
        stream = cast(BinaryIO, process.stdout)
        try:
            while (message := read_frame(stream)) is not None:
                inbox.put(Said(self.name, life, cast(FromWorker, message)))
        except Exception:
            log.exception("%s does not speak our language any more, and is ended", self.name)
        self._end(process)
        how = _how(process.wait())
        stream.close()
        outbox.put(None)
        inbox.put(Said(self.name, life, Gone(how)))

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """A worker that closed its output but lives on is as good as dead."""
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.kill()


def _speak(stream: BinaryIO, outbox: Outbox) -> None:
    """On a thread of its own: a worker that still begins does not read, and a pipe is short."""
    with suppress(BrokenPipeError), stream:  # the listener reports it
        while message := outbox.get():
            write_frame(stream, message)


def python_command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if not any(word in name.upper() for word in SECRETS)
    }


def _how(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"left with exit code {code}"
