"""`/api` over real HTTP: what is asked comes back, once, with sentences for what cannot be."""

import base64
import gc
import io
import json
import threading
import time
from http.client import HTTPConnection

import httpx
import pytest
from PIL import Image

from studio.web.desk import status_of
from tests.networks import compact
from tests.web.conftest import House

WISH = {"prompt": "a red car", "width": 64, "height": 64, "num_inference_steps": 2}


def test_a_wish_is_painted_and_answered_with_its_picture(house: House) -> None:
    body = WISH | {"seed": 7, "guidance_scale": 0, "model_mode": "test-pattern"}
    told = house.http.post("/api/generate", json=body | {"negative_prompt": ""}).json()
    assert told["success"] and told["seed"] == 7 and told["slot"].startswith("fake")
    kind, _, data = told["image"].partition(",")
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (64, 64)
    file = house.http.get(told["image_url"])
    assert file.content == base64.b64decode(data)
    assert file.headers["content-type"] == "image/png"
    assert "immutable" in file.headers["cache-control"]
    assert file.headers["x-content-type-options"] == "nosniff"
    assert house.http.get(f"/thumbs/{told['images'][0]['id']}").headers["content-type"] == (
        "image/webp"
    )


def seconds(house: House, address: str, body: dict[str, object]) -> float:
    began = time.monotonic()
    assert house.http.post(address, json=body).status_code == 200
    return time.monotonic() - began


def test_the_answer_follows_the_picture_at_once(house: House) -> None:
    assert any(seconds(house, "/api/generate", WISH) < 0.3 for _ in range(20))


def test_a_download_has_a_safe_name(house: House) -> None:
    body = WISH | {"filename": '../../étc/"pass\r\nwd.png'}
    told = house.http.post("/api/generate", json=body).json()
    answer = house.http.get(told["image_url"], params={"download": 1})
    name = answer.headers["content-disposition"]
    whole, plain = "_.._%C3%A9tc_pass_wd.png", "_..__tc_pass_wd.png"
    assert name == f"attachment; filename*=UTF-8''{whole}; filename=\"{plain}\""
    template = {"download": 1, "name": "{model}/{width}"}
    answer = house.http.get(told["image_url"], params=template)
    assert answer.headers["content-disposition"].endswith('filename="test-pattern_64.png"')
    answer = house.http.get(told["image_url"], params=template | {"name": "{artist}"})
    assert answer.json()["error"]["message"].startswith("name: {artist} is not known; there are")


def test_an_enlarged_picture_is_told_by_its_finished_size(house: House) -> None:
    folder = house.studio.settings.model_folder / "upscalers"
    compact(folder / "starter-x2.safetensors")
    told = house.http.post("/api/generate", json=WISH | {"upscale": 2}).json()
    assert (told["width"], told["height"]) == (128, 128)
    newest = house.http.get("/api/history", params={"limit": 1}).json()["pictures"][0]
    assert (newest["width"], newest["height"]) == (128, 128)
    body = {"prompt": "x", "size": "256x128", "upscale": 2, "model": "test-pattern"}
    answer = house.http.post("/v1/images/generations", json=body).json()
    assert answer["size"] == "256x128"
    body = {"prompt": "x", "size": "1024x1024", "model": "test-pattern"}  # more than it paints
    assert house.http.post("/v1/images/generations", json=body).json()["size"] == "1024x1024"


def test_what_a_model_cannot_wear_is_refused_by_field(house: House) -> None:
    answer = house.http.post("/api/jobs", json=WISH | {"loras": [{"name": "zebra"}]})
    error = answer.json()["error"]
    assert answer.status_code == 422 and error["field"] == "loras"
    assert error["message"].startswith("loras: there is no LoRA 'zebra'.")


