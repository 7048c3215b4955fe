"""LoRAs from a hub that is played here over real HTTP, by the command line as a person types it."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from studio.errors import DarkroomError, Refused
from studio.models.lora_hub import Source, listed, pull, remove, source_of
from studio.models.loras import MOST_BYTES, find_loras
from studio.settings import ROOT
from tests.models.test_loras import write

REVISION = "c0ffee" + "0" * 34


class Hub(ThreadingHTTPServer):
    """Speaks as much of the hub's language as one file needs."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, dict[str, bytes]] = {}
        self.sizes: dict[str, int] = {}
        self.lies = False
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        where = self.path.partition("?")[0].removeprefix("/api/models/").lstrip("/").split("/")
        repo, rest = "/".join(where[:2]), where[2:]
        files = self.server.files.get(repo)
        if files is None:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif self.path.startswith("/api/models/"):
            told = {"id": repo, "sha": REVISION, "siblings": self.siblings(files)}
            self.answer(200, json.dumps(told).encode(), {"Content-Type": "application/json"})
        elif rest[:2] == ["resolve", REVISION]:
            data = files["/".join(rest[2:])]
            tag = hashlib.sha256(data).hexdigest()
            self.answer(200, data, {"X-Repo-Commit": REVISION, "ETag": f'"{tag}"'})
        else:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})

    def siblings(self, files: dict[str, bytes]) -> list[dict[str, Any]]:
        return [
            {
                "rfilename": name,
                "size": self.server.sizes.get(name, len(data)),
                "lfs": {
                    "sha256": "0" * 64 if self.server.lies else hashlib.sha256(data).hexdigest(),
                    "size": len(data),
                    "pointerSize": 1,
                },
            }
            for name, data in files.items()
        ]

    def answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, format: str, *given: Any) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    Thread(target=hub.serve_forever, daemon=True).start()
    yield hub
    hub.shutdown()
    hub.server_close()


@pytest.fixture
def lora(tmp_path: Path) -> bytes:
    return write(tmp_path / "made" / "x.safetensors", {"modelspec.title": "Ink"}).read_bytes()


def run(hub: Hub, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "cache")}
    own |= {"DARKROOM_DATA": str(folder / "data"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.run(
        [sys.executable, "app.py", "loras", *words],
        cwd=ROOT,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_one_is_pulled_listed_and_removed(hub: Hub, tmp_path: Path, lora: bytes) -> None:
    hub.files["someone/ink"] = {"README.md": b"", "pytorch_lora_weights.safetensors": lora}
    models = tmp_path / "data" / "models"
    done = run(hub, tmp_path, "pull", "someone/ink")
    assert (done.returncode, done.stdout) == (
        0,
        f"ink is here, from someone/ink at {REVISION[:12]}.\n",
    )
    file = models / "loras" / "ink.safetensors"
    assert file.read_bytes() == lora
    digest = hashlib.sha256(lora).hexdigest()
    assert source_of(file) == Source(
        "someone/ink", REVISION, "pytorch_lora_weights.safetensors", digest
    )
    assert sorted(path.name for path in file.parent.iterdir()) == ["ink.json", "ink.safetensors"]
    assert "Ink" in {known.title for known in find_loras(models)}
    (line,) = (line for line in listed(models) if line.startswith("ink"))
    assert line.split(maxsplit=3) == ["ink", "0.0", "MB", "LoRA of no known base"]
    again = run(hub, tmp_path, "pull", "someone/ink")
    assert again.returncode == 1 and "'ink' is here already." in again.stderr
    assert remove("ink", models).startswith("ink is gone;")
    assert not list(file.parent.iterdir())
    with pytest.raises(Refused, match="'ink' is not on this machine"):
        remove("ink", models)
    with pytest.raises(Refused, match="'blueprint' came along and stays"):
        remove("blueprint", models)


def test_of_several_files_one_is_named_and_what_is_wrong_is_said(
    hub: Hub, tmp_path: Path, lora: bytes
) -> None:
    checkpoint = write(
        tmp_path / "made" / "y.safetensors",
        tensors={"model.diffusion_model.x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        data=4,
    ).read_bytes()
    hub.files["a/many"] = {
        "one.safetensors": lora,
        "sub/two.safetensors": lora,
        "whole.safetensors": checkpoint,
        "large.safetensors": b"",
    }
    hub.files["a/pickle"] = {"pytorch_lora_weights.bin": b"x"}
    hub.sizes["large.safetensors"] = MOST_BYTES * 2

    def refused(asked: str, name: str = "") -> str:
        with pytest.raises(DarkroomError) as refusal:
            pull(asked, tmp_path, name, hub=hub.url)
        return str(refusal.value)

    assert "a/many has several files; it holds one.safetensors, sub/two" in refused("a/many")
    assert "whole.safetensors of a/many is left there: it is no LoRA but a checkpoint." in refused(
        "a/many/whole.safetensors"
    )
    assert "a/many has 8.0 GiB; the most" in refused("a/many/large.safetensors")
    assert "a/pickle cannot be used; it holds no .safetensors file." in refused("a/pickle")
    assert "The hub has no a/none, or not for you." in refused("a/none")
    assert "'nonsense' is not OWNER/REPO" in refused("nonsense")
    assert "'../x' is no good name; give one with --name." in refused(
        "a/many/one.safetensors", "../x"
    )
    hub.lies = True
    assert "it is not what the hub says it is; ask again." in refused("a/many/one.safetensors")
    hub.lies = False
    assert not list((tmp_path / "loras").iterdir())
    assert pull("a/many/sub/two.safetensors@main", tmp_path, "mine", hub=hub.url).startswith(
        "mine is"
    )
    hub.shutdown()
    hub.server_close()
    assert "could not be fetched" in refused("a/many/one.safetensors")


def test_what_peft_keeps_beside_its_file_is_kept_in_the_note(
    hub: Hub, tmp_path: Path, lora: bytes
) -> None:
    config = {"peft_type": "LORA", "lora_alpha": 32, "r": 16, "use_rslora": True}
    hub.files["a/peft"] = {
        "adapter_model.safetensors": lora,
        "adapter_config.json": json.dumps(config).encode(),
    }
    pull("a/peft", tmp_path, hub=hub.url)
    source = source_of(tmp_path / "loras" / "peft.safetensors")
    assert source and (source.alpha, source.root) == (32.0, True)
