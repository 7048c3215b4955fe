"""A hub on this machine: repositories out of a dictionary, over the addresses of the real one."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

SHA = "c0ffee" * 6 + "beef"


@dataclass
class Repo:
    files: dict[str, bytes]
    page: dict[str, Any] = field(default_factory=dict)  # what stands at the head of its README
    gated: bool = False


@dataclass
class Hub:
    repos: dict[str, Repo]
    fetched: list[str] = field(default_factory=list)  # "OWNER/REPO file"
    tokens: set[str | None] = field(default_factory=set)
    portal: bytes = b""  # the page of a network that wants a login first, in place of all answers


@contextmanager
def played(repos: dict[str, Repo], monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Hub]:
    """The hub's library speaks to it, and keeps what it fetches in `cache`."""
    hub = Hub(repos)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    for place in ("huggingface_hub.utils._cache_manager", "studio.models.hub"):
        monkeypatch.setattr(f"{place}.HF_HUB_CACHE", str(cache))
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.tokens.add(self.headers.get("Authorization"))
            path = unquote(urlsplit(self.path).path).strip("/")
            if hub.portal:
                return self._answer(hub.portal)
            if path.startswith("api/models/"):
                owner, name, *rest = path.removeprefix("api/models/").split("/")
                self._told(f"{owner}/{name}", rest)
            else:
                owner, name, _, _, *file = path.split("/")
                self._file(f"{owner}/{name}", "/".join(file))

        do_HEAD = do_GET

        def _told(self, name: str, rest: list[str]) -> None:
            repo = hub.repos.get(name)
            if repo is None:
                return self._refuse(404, "RepoNotFound")
            sizes = {file: len(data) for file, data in repo.files.items()}
            if rest[:1] == ["tree"]:
                tree = [
                    {"type": "file", "path": file, "size": size, "oid": _hash(repo.files[file])}
                    for file, size in sizes.items()
                ]
                return self._answer(json.dumps(tree).encode())
            siblings = [{"rfilename": file, "size": size} for file, size in sizes.items()]
            told = {"id": name, "sha": SHA, "siblings": siblings, "cardData": repo.page}
            return self._answer(json.dumps(told).encode())

        def _file(self, name: str, file: str) -> None:
            repo = hub.repos.get(name)
            if repo is None:
                return self._refuse(404, "RepoNotFound")
            if repo.gated and not self.headers.get("Authorization"):
                return self._refuse(401, "GatedRepo")
            if file not in repo.files:
                return self._refuse(404, "EntryNotFound")
            if self.command == "GET":
                hub.fetched.append(f"{name} {file}")
            return self._answer(repo.files[file], ETag=f'"{_hash(repo.files[file])}"')

        def _refuse(self, status: int, code: str) -> None:
            self._answer(b"", status, **{"X-Error-Code": code, "X-Error-Message": code})

        def _answer(self, data: bytes, status: int = 200, **headers: str) -> None:
            self.send_response(status)
            for header, value in {"X-Repo-Commit": SHA, **headers}.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _hash(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