def test_the_truth_of_a_wish_is_told_and_refused_in_the_words_of_the_asker(house: House) -> None:
    wish = {"prompt": "a red car", "model_mode": "starter"}
    told = house.http.post("/api/truth", json=wish).json()
    assert told["counted"] and told["prompt"]["encoders"][0]["tokens"] == 5
    some = ({**wish, "prompt": f"car {count}"} for count in range(20))
    assert any(seconds(house, "/api/truth", body) < 0.25 for body in some)  # 0.02 in quiet
    answer = house.http.post("/api/truth", json=wish | {"num_inference_steps": 300})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "num_inference_steps"
    assert "/api/truth" in house.http.get("/docs").text


def test_a_batch_tells_of_each_picture(house: House) -> None:
    prompts = [
        {"prompt": "a red car", "filename": "car.png", "seed": 42},
        {"prompt": "boom"},
        {"prompt": "a green plane"},
    ]
    shared = {name: value for name, value in WISH.items() if name != "prompt"}
    told = house.http.post("/api/generate/batch", json=shared | {"prompts": prompts}).json()
    assert (told["total"], told["succeeded"], told["failed"]) == (3, 2, 1)
    first, second, third = told["results"]
    assert first["seed"] == 42 and first["filename"] == "car.png"
    assert second["error"]["code"] == "out_of_memory"
    assert "smaller" in second["error"]["message"]
    assert third["success"] and third["width"] == 64


def test_one_bad_prompt_refuses_the_whole_batch(house: House) -> None:
    before = house.http.get("/api/jobs").json()["jobs"]
    body = {"prompts": [WISH, {"prompt": "x", "seed": -5}]}
    answer = house.http.post("/api/generate/batch", json=body)
    assert answer.status_code == 422 and answer.json()["error"]["field"] == "seed"
    assert house.http.get("/api/jobs").json()["jobs"] == before


def test_a_failure_is_a_sentence_with_a_status(house: House) -> None:
    answer = house.http.post("/api/generate", json=WISH | {"prompt": "boom"})
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert error["code"] == "out_of_memory" and "smaller shape" in error["message"]


def test_a_job_is_submitted_followed_and_found_again(house: House) -> None:
    answer = house.http.post("/api/jobs", json=WISH | {"num_images": 2, "seed": 3})
    assert answer.status_code == 202
    job = answer.json()["id"]
    assert answer.headers["location"] == f"/api/jobs/{job}"
    house.studio.line.wait(job, 60)
    told = house.http.get(f"/api/jobs/{job}").json()
    assert told["state"] == "done" and [one["seed"] for one in told["pictures"]] == [3, 4]
    newest = house.http.get("/api/history", params={"limit": 1}).json()
    assert newest["pictures"][0]["job"] == job
    older = house.http.get("/api/history", params={"limit": 1, "before": newest["next"]}).json()
    assert older["pictures"][0]["id"] != newest["pictures"][0]["id"]
    assert house.http.get("/api/jobs", params={"limit": 1}).json()["jobs"][0]["id"] == job


def test_the_same_key_gives_the_same_job(house: House) -> None:
    key = {"Idempotency-Key": "one"}
    first = house.http.post("/api/jobs", json=WISH, headers=key).json()
    again = house.http.post("/api/jobs", json=WISH, headers=key).json()
    other = house.http.post("/api/jobs", json=WISH | {"seed": 1}, headers=key)
    assert first["id"] == again["id"]
    assert other.status_code == 422
    assert "came with another wish" in other.json()["error"]["message"]
    assert [job["id"] for job in house.http.get("/api/jobs").json()["jobs"]].count(first["id"]) == 1


