"""What a prompt may call, told over HTTP."""

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
