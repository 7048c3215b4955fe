"""What is exported of the history is known again when the file comes back, and not painted anew."""

import json
from collections.abc import Sequence

import pytest

from studio.errors import Refused
from studio.formats.picture import clean
from studio.jobs.bulk import check, run
from studio.jobs.bulk_export import export, export_bulk
from studio.jobs.studio import Studio
from studio.request import ImageRequest
from studio.store.bulks import Bulks
from studio.store.importing import Given, take_in
from studio.store.marks import Marks
from studio.store.rows import Picture
from studio.web.enlarging import enlarge
from tests.conftest import OpenStudio
from tests.formats.pictures import plain, png

SMALL = {"model": "test-pattern", "width": 64, "height": 64, "steps": 2}
HEAD = "---\nmodel: test-pattern\nsize: 64x64\nsteps: 2\n---\n"
AT = 1_600_000_000.0


def a1111(words: str, seed: int | None = 7, model: str = "test-pattern") -> str:
    said = f", Seed: {seed}" if seed is not None else ""
    row = f"Steps: 22, Sampler: Euler a, CFG scale: 6.5{said}, Size: 64x64, Model: {model}"
    return f"{words}\nNegative prompt: blurry\n{row}"


@pytest.fixture
def studio(open_studio: OpenStudio) -> Studio:
    return open_studio()


def paint(studio: Studio, prompt: str, **more: object) -> list[Picture]:
    wish = ImageRequest.model_validate({"prompt": prompt, **SMALL, **more})
    jobs = studio.line.submit([wish])
    return [one for job in jobs for one in studio.line.wait(job.id, 20).pictures]


def bring(studio: Studio, *texts: str) -> list[Picture]:
    given = [Given(f"boat{n}.png", png({"parameters": text}), AT) for n, text in enumerate(texts)]
    return [studio.store.picture(one.picture) for one in take_in(studio.store, given)]


def exported(studio: Studio, pictures: Sequence[Picture]) -> str:
    return export(studio.line, [one.id for one in pictures])


def new(studio: Studio, file: str) -> list[int]:
    """The lines that would be painted."""
    plan = check(studio.line, file, "history.md")
    assert not plan.problems
    return [one.ask.line for one in plan.new]


def test_what_was_painted_by_whichever_face_and_however_its_seed_came_is_known_again(
    studio: Studio,
) -> None:
    bulk = run(studio.line, HEAD + "# Walk\n- a boat\n- a {red|blue} car {count: 2}\n- a hat\n")
    for one in Bulks(studio.store.database).pictures(bulk.id):
        studio.line.wait(one.job, 20)
    paint(studio, "a lamp")
    paint(studio, "two\nlines", count=3, tags=["x"], filename="f: a")
    paint(studio, "a {red|blue} vase", expand="all", seed=4)
    paint(studio, "as {it|stands}", expand="no", output_format="webp")
    paint(studio, "large", upscale=2)
    pictures = studio.store.pictures(limit=99)
    assert len(pictures) == 12
    file = exported(studio, pictures)
    plan = check(studio.line, file, "history.md")
    assert (len(plan.pictures), plan.new, plan.problems) == (12, [], [])
    counts = studio.store.counts()
    again = run(studio.line, file, "history.md")
    assert studio.store.counts() == counts
    rows = Bulks(studio.store.database).pictures(again.id)
    assert [one.picture for one in rows] == [one.id for one in pictures]  # not the first of its job
    assert all(one.skipped for one in rows)
    assert [one.request["seed"] for one in rows] == [one.seed for one in pictures]
    assert export_bulk(studio.line, again.id) == file
    assert not new(studio, file)  # by its marks now
    assert len(check(studio.line, file, "history.md", again=True).new) == 12


def test_what_is_changed_is_painted_and_what_is_gone_too(studio: Studio) -> None:
    first, second = paint(studio, "a boat", count=2, seed=5)
    file = exported(studio, [first, second])
    assert new(studio, file.replace("steps: 2", "steps: 3")) != []
    assert len(new(studio, file.replace("a boat", "a ship"))) == 2
    assert not new(studio, file.replace("---\n", "---\npriority: low\n", 1))
    history = studio.store.history
    history.mark([first.id], Marks(trash=True))
    assert not new(studio, file)
    history.empty_trash([first.id])
    (line,) = new(studio, file)
    assert file.splitlines()[line - 1].endswith(f"{{seed: {first.seed}}}")
    assert not new(studio, file.replace(file.splitlines()[line - 1], ""))


def test_two_of_equal_lines_need_two_pictures(studio: Studio) -> None:
    paint(studio, "a boat", seed=5)
    line = "- a boat {seed: 5}\n"
    assert new(studio, HEAD + line) == []
    assert new(studio, HEAD + line + line) == [7]
    paint(studio, "a boat", seed=5)
    assert new(studio, HEAD + line + line) == []
    assert new(studio, HEAD + line * 3) == [8]
    run(studio.line, HEAD + line * 3)
    assert new(studio, HEAD + line * 4) == [9]


def test_a_line_for_several_is_known_where_one_wish_painted_them_all(studio: Studio) -> None:
    paint(studio, "a boat", seed=2**32 - 1, count=3)
    several = "- a boat {seed: 4294967295, count: %d}\n"
    assert new(studio, HEAD + several % 3) == []
    assert new(studio, HEAD + several % 2) == [6]
    assert new(studio, HEAD + several % 4) == [6]
    assert new(studio, HEAD + "- a boat {seed: 0}\n- a boat {seed: 1}\n- a boat {seed: 2}") == [8]


