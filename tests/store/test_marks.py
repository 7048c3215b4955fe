"""Stars, ratings, tags and the trash: for many at once, undone again, and files that follow."""

import json
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, text

import app
from studio.errors import NotFound, Refused, Unavailable
from studio.settings import Settings
from studio.store.database import Database, database_url
from studio.store.history import History
from studio.store.marks import Marks, mark, numbers, read_marks
from studio.store.schema import prepare
from studio.store.store import Store
from studio.store.tables import entry, entry_term, leaving
from tests.store.conftest import OpenStore
from tests.store.kit import FailsAt, WatchedFiles, claimed, files_in, first_migration, kept, painted


def painted_ones(store: Store, prompt: str = "a red car", count: int = 2) -> list[str]:
    """Pictures with their files."""
    job = claimed(store, prompt=prompt, count=count)
    found = store.keep(job.id, painted(job))
    assert found
    return [picture.id for picture in found]


def test_many_are_marked_at_once_and_only_what_was_otherwise_counts(store: Store) -> None:
    ids = [name for n in range(0, 1200, 10) for name in kept(store, seed=n, count=10)]
    history = store.history
    assert history.mark(ids, Marks(star=True, rating=4, add_tags=("a", "b"))) == 1200
    assert history.mark(ids[:10], Marks(star=True, add_tags=("a",))) == 0
    assert history.mark(None, Marks(remove_tags=("a",)), q="seed:<10") == 10
    one = history.one(ids[3])
    assert (one.star, one.rating, one.tags) == (True, 4, ("b",))
    assert history.search("star:yes rating:4 tag:a").total == 1190
    assert history.mark(ids[:5], Marks(rating=0, star=False)) == 5
    assert history.facets().facets["rating"].values == (("4", 1195), ("0", 5))


def test_one_that_is_not_there_and_all_stay_as_they_are(store: Store) -> None:
    (there,) = kept(store)
    with pytest.raises(NotFound, match="no picture 'zebra'"):
        store.history.mark([there, "zebra"], Marks(star=True))
    with pytest.raises(NotFound):
        store.history.mark([there], Marks(star=True), owner="somebody else")
    assert not store.history.one(there).star
    with pytest.raises(Refused, match="either ids, or q"):
        store.history.mark([there], Marks(star=True), q="red")


@pytest.mark.parametrize(
    "fields, said",
    [
        ({}, "nothing to mark"),
        ({"rating": 6}, "rating: 6 is too large; the most is 5"),
        ({"rating": "4"}, "rating: '4' is not a whole number"),
        ({"stars": True}, "stars is not known here"),
        ({"add_tags": [""]}, "not allowed here|too short|the least is 1"),
        ({"add_tags": "x"}, "'x' is not a list"),
        ({"add_tags": ["x"] * 33}, "the most is 32"),
    ],
)
def test_a_mark_that_is_none_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(Refused, match=said):
        read_marks(fields)


def test_the_trash_hides_and_gives_back(store: Store) -> None:
    first, second = painted_ones(store)
    assert store.history.mark([first], Marks(trash=True)) == 1
    assert [one.id for one in store.pictures()] == [second]
    assert store.history.search().total == store.history.facets().total == 1
    assert store.history.search("is:trash").pictures[0].trashed_at
    assert store.file(store.picture(first)).is_file()
    store.history.mark([first], Marks(trash=False))
    assert store.history.search().total == 2 and store.history.one(first).trashed_at is None


def test_what_leaves_the_trash_for_good_takes_its_files_along(
    store: Store, both: Settings, open_store: OpenStore
) -> None:
    first, second = painted_ones(store, "a red cat")
    store.history.mark([first], Marks(trash=True, add_tags=("x",)))
    assert store.history.empty_trash([second]) == 0, "it does not lie there"
    assert store.history.empty_trash(older_than=60) == 0
    assert store.history.empty_trash() == 1
    with pytest.raises(NotFound):
        store.picture(first)
    with pytest.raises(NotFound):
        store.history.one(first)
    assert len(files_in(both.data)) == 2, "the other's picture and thumb"
    assert store.history.search("cat").total == 1 and store.history.search("tag:x").total == 0
    store.close()
    again = open_store(both)
    assert again.history.search("cat").total == 1 and len(files_in(both.data)) == 2


def test_files_that_could_not_go_go_at_the_next_start(
    both: Settings, open_store: OpenStore
) -> None:
    class Stuck(WatchedFiles):
        def remove(self, path: Path) -> None:
            raise OSError(5, "Input/output error")

    store = open_store(both, files=Stuck(FailsAt()))
    ids = painted_ones(store)
    store.history.mark(ids, Marks(trash=True))
    with pytest.raises(Unavailable, match="could not be removed"):
        store.history.empty_trash()
    assert store.history.search("is:trash").total == 0 and len(files_in(both.data)) == 4
    store.close()
    assert open_store(both).history.search().total == 0
    assert files_in(both.data) == [] and not (both.data / "lost+found").exists()


