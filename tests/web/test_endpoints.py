"""The generated API as `gradio_client` speaks it. The list of endpoints is a promise to scripts."""

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from studio.request import ImageRequest
from studio.web.asking import OUTSIDE
from tests.web.conftest import House

WISH = ["prompt", "negative_prompt", "seed", "randomize_seed", "width", "height", "guidance_scale"]
WISH += ["num_inference_steps", "model", "count", "aspect", "sampler", "look", "quality"]
WISH += ["output_format", "tags", "priority", "filename", "upscale", "loras"]
WISH += ["start_image", "mask", "references", "strength", "fit"]
WISH += ["upscaler", "precision", "expand", "nth"]
PROMISED = {
    "/generate": WISH,
    "/submit": WISH,
    "/upscale": ["picture", "times", "upscaler"],
    "/truth": WISH,
    "/zip": ["ids", "job", "batch", "name", "q"],
    "/bulk": ["text", "name", "again"],
    "/bulk_check": ["text", "name", "again"],
    "/bulk_status": ["bulk_id"],
    "/bulk_export": ["ids", "q"],
    "/job": ["job_id"],
    "/cancel": ["job_id"],
    "/read": ["picture", "hashes"],
    "/rerun": ["picture_id", "model"],
    "/models": [],
    "/loras": [],
    "/looks": [],
    "/wildcards": [],
    "/history": ["limit", "before"],
    "/search": ["q", "sort", "limit", "after"],
}


@pytest.fixture
def client(house: House, tmp_path: Path) -> Iterator[Client]:
    client = Client(house.url, verbose=False, token=False, download_files=tmp_path)
    yield client
    client.close()


def test_the_endpoints_keep_their_names_and_parameters(client: Client) -> None:
    told = client.view_api(return_format="dict", print_info=False)
    named = {
        name: [parameter["parameter_name"] for parameter in endpoint["parameters"]]
        for name, endpoint in told["named_endpoints"].items()
    }
    assert named == PROMISED and not told["unnamed_endpoints"]
    for parameter in told["named_endpoints"]["/generate"]["parameters"][1:]:
        assert parameter["parameter_has_default"], parameter["parameter_name"]


def test_what_a_wish_may_say_is_said_there_too() -> None:
    inside = [OUTSIDE.get(name, name) for name in WISH]
    ours = {"version", "owner", "enlarged_from", "upload_urls"}  # said by the studio, or not yet
    assert {*inside} - {"randomize_seed"} == {*ImageRequest.model_fields} - ours


def test_generate_gives_whole_files_and_the_seed(house: House, client: Client) -> None:
    files, seed = client.predict(
        "a red car",
        seed=7,
        randomize_seed=False,
        width=64,
        height=64,
        count=2,
        api_name="/generate",
    )
    assert seed == 7 and len(files) == 2
    kept = house.studio.store.pictures(limit=2)
    assert {Path(file).read_bytes() for file in files} == {
        house.studio.store.file(picture).read_bytes() for picture in kept
    }


def test_the_truth_is_told_before_anything_is_painted(house: House, client: Client) -> None:
    before = house.studio.store.counts()
    told = client.predict("a (red:1.2) zebra", model="starter", api_name="/truth")
    assert told["unknown_words"] == ["zebra"]
    assert told["prompt"]["encoders"][0]["sent"] == ["a red zebra"]
    assert house.studio.store.counts() == before


def test_a_seed_is_drawn_when_asked_for(client: Client) -> None:
    seeds = {
        client.predict("x", seed=7, randomize_seed=True, width=64, height=64, api_name="/generate")[
            1
        ]
        for _ in range(2)
    }
    assert len(seeds) == 2


def test_a_job_is_submitted_seen_and_cancelled(house: House, client: Client, door: Event) -> None:
    job = client.predict("held", api_name="/submit")
    assert job["state"] in ("queued", "running")
    client.predict(job["id"], api_name="/cancel")
    assert house.studio.line.wait(job["id"], 60).job.state == "cancelled"
    assert client.predict(job["id"], api_name="/job")["state"] == "cancelled"


def test_models_and_history_are_told(client: Client) -> None:
    models = client.predict(api_name="/models")
    assert any(model["default"] for model in models)
    assert {lora["name"] for lora in client.predict(api_name="/loras")} >= {"blueprint"}
    told = next(model for model in models if model["name"] == "test-pattern")
    assert told["words"] == told["examples"] == []
    (newest,) = client.predict(limit=1, api_name="/history")
    assert newest["url"].startswith("/pictures/")


def test_a_cancelled_call_that_waits_is_taken_out_of_the_line(
    house: House, client: Client, door: Event
) -> None:
    held = {"prompt": "held"}
    busy = [house.http.post("/api/jobs", json=held).json()["id"] for _ in range(2)]
    call = client.submit("x", api_name="/generate")
    waiting = _newest_other_than(house, busy)
    call.cancel()
    assert house.studio.line.wait(waiting, 60).job.state == "cancelled"
    for job in busy:
        house.studio.line.cancel(job)
        house.studio.line.wait(job, 60)


def test_as_many_calls_wait_for_a_picture_as_there_are_slots_and_who_looks_on_is_apart(
    house: House, client: Client
) -> None:
    """Gradio takes the lowest limit of a group, at the first call of each event."""
    page = house.page
    for event in page.fns.values():
        if event.queue and event.concurrency_id == "paint":
            assert event.concurrency_limit == house.studio.pool.size
        elif event.queue and event.concurrency_id != "watch":
            raise AssertionError(f"{event.name} waits in the queue outside of the group")
    client.predict("x", width=64, height=64, api_name="/generate")
    groups = page._queue.event_queue_per_concurrency_id
    assert groups["paint"].concurrency_limit == house.studio.pool.size


def _newest_other_than(house: House, known: list[str]) -> str:
    while True:
        newest = house.studio.store.jobs(limit=1)[0]
        if newest.id not in known and newest.state == "queued":
            return newest.id
        time.sleep(0.01)


def test_the_history_is_searched_page_by_page(client: Client) -> None:
    for seed in (1, 2):
        client.predict("a cerulean car", seed=seed, width=64, height=64, api_name="/generate")
    first = client.predict("cerulean", sort="oldest", limit=1, api_name="/search")
    assert first["total"] == 2 and first["pictures"][0]["seed"] == 1
    second = client.predict("cerulean", "oldest", 1, first["next"], api_name="/search")
    assert second["pictures"][0]["seed"] == 2 and second["next"] is None
    with pytest.raises(AppError, match="Did you mean model:?"):
        client.predict("modle:x", api_name="/search")
