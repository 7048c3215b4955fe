"""A bulk file over HTTP and as `gradio_client` speaks: checked, run, followed, exported."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client

from tests.web.conftest import House

HEAD = "---\nmodel: test-pattern\nsize: 64x64\nsteps: 2\n---\n"
FILE = HEAD + "# Walk\n- a red car {seed: 7, filename: hero}\n- a boat\n"
MARKDOWN = {"content-type": "text/markdown"}


def ended(house: House, bulk: dict[str, object]) -> dict[str, object]:
    for one in bulk["pictures"]:  # type: ignore[attr-defined]
        house.studio.line.wait(one["job"], 60)
    told: dict[str, object] = house.http.get(f"/api/bulk/{bulk['id']}").json()
    return told


def test_a_file_is_checked_run_once_and_followed_by_line(house: House) -> None:
    before = house.studio.store.counts()
    checked = house.http.post("/api/bulk?dry_run=1&name=walk.md", content=FILE, headers=MARKDOWN)
    plan = checked.json()
    assert (plan["total"], plan["new"], plan["problems"]) == (2, 2, [])
    assert plan["models"][0]["name"] == "test-pattern" and plan["models"][0]["jobs"] == 2
    first = plan["pictures"][0]
    assert (first["line"], first["groups"], first["seed"]) == (7, ["Walk"], 7)
    assert (first["width"], first["filename"]) == (64, "hero")
    assert house.studio.store.counts() == before
    key = {"Idempotency-Key": "walk"}
    answer = house.http.post("/api/bulk", json={"text": FILE, "name": "walk.md"}, headers=key)
    bulk = answer.json()
    assert answer.status_code == 202 and answer.headers["location"] == f"/api/bulk/{bulk['id']}"
    again = house.http.post("/api/bulk", json={"text": FILE, "name": "walk.md"}, headers=key)
    assert again.json()["id"] == bulk["id"]
    told = ended(house, bulk)
    assert told["counts"] == {"done": 2} and told["total"] == 2
    assert [(one["line"], one["words"]) for one in told["pictures"]] == [(7, "done"), (8, "done")]
    assert house.http.get(told["pictures"][0]["url"]).status_code == 200
    page = house.http.get(f"/api/bulk/{bulk['id']}?limit=1").json()
    assert len(page["pictures"]) == 1 and page["next"] == 0
    rest = house.http.get(f"/api/bulk/{bulk['id']}?limit=5&after=0").json()
    assert [one["n"] for one in rest["pictures"]] == [1] and rest["next"] is None
    listed = house.http.get("/api/bulk?limit=1").json()["bulks"]
    assert [(one["id"], one["name"], one["total"]) for one in listed] == [
        (bulk["id"], "walk.md", 2)
    ]


def test_a_file_with_slips_is_refused_whole_and_each_slip_has_its_line(house: House) -> None:
    before = house.studio.store.counts()
    bad = FILE + "- a hat {sed: 3}\n- a cat {steps: 900}\n"
    answer = house.http.post("/api/bulk", content=bad, headers=MARKDOWN)
    told = answer.json()
    assert answer.status_code == 422 and told["error"]["code"] == "unsound"
    assert [(one["line"], one["column"], one["hint"]) for one in told["problems"]] == [
        (9, 10, "Did you mean 'seed'?"), (10, 10, ""),
    ]  # fmt: skip
    assert house.studio.store.counts() == before


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"json": {"text": 7}}, "text: give text."),
        ({"json": {"name": "x.md"}}, "text: it is missing"),
        ({"json": {"text": "- a", "dry_run": "maybe"}}, "dry_run: 'maybe' is not true or false."),
        (
            {"json": {"text": "- a", "colour": "red"}},
            "colour is not known here; there are text, name, form, dry_run, again.",
        ),
        ({"json": {"text": "- a", "form": "docx"}}, "form: 'docx' is not one of markdown"),
        ({"json": {"text": "- a", "name": "x" * 256}}, "name: it has 256 characters; the most is"),
        ({"content": b"- caf\xe9"}, "file: line 1 is no text in UTF-8."),
    ],
)
def test_what_is_asked_wrongly_is_refused_in_words(
    house: House, asked: dict[str, object], sentence: str
) -> None:
    answer = house.http.post("/api/bulk", **asked)  # type: ignore[arg-type]
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith(sentence)


def test_what_failed_is_tried_again_and_the_rest_is_stopped(house: House) -> None:
    bulk = house.http.post("/api/bulk", content=HEAD + "- boom\n- a car\n").json()
    told = ended(house, bulk)
    assert told["counts"] == {"failed": 1, "done": 1}
    assert "smaller shape" in told["pictures"][0]["words"]
    address = f"/api/bulk/{bulk['id']}"
    answer = house.http.post(f"{address}/again")
    assert answer.status_code == 202
    assert answer.json()["pictures"][1]["job"] == told["pictures"][1]["job"]
    house.http.post("/api/queue/pause")
    waiting = house.http.post("/api/bulk", content=HEAD + "- one\n- two\n").json()
    stopped = house.http.delete(f"/api/bulk/{waiting['id']}").json()
    assert stopped["counts"] == {"cancelled": 2}
    asked = house.http.post(f"/api/bulk/{waiting['id']}/again", json={"what": "stopped"}).json()
    assert asked["counts"] == {"queued": 2}
    house.http.post("/api/queue/resume")
    assert ended(house, asked)["counts"] == {"done": 2}
    wrong = house.http.post(f"/api/bulk/{waiting['id']}/again", json={"what": "done"})
    assert wrong.json()["error"]["message"] == "what: 'done' is not failed or stopped."
    assert house.http.get("/api/bulk/nope").status_code == 404


def test_what_was_painted_is_exported_as_the_same_file(house: House) -> None:
    bulk = house.http.post("/api/bulk?again=true", content=FILE, headers=MARKDOWN).json()
    ended(house, bulk)
    file = house.http.get(f"/api/bulk/{bulk['id']}/export")
    assert file.headers["content-disposition"].endswith('.md"')
    ids = [one.id for one in house.studio.store.pictures(limit=2)][::-1]
    assert house.http.post("/api/bulk/export", json={"ids": ids}).text == file.text
    assert "- a red car {seed: 7, filename: hero}" in file.text and "# Walk" in file.text
    assert house.http.post("/api/bulk/export", json={"ids": "x"}).status_code == 422


@pytest.fixture
def client(house: House, tmp_path: Path) -> Iterator[Client]:
    client = Client(house.url, verbose=False, token=False, download_files=tmp_path)
    yield client
    client.close()


def test_scripts_check_run_follow_and_export(house: House, client: Client) -> None:
    text = HEAD + "- a lamp\n- a vase\n"
    assert client.predict(text, "x.md", api_name="/bulk_check")["new"] == 2
    bulk = client.predict(text, "x.md", api_name="/bulk")
    ended(house, bulk)
    assert client.predict(bulk["id"], api_name="/bulk_status")["counts"] == {"done": 2}
    ids = [one.id for one in house.studio.store.pictures(limit=2)]
    assert "- a vase {seed: " in client.predict(ids, api_name="/bulk_export")
    assert client.predict(text, api_name="/bulk_check")["skipped"] == 2
