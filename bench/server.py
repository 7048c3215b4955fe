"""Starts the real server as its user would, in a folder of its own, and waits until it answers."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(data: Path, port: int, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "app.py", "--data", str(data), "--port", str(port), *more]
    quiet = {**os.environ, "DARKROOM_LOG_LEVEL": "warning"}
    return subprocess.Popen(command, cwd=ROOT, env=quiet, stdout=subprocess.DEVNULL)


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    with httpx.Client(timeout=5) as client:  # `httpx.get` would read the certificates each time
        while time.monotonic() < end:
            if process.poll() is not None:
                raise RuntimeError(f"the server left with {process.returncode}")
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                time.sleep(0.05)
    raise RuntimeError(f"{url} did not answer within {seconds} s")


@contextmanager
def running(data: Path, *more: str) -> Iterator[str]:
    """The address of a server that is ready to paint."""
    port = free_port()
    process = start(data, port, *more)
    try:
        wait_for(f"http://127.0.0.1:{port}/api/ready", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)
