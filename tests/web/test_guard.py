"""What must not get in: other sites, other names, other people's files, and what is too large."""

import json
import socket
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from studio.jobs import fake
from studio.jobs.seats import Fleet
from studio.jobs.studio import Studio
from studio.settings import Settings
from studio.web.guard import MAX_BODY, Welcome, host_patterns
from studio.web.quiet import prepare
from studio.web.site import serve
from tests.web.conftest import House

JOIN = "/gradio_api/queue/join"


@pytest.mark.parametrize("path", ["/", "/api/health", "/v1/models", "/gradio_api/info"])
def test_a_foreign_host_is_refused(house: House, path: str) -> None:
    answer = house.http.get(path, headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "DARKROOM_HOSTS" in answer.json()["error"]["message"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1"])
@pytest.mark.parametrize("path", ["/", "/api/history", "/gradio_api/info", "/config"])
def test_a_foreign_origin_is_refused_whatever_it_asks(house: House, origin: str, path: str) -> None:
    headers = {"Origin": origin, "X-Forwarded-Host": "evil.example"}
    assert house.http.get(path, headers=headers).status_code == 403
    assert house.http.post(path, headers=headers, json={}).status_code == 403


def test_its_own_pages_and_scripts_without_an_origin_come_in(house: House) -> None:
    assert house.http.get("/api/health", headers={"Origin": house.url}).status_code == 200
    assert house.http.get("/api/health").status_code == 200


def test_a_site_that_is_named_may_read_its_answers_and_no_other() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("told")(scope, receive, send)

    client = TestClient(Welcome(app, ("https://my.site",)))
    allowed = "access-control-allow-origin"
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-mine"}
    mine, other = ({"Origin": site} for site in ("https://my.site", "https://evil.example"))
    before = client.options("/api/jobs", headers=mine | asks)
    assert (before.status_code, before.headers[allowed]) == (204, "https://my.site")
    assert before.headers["access-control-allow-headers"] == "x-mine"
    assert client.get("/", headers=mine).headers[allowed] == "https://my.site"
    assert client.get("/", headers=mine).headers["vary"] == "Origin"
    assert allowed not in client.options("/api/jobs", headers=other | asks).headers
    assert allowed not in client.get("/").headers


def test_a_named_site_is_welcome_in_a_studio_that_serves(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, port=0, origins=("https://my.site",), drain_seconds=0.2)
    prepare(settings)
    studio = Studio.open(settings, Fleet([(fake.FakeSlot(), "for tests")], fake.widen))
    site = serve(studio, block=False)
    asks = {"Origin": "https://my.site", "Access-Control-Request-Method": "POST"}
    answers = (
        httpx.options(f"{site.url}/api/jobs", headers=asks),
        httpx.get(f"{site.url}/api/health", headers={"Origin": "https://my.site"}),
    )
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "https://my.site"
    site.close()
    studio.close()


def test_names_are_known_from_the_settings() -> None:
    known = host_patterns(Settings(hosts=("studio.lan",), share=True, insecure=True))
    assert {"127.0.0.1", "localhost", "::1", "studio.lan", "*.gradio.live"} <= set(known)


def test_pages_may_load_nothing_from_elsewhere(house: House) -> None:
    policy = house.http.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'self'") and "http" not in policy


def test_a_large_body_is_refused_before_it_is_read(house: House) -> None:
    assert house.http.post("/api/jobs", content=b" " * (MAX_BODY + 1)).status_code == 413
    chunks = (b" " * (1 << 20) for _ in range(31))
    assert house.http.post("/api/jobs", content=chunks).status_code == 413


def test_gradios_doors_to_elsewhere_are_closed(house: House) -> None:
    for path in ("proxy=https://example.com/x", "file=http://example.com/x"):
        assert house.http.get(f"/gradio_api/{path}").status_code == 403
    file = {"files": ("x.png", b"x")}
    assert house.http.post("/gradio_api/upload", files=file).status_code == 403


@pytest.mark.parametrize("path", ["/etc/passwd", "darkroom.db", "../darkroom.db"])
def test_no_file_of_this_machine_is_given_away(house: House, path: str) -> None:
    data = house.studio.settings.data
    for name in (path, str(data / "darkroom.db"), str(data / "page-secret")):
        assert house.http.get(f"/gradio_api/file={name}").status_code in (403, 404)
        assert house.http.get(f"/pictures/{name.replace('/', '%2F')}").status_code == 404


def test_a_path_cannot_climb(house: House) -> None:
    host, port = house.url.removeprefix("http://").split(":")
    for path in ("/pictures/../darkroom.db", "/pictures/..%2f..%2fdarkroom.db", "/thumbs/%00"):
        with socket.create_connection((host, int(port))) as wire:
            asked = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
            wire.sendall(asked.encode())
            assert b" 404 " in wire.recv(4096).split(b"\r\n")[0], path


@pytest.mark.parametrize(
    ("path", "status"),
    [("http://127.0.0.1:9/x.png", 400), ("HTTPS://example.com/x.png", 400), ("/etc/passwd", 200)],
)
def test_a_file_object_with_a_path_of_its_own_is_refused(
    house: House, path: str, status: int
) -> None:
    """An address is stopped at the door; a path outside the uploads is refused by Gradio."""
    before = len(house.studio.store.jobs(limit=200))
    event = next(fn for fn in house.page.fns.values() if fn.api_name == "generate")
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    data = [file, *[None] * (len(event.inputs) - 1)]
    body = {"data": data, "fn_index": event._id, "session_hash": "abc"}
    answer = house.http.post(JOIN, json=body)
    assert answer.status_code == status
    if status == 200:
        with house.http.stream("GET", "/gradio_api/queue/data?session_hash=abc") as stream:
            said = next(line for line in stream.iter_lines() if "process_completed" in line)
        assert json.loads(said.removeprefix("data: "))["success"] is False
    assert len(house.studio.store.jobs(limit=200)) == before


def test_the_way_around_gradios_queue_is_closed(house: House) -> None:
    body = {"data": ["x"]}
    assert house.http.post("/gradio_api/run/generate", json=body).status_code == 404
    assert house.http.post("/gradio_api/api/generate", json=body).status_code == 404
