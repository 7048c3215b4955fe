"""What a prompt may call and wear, told over HTTP."""

import os

from tests.web.conftest import House


def test_wildcards_are_listed_with_their_first_values_or_their_problem(house: House) -> None:
    own = house.studio.settings.wildcard_folder
    own.mkdir()
    (own / "mine.txt").write_text("one\ntwo\n")
    (own / "torn.json").write_text("[")
    told = {one["name"]: one for one in house.http.get("/api/wildcards").json()["wildcards"]}
    assert told["mine"] == {
        "name": "mine",
        "values": 2,
        "first": ["one", "two"],
        "file": "mine.txt",
        "own": True,
        "problem": None,
    }
    assert told["torn"]["problem"].startswith("torn.json: it is no JSON")
    assert (told["colours"]["own"], len(told["colours"]["first"])) == (False, 5)


def test_looks_are_listed_taken_in_given_out_and_removed(house: House) -> None:
    styles = b'name,prompt,negative_prompt\nMine,"{prompt}, mine",rain\n'
    taken = house.http.post("/api/looks", content=styles, headers={"content-type": "text/csv"})
    assert taken.json()["new"] == ["mine"]
    (house.studio.settings.look_folder / "torn.toml").write_text("[")
    told = {one["name"]: one for one in house.http.get("/api/looks").json()["looks"]}
    assert (told["mine"]["prompt"], told["mine"]["own"]) == ("{prompt}, mine", True)
    assert not told["film"]["own"] and told["torn"]["problem"].startswith("torn.toml")
    given = house.http.get("/api/looks.csv")
    assert "attachment" in given.headers["content-disposition"]
    assert "Mine,mine,rain" in given.text
    other = styles.replace(b"rain", b"snow")
    refused = house.http.post("/api/looks", content=other)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "looks")
    changed = house.http.post("/api/looks?replace=yes", content=other).json()
    assert changed["changed"] == ["mine"]
    wish = {"prompt": "a car", "look": "mine", "width": 64, "height": 64, "steps": 2}
    painted = house.http.post("/api/generate", json=wish).json()
    assert painted["images"][0]["prompt"] == "a car, mine"
    assert house.http.delete("/api/looks/mine").status_code == 200
    assert house.http.delete("/api/looks/mine").status_code == 404
    assert house.http.delete("/api/looks/film").status_code == 404
    assert house.http.post("/api/looks?replace=maybe", content=other).status_code == 422


def test_what_is_called_by_no_text_is_listed_with_its_problem(house: House) -> None:
    settings = house.studio.settings
    for folder, name in (
        (settings.wildcard_folder, b"a\xff.txt"),
        (settings.wildcard_folder, b"b\xff.json"),
        (settings.look_folder, b"c\xff.toml"),
    ):
        folder.mkdir(exist_ok=True)
        (folder / os.fsdecode(name)).write_text('{"ours": ["x"]}')
    (settings.wildcard_folder / "ours.txt").write_text("y")
    told = {one["name"]: one for one in house.http.get("/api/wildcards").json()["wildcards"]}
    assert told["a?"]["file"] == "a?.txt" and "cannot be called" in told["a?"]["problem"]
    assert told["ours"]["problem"] == "b?.json and ours.txt both hold it; rename one"
    told = {one["name"]: one for one in house.http.get("/api/looks").json()["looks"]}
    assert told["c?"]["problem"].startswith("c?.toml")
