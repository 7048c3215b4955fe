"""The real thing, as its user starts it: `python app.py` with its real worker, on an empty folder.

A hook in every Python process of the server writes down each address it tries to reach.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.server import ROOT, free_port, wait_for

WATCH = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        target = arguments[1] if event == "socket.connect" else arguments[0]
        host = target[0] if isinstance(target, tuple) else target
        if isinstance(host, bytes):
            host = host.decode("utf-8", "replace")
        if host not in (None, "", "127.0.0.1", "localhost", "::1", "0.0.0.0") and not (
            isinstance(host, str) and host.startswith("/")
        ):
            with open({log!r}, "a") as log:
                log.write(f"{{event}} {{target}}\\n")

sys.addaudithook(watch)
"""


@dataclass
class Server:
    """`python app.py` in a folder of its own; it can be killed and started again."""

    data: Path
    watched: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *more: str, **environment: str) -> None:
        hooks = self.data.parent / "hooks"
        hooks.mkdir(exist_ok=True)
        (hooks / "sitecustomize.py").write_text(WATCH.format(log=str(self.watched)))
        command = [sys.executable, "app.py", "--data", str(self.data), "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, *more],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(hooks),
                "DARKROOM_LOG_LEVEL": "warning",
                "DARKROOM_DRAIN_SECONDS": "0.2",
                **environment,
            },
        )
        wait_for(f"{self.url}/api/ready", self.process)

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        self.process.terminate()
        return self.process.wait(timeout=90)


@contextmanager
def opened(folder: Path) -> Iterator[Server]:
    server = Server(folder / "data", folder / "outside.log")
    server.start()
    yield server
    if server.runs:
        server.stop()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with opened(tmp_path_factory.mktemp("journey")) as server:
        yield server


@pytest.fixture
def server(house: Server) -> Server:
    """One for all who do not mind what others have painted there."""
    if not house.runs:
        house.start()
    return house
