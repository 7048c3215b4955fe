"""`/api/pictures` over real HTTP: searched page by page, counted, marked, thrown away and back."""

from collections.abc import Iterator

import pytest

from tests.web.conftest import House

WISH = {"prompt": "a red car", "width": 64, "height": 64, "num_inference_steps": 2}


@pytest.fixture
def cars(house: House) -> Iterator[list[str]]:
    """Three pictures that no other test has, the oldest first."""
    ids = []
    for seed, prompt in enumerate(("a vermilion car", "a vermilion boat", "two vermilion cats")):
        body = WISH | {"prompt": prompt, "seed": seed, "tags": ["mine"]}
        ids.append(house.http.post("/api/generate", json=body).json()["images"][0]["id"])
    yield ids
    there = {one["id"] for q in ("vermilion", "vermilion is:trash") for one in found(house, q)}
    house.http.post("/api/pictures/mark", json={"ids": list(there), "trash": True})
    house.http.post("/api/pictures/trash/empty", json={"ids": list(there)})


def found(house: House, q: str, **more: object) -> list[dict[str, object]]:
    answer = house.http.get("/api/pictures", params={"q": q, **more})  # type: ignore[dict-item]
    assert answer.status_code == 200, answer.text
    return list(answer.json()["pictures"])


def test_a_search_is_paged_and_counted(house: House, cars: list[str]) -> None:
    asked = {"q": "vermilion -boat tag:mine", "limit": 1}
    first = house.http.get("/api/pictures", params=asked).json()
    assert [one["id"] for one in first["pictures"]] == [cars[2]] and first["total"] == 2
    assert first["pictures"][0]["tags"] == ["mine"] and first["pictures"][0]["rating"] == 0
    second = house.http.get("/api/pictures", params=asked | {"after": first["next"]}).json()
    assert [one["id"] for one in second["pictures"]] == [cars[0]] and second["next"] is None
    told = house.http.get("/api/pictures/facets", params={"q": "vermilion"}).json()
    assert told["total"] == 3
    assert told["facets"]["size"] == {"values": [{"value": "64x64", "count": 3}], "more": 0}
    assert [one["id"] for one in found(house, "vermilion", sort="oldest")] == cars


def test_what_is_misunderstood_is_refused_with_its_place(house: House) -> None:
    answer = house.http.get("/api/pictures", params={"q": "cat modle:flux"})
    error = answer.json()["error"]
    assert answer.status_code == 422 and (error["code"], error["field"]) == ("bad_query", "q")
    assert error["message"].startswith("q, character 5: there is no field 'modle'. Did you mean")
    for address in ("/api/pictures", "/api/pictures/facets", "/api/wins"):
        error = house.http.get(address, params={"query": "cat"}).json()["error"]
        assert error["message"].startswith("query is not known here; there are q")
    for asked in ({"sort": "best"}, {"after": "zebra"}, {"limit": "0"}, {"limit": "0" * 5000}):
        answer = house.http.get("/api/pictures", params=asked)
        assert answer.status_code == 422
        assert answer.json()["error"]["field"] == next(iter(asked))


def test_one_is_marked_and_told_with_its_recipe(house: House, cars: list[str]) -> None:
    change = {"star": True, "rating": 4, "add_tags": ["best"], "remove_tags": ["mine"]}
    told = house.http.patch(f"/api/pictures/{cars[0]}", json=change).json()
    assert (told["star"], told["rating"], told["tags"]) == (True, 4, ["best"])
    told = house.http.get(f"/api/pictures/{cars[0]}").json()
    assert told["recipe"]["request"]["prompt"] == "a vermilion car" and told["star"]
    answer = house.http.patch(f"/api/pictures/{cars[0]}", json={"rating": 9})
    assert answer.status_code == 422 and answer.json()["error"]["field"] == "rating"
    assert house.http.patch("/api/pictures/zebra", json={"star": True}).status_code == 404


def test_many_are_marked_by_their_ids_or_by_a_search(house: House, cars: list[str]) -> None:
    body = {"ids": cars[:2], "star": True}
    assert house.http.post("/api/pictures/mark", json=body).json() == {"changed": 2}
    body = {"q": "vermilion star:yes", "rating": 5}
    assert house.http.post("/api/pictures/mark", json=body).json() == {"changed": 2}
    assert len(found(house, "vermilion rating:5")) == 2
    for wrong in ({"star": True}, {"ids": cars}, {"ids": "x", "star": True}, {"ids": [1]}):
        assert house.http.post("/api/pictures/mark", json=wrong).status_code == 422


def test_thrown_away_it_comes_back_until_the_trash_is_emptied(
    house: House, cars: list[str]
) -> None:
    assert house.http.delete(f"/api/pictures/{cars[0]}").json()["trashed_at"]
    assert len(found(house, "vermilion")) == 2
    assert [one["id"] for one in found(house, "vermilion is:trash")] == [cars[0]]
    newest = house.http.get("/api/history").json()["pictures"]
    assert cars[0] not in [one["id"] for one in newest]
    house.http.patch(f"/api/pictures/{cars[0]}", json={"trash": False})
    assert len(found(house, "vermilion")) == 3
    house.http.delete(f"/api/pictures/{cars[0]}")
    job = house.http.get(f"/api/pictures/{cars[0]}").json()["job"]
    ended = house.http.post("/api/pictures/trash/empty", json={"ids": [cars[0]]}).json()
    assert ended == {"ended": 1}
    assert house.http.get(f"/pictures/{cars[0]}").status_code == 404
    told = house.http.get(f"/api/jobs/{job}").json()
    assert told["words"] == "done; its pictures were deleted since" and told["pictures"] == []


