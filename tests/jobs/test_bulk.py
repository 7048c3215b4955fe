"""A file of many pictures: checked whole, written down at once, resumed, followed by its lines."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from studio.errors import Refused
from studio.formats.bulk.read import read
from studio.formats.bulk.sheet import wish_of
from studio.jobs.bulk import MOST_OF_FILE, Unsound, check, once_more, run, said, stop_rest, words_of
from studio.jobs.bulk_cost import ahead_of, cost, told, when
from studio.jobs.bulk_export import export, export_bulk
from studio.jobs.estimate import Estimates
from studio.jobs.fake import FakeSlot
from studio.jobs.studio import Studio
from studio.request import ImageRequest
from studio.store.bulks import Bulks
from studio.store.rows import Job
from tests.conftest import OpenStudio, behind
from tests.web.conftest import paint

HEAD = "---\nmodel: test-pattern\nsize: 64x64\nsteps: 2\n---\n"
FILE = (
    HEAD
    + "# Walk\n- a red car {seed: 7}\n- a boat {filename: hero, count: 2}\n- a boat\n- a boat\n"
)


@pytest.fixture
def studio(open_studio: OpenStudio) -> Studio:
    return open_studio()


@pytest.fixture
def paused(open_studio: OpenStudio) -> Studio:
    """Nothing is begun, so that all of it waits."""
    studio = open_studio()
    studio.line.pause(True)
    return studio


def bulks(studio: Studio) -> Bulks:
    return Bulks(studio.store.database)


def jobs_of(studio: Studio, bulk_id: str) -> list[Job]:
    return [studio.store.job(one.job) for one in bulks(studio).pictures(bulk_id)]


def finish(studio: Studio, bulk_id: str) -> list[Job]:
    for job in jobs_of(studio, bulk_id):
        studio.line.wait(job.id, 60)
    return jobs_of(studio, bulk_id)


def test_every_picture_of_a_file_is_painted_and_knows_its_line(studio: Studio) -> None:
    plan = check(studio.line, FILE, "walk.md")
    assert (plan.form, len(plan.new)) == ("markdown", 4)
    bulk = run(studio.line, FILE, "walk.md")
    jobs = finish(studio, bulk.id)
    assert [job.state for job in jobs] == ["done"] * 4
    assert {job.batch for job in jobs} == {bulk.id}
    first = jobs[0].request
    assert (first["seed"], first["width"], first["tags"]) == (7, 64, ["Walk"])
    told = bulks(studio).pictures(bulk.id)
    assert [one.line for one in told] == [7, 8, 9, 10]
    assert {one.groups for one in told} == {("Walk",)}
    assert [words_of(studio.line, one) for one in told] == ["done"] * 4
    assert all(one.picture for one in told)
    assert len(studio.store.pictures(job=jobs[1].id)) == 2


def test_headings_become_folders_where_names_ask_for_them(open_studio: OpenStudio) -> None:
    studio = open_studio(file_name="{tag}/{filename}-{seed}")
    bulk = run(studio.line, HEAD + "# Walk: far/away\n- a boat {seed: 7, filename: hero}\n")
    (job,) = finish(studio, bulk.id)
    (picture,) = studio.store.pictures(job=job.id)
    assert picture.path == "pictures/Walk__far_away/hero-7.png"


def test_one_bad_line_keeps_all_of_them_out_of_the_line(studio: Studio) -> None:
    with pytest.raises(Unsound, match="Line 11, column 10: steps: 500 is too large") as refused:
        run(studio.line, FILE + "- a cat {steps: 500}\n- a dog {model: flx}\n", "walk.md")
    assert [said(one) for one in refused.value.plan.problems][1].startswith(
        "Line 12, column 10: model: there is no model 'flx'. Did you mean"
    )
    assert "There is 1 more" in str(refused.value)
    assert not studio.store.counts() and not bulks(studio).newest(9)


def test_what_is_wrong_in_the_head_is_said_once_and_not_of_each_picture(studio: Studio) -> None:
    (problem,) = check(studio.line, "---\nsize: 9x9\n---\n- a\n- b\n").problems
    assert (problem.line, problem.sentence.partition(":")[0]) == (2, "width")


def test_all_that_is_wrong_with_one_picture_is_said_at_once(studio: Studio) -> None:
    plan = check(studio.line, HEAD + "- x {sampler: eulr, size: 60x64, lora: nobody, look: filmy}")
    assert [(one.column, one.sentence.partition(":")[0]) for one in plan.problems] == [
        (6, "sampler"), (21, "width"), (34, "loras"), (48, "look"),
    ]  # fmt: skip
    plan = check(studio.line, HEAD + "- x {steps: 900, seed: -5, model: flx, size: 60x64}")
    assert [(one.column, one.sentence.partition(":")[0]) for one in plan.problems] == [
        (6, "steps"), (18, "seed"), (28, "model"), (40, "width"),
    ]  # fmt: skip


def test_a_file_that_is_given_again_is_not_painted_again(paused: Studio) -> None:
    first = run(paused.line, FILE, "walk.md")
    moved = FILE.replace("- a red", "- a new one\n\nJust prose.\n\n- a red") + "- a boat\n"
    plan = check(paused.line, moved, "walk.md")
    assert [one.ask.line for one in plan.new] == [7, 15]  # the third boat was never asked for
    second = run(paused.line, moved, "walk.md")
    assert paused.store.counts() == {"queued": 6}
    told = bulks(paused).pictures(second.id)
    assert [one.skipped for one in told] == [False, True, True, True, True, False]
    assert {one.job for one in told} >= {job.id for job in jobs_of(paused, first.id)}
    run(paused.line, FILE, "walk.md", again=True)
    assert paused.store.counts() == {"queued": 10}


def test_what_was_stopped_or_failed_is_painted_when_the_file_comes_again(paused: Studio) -> None:
    bulk = run(paused.line, FILE)
    assert stop_rest(paused.line, bulk.id) == 4
    assert {job.state for job in jobs_of(paused, bulk.id)} == {"cancelled"}
    events = paused.store.events(jobs_of(paused, bulk.id)[0].id)
    assert [(one.n, one.to_state) for one in events] == [(1, "queued"), (2, "cancelled")]
    assert len(check(paused.line, FILE).new) == 4
    paused.line.pause(False)
    assert [job.state for job in finish(paused, run(paused.line, FILE).id)] == ["done"] * 4


def test_what_differs_in_one_setting_is_another_picture(paused: Studio) -> None:
    run(paused.line, HEAD + "- a car {seed: 1}\n- a car\n- a hat {priority: low}")
    same = HEAD + "- a car\n- a hat {priority: high}\n- a car {seed: 1}"
    assert not check(paused.line, same).new
    others = HEAD + "- a car {seed: 2}\n- a car {seed: 1, steps: 3}\n# Hats\n- a hat"
    assert len(check(paused.line, others).new) == 3


def test_the_same_key_gives_the_same_file_and_another_file_under_it_is_refused(
    paused: Studio,
) -> None:
    first = run(paused.line, FILE, key="k", again=True)
    again = run(paused.line, FILE, key="k", again=True)
    assert first == again and paused.store.counts() == {"queued": 4}
    with pytest.raises(Refused, match="came with another wish"):
        run(paused.line, FILE + "- more\n", key="k")
    crowded = replace(paused.line, settings=paused.settings.model_copy(update={"max_waiting": 4}))
    assert run(crowded, FILE, key="k", again=True) == first  # it is there, whatever is full now


def test_the_failed_alone_are_tried_again(open_studio: OpenStudio) -> None:
    studio = open_studio(FakeSlot("fake0", paint))
    bulk = run(studio.line, HEAD + "- a car {seed: 3}\n- boom {seed: 4}\n")
    before = finish(studio, bulk.id)
    assert [job.state for job in before] == ["done", "failed"]
    told = bulks(studio).pictures(bulk.id)
    assert words_of(studio.line, told[1]) == "The memory is full. Pick a smaller shape."
    assert once_more(studio.line, bulk.id) == 1
    after = finish(studio, bulk.id)
    assert after[0] == before[0] and after[1].id != before[1].id
    assert after[1].request == before[1].request
    assert once_more(studio.line, bulk.id, ("cancelled",)) == 0


def test_a_file_that_the_line_has_no_room_for_says_so_before_it_is_run(
    open_studio: OpenStudio,
) -> None:
    studio = open_studio(max_waiting=3)
    studio.line.pause(True)
    (problem,) = check(studio.line, FILE).problems
    assert said(problem).startswith(
        "Line 1, column 1: These are 4 pictures; the line has room for 3"
    )
    run(studio.line, FILE.replace("- a red", "a red"))
    for lines, words in ((1, "1 picture"), (2, "2 pictures")):
        (problem,) = check(studio.line, "- a new one\n" * lines).problems
        assert problem.sentence == f"The line is full; it has no room for {words}."


def test_times_are_told_as_people_say_them() -> None:
    assert [told(seconds) for seconds in (0.1, 8, 89.4, 90, 5399, 5400)] == [
        "1 s", "8 s", "89 s", "2 min", "90 min", "1.5 h",
    ]  # fmt: skip
    noon = time.mktime((2026, 11, 27, 12, 0, 0, 0, 0, -1))
    assert when(noon + 60, noon) == "12:01"
    assert when(noon + 13 * 3600, noon) == "01:00 on 2026-11-28"


def test_what_no_line_would_take_is_not_looked_at(paused: Studio) -> None:
    endless = check(paused.line, "- {seed: 1}\n" * (MOST_OF_FILE + 5), "x.md")
    assert endless.problems[-1].sentence == f"Before it are {MOST_OF_FILE:,} pictures, the most."
    assert endless.problems[-1].line == MOST_OF_FILE + 1


def test_half_a_letter_in_the_name_of_a_file_is_a_question_mark(paused: Studio) -> None:
    assert run(paused.line, "- a hat\n", "\ud800.md").name == "?.md"


def test_a_template_becomes_pictures_and_is_known_again(paused: Studio) -> None:
    drawn = HEAD + "- a {red|blue|green} {car|boat} {count: 3}\n"
    bulk = run(paused.line, drawn)
    jobs = jobs_of(paused, bulk.id)
    assert len({job.request["seed"] for job in jobs}) == 3
    assert all("{" not in job.request["prompt"] and job.request["count"] == 1 for job in jobs)
    assert not check(paused.line, drawn).new
    everything = check(paused.line, HEAD + "- a {red|blue} {car|boat} {expand: all, seed: 1}\n")
    prompts = [one.ask.settled.request.prompt for one in everything.new]
    assert prompts == ["a red car", "a red boat", "a blue car", "a blue boat"]
    (literal,) = check(paused.line, HEAD + "- a {red|blue} car {expand: no}\n").new
    assert literal.ask.settled.request.prompt == "a {red|blue} car"
    (problem,) = check(paused.line, HEAD + "- a car\n- a __nosuch__ car\n").problems
    assert problem.line == 7 and "nosuch" in problem.sentence


def test_what_it_would_cost_is_reckoned_from_what_its_like_took(studio: Studio) -> None:
    plan = check(studio.line, FILE)
    now = ahead_of(studio.line.forecaster.now(), paused=False)
    unknown = cost(plan, Estimates(), now)
    assert unknown.ends is None and "has not painted here yet" in unknown.why
    finish(studio, run(studio.line, FILE).id)
    estimates = Estimates()
    for _ in range(3):
        request = plan.pictures[0].ask.settled.request.model_dump(mode="json")
        estimates.learn("test-pattern", request, {"steps": 4.0, "total": 4.0})
    plan = check(studio.line, FILE, again=True)
    reckoned = cost(plan, estimates, now)
    (of_one,) = reckoned.models
    assert (of_one.jobs, of_one.pictures, of_one.seconds) == (4, 5, pytest.approx(20.0))
    assert reckoned.gpu_seconds == pytest.approx(20.0) and reckoned.ends
    assert (
        cost(plan, estimates, ahead_of(None, paused=False)).why == "There is no slot to paint on."
    )


def test_pictures_of_the_history_come_back_equal_from_the_file_they_are_exported_to(
    studio: Studio,
) -> None:
    text = (
        HEAD
        + "# Walk\n## Winter: light\n- a (red:1.2) car {tags: [x], count: 2}\n# Sea\n- a boat\n"
    )
    bulk = run(studio.line, text)
    finish(studio, bulk.id)
    pictures = studio.store.pictures(limit=9)
    asked = [
        ImageRequest.model_validate(
            one.recipe["request"] | {"seed": one.seed, "count": 1}, strict=False
        )
        for one in pictures
    ]
    file = export(studio.line, [one.id for one in pictures])
    read_back = [wish_of(entry)[0] for entry in read(file, "x.md").entries]
    assert [one and one.model_copy(update={"expand": "no"}) for one in read_back] == asked
    again = run(studio.line, file, "history.md", again=True)
    assert [job.request for job in finish(studio, again.id)] == [
        json.loads(one.model_dump_json()) for one in asked
    ]
    assert export_bulk(studio.line, again.id) == file
    with pytest.raises(Refused, match="name at least one picture"):
        export(studio.line, [])


def test_choices_below_an_exported_file_are_drawn_and_those_that_were_text_stay_text(
    open_studio: OpenStudio,
) -> None:
    studio = open_studio()
    bulk = run(studio.line, HEAD + "- a boat\n- a hat\n- a {red|blue} car {expand: no}\n")
    finish(studio, bulk.id)
    file = export_bulk(studio.line, bulk.id)
    head, _, lines = file.removeprefix("---\n").partition("---\n")
    assert "expand" not in head and lines.count("expand: no") == 1
    plan = check(studio.line, file + "- a {warm|cold} day\n")
    *kept, drawn = [one.ask.settled.request.prompt for one in plan.pictures]
    assert kept == ["a boat", "a hat", "a {red|blue} car"]
    assert drawn in ("a warm day", "a cold day")


def test_stopping_leaves_what_is_painted_alone(open_studio: OpenStudio, tmp_path: Path) -> None:
    door = threading.Event()
    studio = open_studio(FakeSlot("a", behind(door)))
    bulk = run(studio.line, HEAD + "- a\n- b\n- c\n")
    first = jobs_of(studio, bulk.id)[0]
    while studio.store.job(first.id).state == "queued":
        studio.line.wait(first.id, 0.02)
    assert stop_rest(studio.line, bulk.id) == 2
    door.set()
    assert [job.state for job in finish(studio, bulk.id)] == ["done", "cancelled", "cancelled"]


@pytest.mark.parametrize("way", ["all", "cycle", "random"])
def test_choices_that_were_made_without_a_seed_are_known_again(paused: Studio, way: str) -> None:
    text = HEAD + f"- a {{red|blue}} car {{expand: {way}, count: 2}}\n- a {{red|blue}} car\n"
    run(paused.line, text)
    assert not check(paused.line, text).new