def test_what_is_there_needs_no_model(studio: Studio) -> None:
    """It was removed since, or came with a picture of another studio."""
    (picture,) = paint(studio, "a boat", seed=5)
    request = picture.recipe["request"] | {"model": "somebody-elses"}
    marks = {"darkroom": "0.1.0"}
    recipe = {"version": 1, "request": request, "wish": {}, "fingerprint": marks, "seed": 5}
    data = png({"darkroom": json.dumps(recipe)})
    (outcome,) = take_in(studio.store, [Given("x.png", data, AT)])
    file = exported(studio, [studio.store.picture(outcome.picture)])
    assert "model: somebody-elses" in file
    assert not new(studio, file)
    more = file + "- a hat {model: somebody-elses}\n- a cap {model: somebody-elses, seed: 5}\n"
    plan = check(studio.line, more, "x.md")
    assert [one.line for one in plan.problems] == [2, 3] and len(plan.pictures) == 1
    assert plan.problems[1].sentence.startswith("model: there is no model 'somebody-elses'")
    assert check(studio.line, file, "x.md", again=True).problems


def test_a_picture_of_another_tool_is_asked_for_as_near_as_can_be(studio: Studio) -> None:
    (picture,) = bring(studio, a1111("a (red:1.2) boat"))
    file = exported(studio, [picture])
    assert "<!-- boat0.png, of A1111: Its noise was drawn on a graphics card" in file
    assert "model: test-pattern" in file and "seed: 7" in file and "filename: boat0" in file
    assert not new(studio, file)
    assert new(studio, file.replace("steps: 22", "steps: 23")) != []
    (again,) = check(studio.line, file, "x.md", again=True).new
    asked = again.ask.settled.request
    assert (asked.model, asked.steps, asked.guidance, asked.seed) == ("test-pattern", 22, 6.5, 7)
    bulk = run(studio.line, file, "x.md")
    (row,) = Bulks(studio.store.database).pictures(bulk.id)
    assert (row.skipped, row.picture, row.state) == (True, picture.id, "done")


@pytest.mark.parametrize(
    ("text", "why", "line"),
    [
        (
            a1111("a boat", model="dreamer"),
            "Its model 'dreamer' is not here.",
            "- [x] a boat {negative_prompt: blurry, model: dreamer, size: 64x64, seed: 7,",
        ),
        (a1111("a boat", None), "Its seed is not known", "- [x] a boat {"),
        ("Steps: 2, Seed: 7, Size: 64x64", "It does not say what it should show.", ""),
    ],
)
def test_what_cannot_be_painted_is_ticked_off_and_told_in_its_place(
    studio: Studio, text: str, why: str, line: str
) -> None:
    pictures = [*bring(studio, text), *paint(studio, "a hat", seed=1)]
    alone = exported(studio, pictures[:1])
    assert f"<!-- boat0.png, of A1111: {why}" in alone
    assert line in alone and ("[x]" in alone) == bool(line)
    plan = check(studio.line, exported(studio, pictures), "x.md")
    told = (len(plan.pictures), len(plan.new), len(plan.problems), plan.ticked)
    assert told == (1, 0, 0, int(bool(line)))
    if line:
        with pytest.raises(Refused, match="all of it is ticked off, so nothing is painted"):
            run(studio.line, alone, "x.md")


def test_what_was_ticked_off_is_painted_when_the_tick_is_taken_out(studio: Studio) -> None:
    unknown, no_seed = bring(studio, a1111("a boat", model="dreamer"), a1111("a hat", None))
    (problem,) = check(studio.line, exported(studio, [unknown]).replace("[x]", "[ ]")).problems
    assert problem.line == 2 and problem.sentence.startswith("model: there is no model 'dreamer'")
    assert new(studio, exported(studio, [no_seed]).replace("[x]", "[ ]")) == [2]


def test_a_photo_that_says_nothing_is_told_and_does_not_stop_the_others(studio: Studio) -> None:
    (outcome,) = take_in(studio.store, [Given("a--b.jpg", plain("JPEG"), AT)])
    pictures = [studio.store.picture(outcome.picture), *paint(studio, "a hat", seed=1)]
    file = exported(studio, pictures)
    assert "<!-- a- -b.jpg: It does not say what it should show." in file
    assert not new(studio, file)


def test_a_search_that_finds_nothing_is_not_exported(studio: Studio) -> None:
    with pytest.raises(Refused, match="nothing is found by it, so there is nothing to export"):
        export(studio.line, q="unicorn")


def test_what_was_painted_from_a_picture_or_only_enlarged_is_known_again(studio: Studio) -> None:
    (boat,) = paint(studio, "a boat", seed=3)
    start = studio.store.keep_input(clean(studio.store.file(boat).read_bytes()).png)
    from_it = paint(studio, "a ship", seed=4, start_image=start, strength=0.5, steps=4)
    job = enlarge(studio.line, {"picture": boat.id, "times": 2})
    larger = studio.line.wait(job.id, 20).pictures
    assert larger
    assert not new(studio, exported(studio, [boat, *from_it, *larger]))