def test_a_call_that_is_repeated_after_its_picture_was_deleted_is_told_so(house: House) -> None:
    key = {"Idempotency-Key": "deleted since"}
    told = house.http.post("/api/generate", json=WISH, headers=key).json()
    house.http.delete(f"/api/pictures/{told['images'][0]['id']}")
    house.http.post("/api/pictures/trash/empty")
    again = house.http.post("/api/generate", json=WISH, headers=key)
    assert again.status_code == 409
    assert "deleted since" in again.json()["error"]["message"]


def test_the_addresses_are_in_the_docs(house: House) -> None:
    assert "GET /api/pictures/facets" in house.http.get("/docs").text


def test_what_hangs_together_is_told(house: House, cars: list[str]) -> None:
    body = WISH | {"prompt": "a vermilion car", "seed": 5, "tags": ["mine"], "priority": "high"}
    again = house.http.post("/api/generate", json=body).json()["images"][0]["id"]
    told = house.http.get(f"/api/pictures/{cars[0]}/variants").json()
    assert [one["id"] for one in told["pictures"]] == [again, cars[0]]
    rerun = house.http.post(f"/api/pictures/{cars[0]}/rerun").json()["id"]
    assert house.studio.line.wait(rerun, 60).final
    told = house.http.get(f"/api/pictures/{cars[0]}/lineage").json()
    (link,) = told["links"]
    assert (link["source"], link["role"]) == (cars[0], "rerun_of")
    assert [one["id"] for one in told["pictures"]] == [cars[0], link["picture"]]
    assert [one["id"] for one in found(house, "vermilion kind:rerun")] == [link["picture"]]
    assert house.http.get(f"/api/pictures/{cars[0]}/near").json()["pictures"] == []  # it is flat
    assert "groups" in house.http.get("/api/pictures/duplicates").json()
    assert house.http.get("/api/pictures/zebra/lineage").status_code == 404


def test_a_choice_of_two_counts_for_what_they_differ_in(house: House, cars: list[str]) -> None:
    choice = {"winner": cars[0], "loser": cars[1]}
    assert house.http.post("/api/choices", json=choice).status_code == 201
    (model,) = house.http.get("/api/wins", params={"q": "vermilion"}).json()["model"]
    assert (model["value"], model["liked"]["of"], model["chosen"]["of"]) == ("test-pattern", 3, 0)
    wrong = house.http.post("/api/choices", json={"winner": cars[0]})
    assert wrong.status_code == 422 and wrong.json()["error"]["field"] == "loser"


def test_collections_searches_and_sets_come_and_go(house: House, cars: list[str]) -> None:
    made = house.http.post("/api/collections", json={"name": "reds", "ids": cars[:2]})
    its = made.headers["location"]
    assert made.status_code == 201 and made.json()["count"] == 2
    assert house.http.post("/api/collections", json={"name": "reds"}).status_code == 409
    assert house.http.patch(its, json={"add": [cars[2]], "order": cars[::-1]}).json()["count"] == 3
    page = house.http.get(its, params={"limit": 2}).json()
    assert [one["id"] for one in page["pictures"]] == cars[:0:-1] and page["name"] == "reds"
    rest = house.http.get(its, params={"limit": 2, "after": page["next"]}).json()
    assert [one["id"] for one in rest["pictures"]] == cars[:1] and rest["next"] is None
    assert house.http.delete(its).status_code == 204 and house.http.get(its).status_code == 404

    body = {"name": "reds", "q": "vermilion", "sort": "oldest"}
    its = house.http.post("/api/searches", json=body).headers["location"]
    assert house.http.patch(its, json={"q": "vermilion car"}).json()["q"] == "vermilion car"
    assert house.http.patch(its, json={"q": "modle:x"}).json()["error"]["code"] == "bad_query"
    assert [one["name"] for one in house.http.get("/api/searches").json()["searches"]] == ["reds"]
    assert house.http.delete(its).status_code == 204

    body = {"name": "style", "references": [{"picture": cars[1], "weight": 0.5}, cars[0]]}
    made = house.http.post("/api/reference-sets", json=body)
    its = made.headers["location"]
    assert [one["weight"] for one in made.json()["references"]] == [0.5, 1.0]
    assert house.http.get(made.json()["urls"][0]).headers["content-type"] == "image/png"
    wish = {"prompt": "x", "references": house.http.get(its).json()["references"]}
    answer = house.http.post("/api/truth", json=wish | {"model": "test-pattern"}).json()
    assert answer["error"]["message"].startswith("references: ")  # read, and none that it takes
    wrong = house.http.patch(its, json={"references": [{"picture": cars[1], "weight": 9}]})
    assert wrong.status_code == 422 and "weight" in wrong.json()["error"]["field"]
    assert house.http.delete(its).status_code == 204