def test_whoever_changes_it_all_who_look_see_it(store: Store) -> None:
    other = History(store.database, store._shelf, store._clock)
    (first,) = kept(store, "red", tags=["x"])
    assert other.search("red").total == 1
    (second,) = kept(store, "red boat")
    store.history.mark([first], Marks(remove_tags=("x",), add_tags=("y",)))
    assert other.search("red").total == 2 and other.search("tag:x").total == 0
    assert [one.picture.id for one in other.search("tag:y").pictures] == [first]
    store.history.mark([second], Marks(trash=True))
    store.history.empty_trash()
    assert other.search("red").total == 1 and other.search("boat OR is:trash").total == 0


def test_pictures_of_an_older_version_are_searched(
    both: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(both)
    ids = []
    for n in range(60):  # more than are entered at once
        ids += kept(store, f"a red cat {n}", at=1.8e9 + n, tags=["x"], count=10)
    with store.database.write() as tx:  # as if they had never been entered
        tx.execute(delete(entry_term))
        tx.execute(delete(entry))
        tx.execute(text("DELETE FROM find" if both.database else "DROP TABLE find"))
        if not both.database:
            made = "CREATE VIRTUAL TABLE find USING fts5(words, content='', tokenize='ascii')"
            tx.execute(text(made))
        tx.execute(text("DELETE FROM came_from"))
    store.close()
    found = open_store(both).history
    assert found.search("cat tag:x").total == 600
    assert found.search(limit=1).pictures[0].picture.id == ids[-1]


def test_what_the_first_version_kept_is_searched(
    both: Settings, open_store: OpenStore, tmp_path: Path
) -> None:
    both.data.mkdir()
    database = Database(database_url(both))
    prepare(database, first_migration(tmp_path))
    with database.write() as tx:
        tx.exec_driver_sql(
            "INSERT INTO job (id, owner, state, priority, model, attempts, crashes, token, wish, "
            "request, warnings, timings, created_at) VALUES ('j', 'local', 'done', 1, 'm', 1, 0, "
            "1, '{\"look\": \"ink\"}', '{\"steps\": 4}', '[]', '{}', 0)"
        )
        tx.exec_driver_sql(
            "INSERT INTO picture VALUES ('a', 'j', 0, 'pictures/p.png', 'thumbs/p.webp', 'ab', 1, "
            "64, 64, 7, 'png', '{}', 1.5, 'local', 'm', 'a red cat')"
        )
    database.close()
    history = open_store(both).history
    assert history.search("cat steps:4 look:ink seed:7").total == 1


def test_what_lay_in_the_trash_for_long_enough_ends_by_itself(
    both: Settings, open_store: OpenStore
) -> None:
    now = [1.8e9]
    given = both.model_copy(update={"trash_days": 30})
    store = open_store(given, clock=lambda: now[0])
    first, second, third = painted_ones(store, count=3)
    store.history.mark([first], Marks(trash=True))
    now[0] += 29 * 86_400
    store.history.mark([second], Marks(trash=True))
    assert store.history.search("is:trash").total == 2
    now[0] += 2 * 86_400
    store.history.mark([third], Marks(trash=True))
    left = store.history.search("is:trash").pictures
    assert {one.picture.id for one in left} == {second, third}
    store.close()
    now[0] += 29 * 86_400
    store = open_store(given, clock=lambda: now[0])
    assert store.history.retire() == 1
    assert store.history.search("is:trash").total == 1


def test_the_command_line_searches_beside_a_server(
    settings: Settings, open_store: OpenStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(settings)
    painted_ones(store, "a red car")
    asked = ["search", "car rating:0", "--limit", "1", "--data", str(settings.data)]
    assert app.main(asked) == 0
    told = capsys.readouterr().out
    assert "a red car" in told and "1 of 2 found; the next: --after " in told
    assert app.main([*asked, "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["pictures"]
    assert one["picture"]["prompt"] == "a red car" and one["star"] is False
    assert app.main(["search", "modle:x", "--data", str(settings.data)]) == 1
    assert "Did you mean model:?" in capsys.readouterr().err


def test_a_name_whose_file_is_about_to_go_is_not_given_again(
    both: Settings, open_store: OpenStore
) -> None:
    given = both.model_copy(update={"file_name": "{prompt}"})
    store = open_store(given)
    (first,) = painted_ones(store, "a car", count=1)
    path = store.picture(first).path
    store.history.mark([first], Marks(trash=True))
    store.history.empty_trash()
    with store.database.write() as tx:  # as if the server had died before it crossed them out
        names = (path, "thumbs/a_car.webp")
        tx.execute(insert(leaving), [{"name": name} for name in names])
    (second,) = painted_ones(store, "a car", count=1)
    assert store.picture(second).path != path
    store.close()
    again = open_store(given)
    assert again.file(again.picture(second)).is_file()


def test_what_has_left_since_it_was_found_does_not_come_back(store: Store) -> None:
    (first,) = kept(store)
    with store.database.read() as connection:
        seqs = numbers(connection, [first], None)
    store.history.mark([first], Marks(trash=True))
    store.history.empty_trash()
    with store.database.write() as tx:
        assert mark(tx, seqs, Marks(trash=False, star=True, add_tags=("x",)), 0) == 0
    assert store.history.search("star:yes OR tag:x").total == 0


def test_more_ids_than_one_call_takes_are_refused_for_the_trash_too(store: Store) -> None:
    with pytest.raises(Refused, match="10001 are too many at once; the most is 10000"):
        store.history.empty_trash(["0" * 32] * 10_001)
