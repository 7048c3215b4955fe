"""Who reads prompts as models do: a process beside the workers, begun when somebody asks.

Tokenizers are large and slow to load, and this process shall stay small and quick; one that has
had nothing to read for a while is ended. It is asked one question at a time.
"""

import logging
import os
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import msgpack

from studio.jobs.local import python_command, without_secrets
from studio.messages import read_bytes, write_bytes
from studio.settings import ROOT

READER = "studio.engine.reader"
ANSWER_SECONDS = 60.0  # the first answer loads tokenizers, perhaps while all cores are painting
IDLE_SECONDS = 300.0

log = logging.getLogger("darkroom.reader")


class Reader:
    def __init__(
        self,
        command: Sequence[str] = (),
        answer_seconds: float = ANSWER_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._command = list(command) or python_command(READER)
        self._answer_seconds, self._idle_seconds = answer_seconds, idle_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: threading.Timer | None = None

    def ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """The answer, or None if the process dies over the question or takes too long."""
        with self._lock:
            self._rest()
            process = self._process or self._begin()
            late = threading.Timer(self._answer_seconds, process.kill)
            late.daemon = True
            late.start()
            data = None
            try:
                with suppress(BrokenPipeError):
                    write_bytes(cast(Any, process.stdin), msgpack.packb(question))
                    data = read_bytes(cast(Any, process.stdout))
            finally:
                late.cancel()
            if data is None:
                self._end()
                log.warning("the reader died or took longer than %g s", self._answer_seconds)
                return None
            self._idle = threading.Timer(self._idle_seconds, self.close)
            self._idle.daemon = True
            self._idle.start()
            answer: dict[str, Any] = msgpack.unpackb(data)
            return answer

    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def close(self) -> None:
        with self._lock:
            self._rest()
            self._end()

    def _begin(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=without_secrets(os.environ),
            cwd=ROOT,
        )
        return self._process

    def _rest(self) -> None:
        if self._idle:
            self._idle.cancel()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            process.kill()
            process.communicate()
