"""Choices in prompts through every face: one wish becomes the jobs and pictures that it means."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from openai import OpenAI

from studio.web.desk import Desk
from tests.web.conftest import House

WISH = {"prompt": "a {red|blue|green} {car|boat}", "width": 64, "height": 64, "steps": 2}


@pytest.fixture(scope="module")
def client(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("files")
    client = Client(house.url, verbose=False, token=False, download_files=folder)
    yield client
    client.close()


def prompts(told: dict[str, object]) -> list[str]:
    images = told["images"]
    assert isinstance(images, list)
    return [image["prompt"] for image in images]


def test_each_picture_of_a_wish_has_words_of_its_own_seed(house: House) -> None:
    told = house.http.post("/api/generate", json=WISH | {"seed": 7, "count": 4}).json()
    assert [image["seed"] for image in told["images"]] == [7, 8, 9, 10]
    assert len(told["jobs"]) == 4 and told["job_id"] == told["jobs"][0]
    alone = [
        house.http.post("/api/generate", json=WISH | {"seed": seed}).json() for seed in (7, 8, 9)
    ]
    assert [prompts(one)[0] for one in alone] == prompts(told)[:3]
    jobs = [house.http.get(f"/api/jobs/{job}").json() for job in told["jobs"]]
    assert len({job["batch"] for job in jobs}) == 1 and jobs[0]["batch"]


def test_all_texts_are_painted_once_with_one_seed(house: House) -> None:
    told = house.http.post("/api/generate", json=WISH | {"expand": "all", "seed": 3}).json()
    assert prompts(told) == [
        f"a {colour} {thing}" for colour in ("red", "blue", "green") for thing in ("car", "boat")
    ]
    assert {image["seed"] for image in told["images"]} == {3}


def test_a_text_that_fails_is_missing_and_said_and_the_others_come(house: House) -> None:
    told = house.http.post("/api/generate", json=WISH | {"prompt": "{x|boom}", "expand": "all"})
    assert prompts(told.json()) == ["x"]
    assert told.json()["warnings"][0].startswith("'boom' is missing: The memory is full")
    failed = house.http.post("/api/generate", json=WISH | {"prompt": "{boom|boom 2}"})
    assert failed.json()["error"]["code"] == "out_of_memory"


def test_gradio_says_which_text_is_missing(house: House, client: Client) -> None:
    call = client.submit("{x|boom}", width=64, height=64, expand="all", api_name="/generate")

    async def said() -> list[str]:
        return [seen.log[0] async for seen in call if seen.type == "status" and seen.log]

    (told,) = asyncio.run(said())
    assert told.startswith("'boom' is missing: The memory is full")
    assert len(call.result(30)[0]) == 1


def test_jobs_are_written_down_together_and_the_same_key_gives_them_again(house: House) -> None:
    key = {"idempotency-key": "choices"}
    wish = WISH | {"expand": "cycle", "count": 3}
    told = house.http.post("/api/jobs", json=wish, headers=key).json()
    assert len(told["jobs"]) == 3 and told["id"] == told["jobs"][0]
    assert house.http.post("/api/jobs", json=wish, headers=key).json()["jobs"] == told["jobs"]
    many = "{a|b|c|d|e|f|g|h|i|j}" * 4
    refused = house.http.post("/api/jobs", json=WISH | {"prompt": many, "expand": "all"})
    assert refused.json()["error"]["field"] == "expand"
    lost = house.http.post("/api/jobs", json=WISH | {"prompt": "a __colour__"}).json()["error"]
    assert lost["field"] == "prompt" and "Did you mean __colours__?" in lost["message"]


def test_a_batch_tells_what_came_of_each(house: House) -> None:
    body = {"prompts": [{"prompt": "{x|y}", "expand": "all"}, {"prompt": "z"}]}
    told = house.http.post("/api/generate/batch", json=WISH | body).json()
    assert [(one["index"], one["prompt"]) for one in told["results"]] == [
        (0, "x"),
        (1, "y"),
        (2, "z"),
    ]


def test_openai_and_gradio_paint_the_same_words(house: House, client: Client) -> None:
    by_http = house.http.post("/api/generate", json=WISH | {"seed": 7, "count": 3}).json()
    openai = OpenAI(base_url=f"{house.url}/v1", api_key="none")
    told = openai.images.generate(
        prompt=WISH["prompt"], n=3, size="64x64", extra_body={"seed": 7, "steps": 2}
    )
    assert [one.revised_prompt for one in told.data or ()] == prompts(by_http)
    size = {"width": 64, "height": 64, "num_inference_steps": 2}
    files, seed = client.predict(WISH["prompt"], seed=7, count=3, **size, api_name="/generate")
    assert (len(files), seed) == (3, 7)
    assert all(Path(file["image"] if isinstance(file, dict) else file).is_file() for file in files)
    job = client.predict(WISH["prompt"], expand="all", **size, api_name="/submit")
    assert len(job["jobs"]) == 6


def test_what_it_would_become_is_told_before(house: House, client: Client) -> None:
    told = house.http.post("/api/truth", json=WISH | {"prompt": "a __colours__ {car|boat}"}).json()
    choices = told["choices"]
    assert (choices["texts"], choices["words"], choices["pictures"]) == (24, "24 texts", 1)
    assert choices["wildcards"] == ["colours"] and choices["example"]
    assert len(choices["shown"]) == 3
    assert told["prompt"]["text"] == choices["shown"][0]["prompt"]
    seeded = house.http.post("/api/truth", json=WISH | {"seed": 7, "count": 2}).json()["choices"]
    painted = house.http.post("/api/generate", json=WISH | {"seed": 7, "count": 2}).json()
    assert [one["prompt"] for one in seeded["shown"]] == prompts(painted)
    told = client.predict(WISH["prompt"], expand="all", api_name="/truth")
    assert (told["choices"]["pictures"], len(told["choices"]["shown"])) == (6, 6)
    refused = house.http.post("/api/truth", json=WISH | {"prompt": "{a|b"})
    assert "column 1: this brace is never closed" in refused.json()["error"]["message"]
    assert house.http.post("/api/truth", json=WISH | {"prompt": "x"}).json()["choices"] is None


def test_a_rerun_paints_the_text_that_was_drawn_whatever_the_lists_say_now(house: House) -> None:
    own = house.studio.settings.wildcard_folder
    own.mkdir(exist_ok=True)
    (own / "metals.txt").write_text("gold\n")
    told = house.http.post("/api/generate", json=WISH | {"prompt": "a __metals__ {x|y}"}).json()
    (own / "metals.txt").unlink()
    picture = told["images"][0]
    again = house.http.post(f"/api/pictures/{picture['id']}/rerun").json()
    assert again["request"]["prompt"] == picture["prompt"] != "a __metals__ {x|y}"
    view = house.studio.line.wait(again["id"], 60)
    assert view.rerun and view.rerun.words.startswith("identical")
    assert house.studio.store.job(told["job_id"]).wish["prompt"] == "a __metals__ {x|y}"


def test_choices_are_left_alone_where_that_is_said(house: House) -> None:
    told = house.http.post("/api/generate", json=WISH | {"expand": "no", "count": 2}).json()
    assert prompts(told) == [WISH["prompt"]] * 2 and len(told["jobs"]) == 1


def test_stop_ends_all_that_one_wish_became_and_nothing_else(house: House) -> None:
    studio = house.studio
    studio.line.pause(True)
    try:
        other = house.http.post("/api/jobs", json=WISH).json()["id"]
        wish = WISH | {"prompt": "{a|b|c}", "expand": "all"}
        jobs = house.http.post("/api/jobs", json=wish).json()["jobs"]
        Desk(studio).stop({"jobs": jobs[:2]})
        assert {studio.store.job(job).state for job in jobs} == {"cancelled"}
        assert studio.store.job(other).state == "queued"
    finally:
        studio.line.pause(False)
