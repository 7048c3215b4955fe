"""What is asked for twice under one key is there once, whatever became of it meanwhile."""

from dataclasses import replace

import pytest

from studio.errors import Refused
from studio.jobs.slot import Inbox
from studio.wishes.catalog import Catalog
from tests.conftest import OpenStudio
from tests.jobs.test_pool import wish


def test_a_job_that_is_over_does_not_stand_in_line_again(open_studio: OpenStudio) -> None:
    studio = open_studio()
    (job,) = studio.line.submit([wish()], key="k")
    studio.line.wait(job.id, 60)
    inbox = Inbox()
    replace(studio.line, inbox=inbox).submit([wish()], key="k")
    assert inbox.empty()


def test_the_same_key_gives_the_same_job(open_studio: OpenStudio) -> None:
    line = open_studio().line
    assert line.submit([wish()], key="k")[0].id == line.submit([wish()], key="k")[0].id
    with pytest.raises(Refused):
        line.submit([wish(count=2)], key="k")


def test_the_same_key_gives_its_jobs_when_nothing_could_paint_them_any_more(
    open_studio: OpenStudio,
) -> None:
    studio = open_studio()
    (job,) = studio.line.submit([wish()], key="k")
    studio.line.wait(job.id, 60)
    (picture,) = studio.store.pictures(job=job.id)
    again = studio.line.rerun(picture.id, key="again")
    others = [card for card in studio.catalog.cards.values() if card.name != job.model]
    left = Catalog([others[0].model_copy(update={"default": True}), *others[1:]], [])
    line = replace(studio.line, catalog=left)
    assert line.submit([wish()], key="k")[0].id == job.id
    assert line.rerun(picture.id, key="again").id == again.id
    for unheard in (None, "another"):
        with pytest.raises(Refused):
            line.rerun(picture.id, key=unheard)
