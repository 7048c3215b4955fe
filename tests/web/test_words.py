"""The pure parts of the web: names from outside, what controls send, HTML, paces and file names."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from studio.errors import Refused
from studio.jobs.pool import SlotView
from studio.jobs.studio import Studio
from studio.jobs.view import Live, View
from studio.web import frame
from studio.web.asking import ask
from studio.web.controls import bounds, usual, values_of, wish_of
from studio.web.desk import Desk
from studio.web.pace import Pace, share
from studio.web.pictures import file_name
from tests.conftest import OpenStudio

WISH = {"prompt": "a red car", "width": 64, "height": 64, "steps": 2}


@pytest.fixture
def studio(open_studio: OpenStudio) -> Iterator[Studio]:
    yield open_studio()


def finished(studio: Studio, **fields: object) -> View:
    job = ask(studio.line, [WISH | fields])[0]
    return studio.line.wait(job.id, 5)


def test_outside_names_mean_our_fields_and_refusals_use_theirs(studio: Studio) -> None:
    fields = {"prompt": "x", "num_inference_steps": 3, "guidance_scale": 2, "seed": -1}
    job = ask(studio.line, [fields | {"model_mode": "test-pattern", "num_images": 2}])[0]
    request = job.request
    assert (request["steps"], request["guidance"], request["count"]) == (3, 2.0, 2)
    assert request["seed"] >= 0
    with pytest.raises(Refused, match="^num_inference_steps: 101 is too many"):
        ask(studio.line, [{"prompt": "x", "num_inference_steps": 101}])


def test_the_bounds_of_controls_are_those_of_the_fields() -> None:
    assert bounds("steps") == (1, 200)
    assert bounds("count") == (1, 10)
    assert bounds("guidance") == (0, 30)


def test_a_model_without_an_ability_is_not_sent_its_field(studio: Studio) -> None:
    card = studio.catalog.find("sdxl-lightning")
    values = usual(card) | {"prompt": "x", "negative_prompt": "y", "model": card.name}
    values |= {"seed": 7, "fresh": True, "look": "", "count": 1, "output_format": "png"}
    wish = wish_of(card, values)
    assert not {"negative_prompt", "guidance", "quality", "seed", "look"} & set(wish)
    assert wish_of(card, values | {"fresh": False})["seed"] == 7


def test_the_controls_can_be_filled_from_a_job_again(studio: Studio) -> None:
    job = finished(studio, width=256, height=256, look="ink", seed=9, steps=3).job
    card = studio.catalog.find(job.model)
    values, missing = values_of(job, card, 9)
    assert missing == [] and values["prompt"] == "a red car" and values["look"] == "ink"
    values |= {"count": 1}
    again = ask(studio.line, [wish_of(card, values)])[0]
    assert again.request == job.request


def test_a_size_that_no_shape_has_is_said(studio: Studio) -> None:
    job = finished(studio).job
    _, missing = values_of(job, studio.catalog.default, None)
    assert "64 × 64" in missing[0]


def test_words_from_outside_are_escaped(studio: Studio) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror="alert(1)">'
    view = finished(studio, prompt=evil, negative_prompt=evil, filename=evil)
    state = {"jobs": [view.job.id], "picture": view.pictures[0].id}
    desk = Desk(studio)
    shown = "".join(str(part) for part in [*desk.show(state), desk._held(state)])
    assert "<script" not in shown and "<img src=x" not in shown and "&lt;script" in shown
    assert "<b>" not in frame.note("<b>")


def test_a_state_from_a_strange_browser_does_no_harm(studio: Studio) -> None:
    desk = Desk(studio)
    for state in (None, 7, "x", [], {}, {"jobs": "x"}, {"jobs": [None, {}], "picture": 3}):
        assert "try one" in str(desk.show(state)[1])
        assert desk._held(state) == ""


def test_the_status_says_slots_painting_and_waiting() -> None:
    idle = SlotView("a", "cpu", "idle", None, None, 0, None, "no GPU")
    busy = replace(idle, name="b", state="painting")
    assert "2 slots · 1 painting · 3 waiting" in frame.status([idle, busy], 3)
    assert "1 slot · ready" in frame.status([idle], 0)
    assert 'class="warn"' in frame.status([replace(idle, state="starting")], 0)


def test_time_left_is_said_only_from_the_steps_of_the_job_itself(studio: Studio) -> None:
    clock = iter([0.0, 1.0, 2.0, 3.0])
    pace = Pace(clock=lambda: next(clock))
    view = finished(studio, count=2)

    def at(index: int, step: int) -> View:
        return replace(view, live=Live(index=index, step=step, steps=10))

    assert pace.left(at(0, 0)) is None
    assert pace.left(at(0, 1)) is None
    assert pace.left(at(0, 2)) == pytest.approx(18)
    assert pace.left(at(1, 1)) == pytest.approx(9 * 2 / 10)
    assert share(at(1, 0)) == 0.5


def test_a_picture_keeps_the_name_it_was_given(studio: Studio) -> None:
    view = finished(studio, filename="cars/red: one.PNG", seed=7, count=2)
    assert [file_name(picture) for picture in view.pictures] == [
        "cars_red_ one.png",
        "cars_red_ one-1.png",
    ]
    (plain,) = finished(studio, seed=7).pictures
    assert file_name(plain) == "test-pattern-7.png"