@pytest.mark.parametrize(
    ("address", "wish"),
    [
        ("/api/generate", WISH),
        ("/api/generate/batch", {"prompts": [WISH, WISH]}),
        ("/v1/images/generations", WISH),
    ],
)
def test_who_asks_again_with_the_same_key_waits_for_the_same_picture(
    house: House, address: str, wish: dict[str, object]
) -> None:
    key = {"Idempotency-Key": address}
    told = [house.http.post(address, json=wish, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in told] == [200, 200]
    assert len({str(_jobs(answer.json())) for answer in told}) == 1


def _jobs(told: dict[str, object]) -> list[object]:
    results = told.get("results")
    rows = results if isinstance(results, list) else [told]
    return [row["job_id"] for row in rows]


def test_a_running_job_is_cancelled(house: House, door: threading.Event) -> None:
    job = house.http.post("/api/jobs", json=WISH | {"prompt": "held"}).json()["id"]
    while house.http.get(f"/api/jobs/{job}").json()["step"] == 0:
        time.sleep(0.01)
    assert house.http.post(f"/api/jobs/{job}/cancel").status_code == 200
    assert house.studio.line.wait(job, 60).job.state == "cancelled"
    again = house.http.delete(f"/api/jobs/{job}").json()
    assert again["state"] == "cancelled" and again["pictures"] == []


def test_who_hangs_up_before_the_painting_began_is_taken_out_of_the_line(
    house: House, door: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    held = WISH | {"prompt": "held"}
    busy = [house.http.post("/api/jobs", json=held).json()["id"] for _ in range(2)]
    caller = HTTPConnection(house.http.base_url.netloc.decode())
    headers = {"content-type": "application/json"}
    caller.request("POST", "/api/generate", json.dumps(WISH), headers)
    while (job := house.http.get("/api/jobs").json()["jobs"][0]["id"]) in busy:
        time.sleep(0.01)
    caller.close()
    assert house.studio.line.wait(job, 60).job.state == "cancelled"
    for one in busy:
        house.http.delete(f"/api/jobs/{one}")
        assert house.studio.line.wait(one, 60).job.state == "cancelled"
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_health_readiness_and_the_line_are_told(house: House) -> None:
    assert house.http.get("/api/ready").json() == {"ready": True}
    health = house.http.get("/api/health").json()
    assert health["status"] == "ok" and len(health["slots"]) == 2
    assert any(model["default"] and model["here"] for model in health["models"])
    while house.http.get("/api/queue/status").json()["slots"][0]["state"] != "idle":
        time.sleep(0.01)  # it becomes so just after its job was told to be over


def test_a_paused_line_begins_nothing_until_it_goes_on(house: House) -> None:
    assert house.http.post("/api/queue/pause").json()["paused"] is True
    job = house.http.post("/api/jobs", json=WISH).json()["id"]
    time.sleep(0.3)
    told = house.http.get(f"/api/jobs/{job}").json()
    assert told["state"] == "queued"
    assert told["words"] == "next in line: the line is paused"
    assert told["begins_at"] is None
    assert "paused" in status_of(house.studio)
    assert house.http.post("/api/queue/resume").json()["paused"] is False
    assert house.studio.line.wait(job, 60).job.state == "done"
    assert "paused" not in status_of(house.studio)


def test_a_model_is_loaded_let_go_and_fetched_by_its_name(house: House) -> None:
    def ask(act: str, model: str = "test-pattern", method: str = "POST") -> httpx.Response:
        return house.http.request(method, f"/api/models/{model}/{act}")

    if any(
        "test-pattern" in slot["loaded"] for slot in house.http.get("/api/health").json()["slots"]
    ):
        assert ask("release").status_code == 202
    assert ask("load").status_code == 202
    assert "in memory already" in ask("load").json()["error"]["message"]
    assert len(ask("release").json()["loaded"]) == 0
    assert "in no slot's memory" in ask("release").json()["error"]["message"]
    assert "on this machine already" in ask("pull").json()["error"]["message"]
    assert "not on its way" in ask("pull", method="DELETE").json()["error"]["message"]
    assert ask("load", "nonesuch").status_code == 422


def test_one_that_waits_is_moved_to_another_class(house: House) -> None:
    house.http.post("/api/queue/pause")
    low, high = (house.http.post("/api/jobs", json=WISH).json()["id"] for _ in range(2))
    moved = house.http.patch(f"/api/jobs/{high}", json={"priority": "urgent"}).json()
    assert moved["words"].startswith("next in line")
    assert house.http.get(f"/api/jobs/{low}").json()["words"].startswith("waiting, 1 before it")
    for body in ({"priority": "first"}, {"priority": "high", "seed": 1}, {}):
        refused = house.http.patch(f"/api/jobs/{high}", json=body)
        assert refused.status_code == 422
        assert "urgent, high, normal, low" in refused.json()["error"]["message"]
    house.http.post("/api/queue/resume")
    assert house.studio.line.wait(low, 60).job.state == "done"
    assert house.http.patch(f"/api/jobs/{low}", json={"priority": "high"}).status_code == 409


def test_jobs_are_listed_by_state_and_owner_with_their_places(house: House) -> None:
    done = house.http.post("/api/generate", json=WISH).json()["job_id"]
    house.http.post("/api/queue/pause")
    bodies = (WISH, WISH | {"owner": "mia"}, WISH)
    jobs = [house.http.post("/api/jobs", json=body).json()["id"] for body in bodies]

    def listed(**asked: object) -> dict[str, int | None]:
        told = house.http.get("/api/jobs", params=asked).json()["jobs"]
        return {job["id"]: job["place"] for job in told}

    assert listed(state="queued") == {job: place for place, job in enumerate(jobs)}
    assert listed(limit=3) == listed(state="queued") and listed(owner="mia") == {jobs[1]: 1}
    assert listed(state="queued,running", limit=1) == {jobs[2]: 2}
    several = listed(state=["queued", "done"])
    assert several[done] is None and several[jobs[0]] == 0
    assert done not in listed(state="failed") and listed(owner="nobody") == {}
    for asked in ({"state": "waiting"}, {"state": "queued,ready"}, {"status": "queued"}):
        assert house.http.get("/api/jobs", params=asked).status_code == 422
    sentence = house.http.get("/api/jobs?state=waiting").json()["error"]["message"]
    assert sentence == "state: 'waiting' is none of queued, running, done, failed, cancelled."
    house.http.post("/api/queue/resume")
    assert house.studio.line.wait(jobs[2], 60).job.state == "done"


def test_one_that_waits_is_moved_before_others(house: House) -> None:
    house.http.post("/api/queue/pause")
    jobs = [house.http.post("/api/jobs", json=WISH).json()["id"] for _ in range(3)]

    def places() -> list[int]:
        return [house.http.get(f"/api/jobs/{job}").json()["place"] for job in jobs]

    for place, then in (
        ("first", [1, 2, 0]),
        ({"before": jobs[1]}, [0, 2, 1]),
        ("last", [0, 1, 2]),
    ):
        moved = house.http.patch(f"/api/jobs/{jobs[2]}", json={"place": place})
        assert (moved.json()["place"], places()) == (then[2], then)
    for place in (1, "next", {"before": 1}, {"before": jobs[0], "after": jobs[1]}, None):
        refused = house.http.patch(f"/api/jobs/{jobs[2]}", json={"place": place})
        assert refused.status_code == 422
        assert 'give "first", "last" or {"before"' in refused.json()["error"]["message"]
    both = house.http.patch(f"/api/jobs/{jobs[2]}", json={"place": "first", "priority": "high"})
    assert both.status_code == 422
    gone = house.http.patch(f"/api/jobs/{jobs[2]}", json={"place": {"before": "nobody"}})
    assert gone.status_code == 404
    house.http.post("/api/queue/resume")
    assert house.studio.line.wait(jobs[2], 60).job.state == "done"
    final = house.http.patch(f"/api/jobs/{jobs[2]}", json={"place": "first"})
    assert final.status_code == 409


def test_what_does_not_exist_is_said_in_json(house: House) -> None:
    for address in ("/api/nothing", "/api/jobs/unknown", "/pictures/unknown", "/thumbs/unknown"):
        answer = house.http.get(address)
        assert answer.status_code == 404, address
        assert answer.json()["error"]["code"] == "not_found"


def test_a_picture_whose_file_was_deleted_by_hand_is_not_found_and_its_row_stays(
    house: House,
) -> None:
    """F49"""
    told = house.http.post("/api/generate", json=WISH).json()["images"][0]
    house.studio.store.file(house.studio.store.picture(told["id"])).unlink()
    answer = house.http.get(told["url"])
    assert answer.status_code == 404
    assert "no longer in the data folder" in answer.text
    assert told["id"] in [one["id"] for one in house.http.get("/api/history").json()["pictures"]]
    assert house.http.get(f"/api/jobs/{told['job']}").json()["state"] == "done"


def test_the_list_of_addresses_needs_nothing_from_elsewhere(house: House) -> None:
    page = house.http.get("/docs").text
    assert "/api/generate" in page and "negative_prompt" in page and "http" not in page


def painted(house: House, **fields: object) -> dict[str, str]:
    answer = house.http.post("/api/generate", json=WISH | fields)
    picture: dict[str, str] = answer.json()["images"][0]
    return picture


def test_a_picture_is_painted_again_exactly_and_its_job_says_so(house: House) -> None:
    before = painted(house, seed=77, num_images=2, tags=["mine"])
    key = {"Idempotency-Key": "again"}
    answers = [house.http.post(f"/api/pictures/{before['id']}/rerun", headers=key) for _ in "12"]
    assert [answer.status_code for answer in answers] == [202, 202]
    job = answers[0].json()["id"]
    assert answers[1].json()["id"] == job
    assert answers[0].headers["location"] == f"/api/jobs/{job}"
    assert answers[0].json()["rerun"]["of"] == before["id"]
    house.studio.line.wait(job, 60)
    told = house.http.get(f"/api/jobs/{job}").json()
    assert [picture["seed"] for picture in told["pictures"]] == [77]
    assert told["rerun"] == {
        "of": before["id"],
        "answer": "identical",
        "words": "identical, pixel by pixel",
        "distance": {"most": 0, "mean": 0.0, "seen": 0.0},
        "changed": [],
        "not_honoured": [],
    }
    assert (
        house.http.get("/api/jobs", params={"limit": 1}).json()["jobs"][0]["rerun_of"]
        == (before["id"])
    )


def test_a_key_of_one_rerun_does_not_answer_for_another(house: House) -> None:
    """The same recipe, but of another picture: what comes of it is to be compared with that."""
    first = painted(house, seed=78)
    again = house.http.post(f"/api/pictures/{first['id']}/rerun").json()["id"]
    second = house.studio.line.wait(again, 60).pictures[0]
    key = {"Idempotency-Key": "of one"}
    assert house.http.post(f"/api/pictures/{first['id']}/rerun", headers=key).status_code == 202
    other = house.http.post(f"/api/pictures/{second.id}/rerun", headers=key)
    assert other.status_code == 422
    assert "came with another wish" in other.json()["error"]["message"]


def test_two_pictures_are_compared(house: House) -> None:
    one, other = (painted(house, seed=seed, width=w)["id"] for seed, w in ((1, 64), (200, 64)))
    told = house.http.get(f"/api/pictures/{other}/compare", params={"with": one}).json()
    assert told["answer"] == "different" and told["distance"]["most"] == 199
    assert told["changed"] == [{"field": "seed", "was": 1, "now": 200}]
    wide = painted(house, seed=1, width=128)["id"]
    told = house.http.get(f"/api/pictures/{wide}/compare", params={"with": one}).json()
    assert told["distance"] is None and told["words"].startswith("different: another size; width")
    refused = house.http.get(f"/api/pictures/{one}/compare")
    assert refused.status_code == 422 and refused.json()["error"]["field"] == "with"
    for address in (f"/api/pictures/{one}/compare?with=none", "/api/pictures/none/compare?with=x"):
        assert house.http.get(address).status_code == 404
    assert house.http.post("/api/pictures/none/rerun").status_code == 404


def test_a_picture_that_is_withheld_is_nobodys_failure_to_try_again(house: House) -> None:
    answer = house.http.post("/api/generate", json=WISH | {"prompt": "nude"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unsafe")
