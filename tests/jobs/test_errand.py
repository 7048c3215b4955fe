"""What a worker is told: the pictures a job is painted from go along, or their want is said."""

from pathlib import Path

from sqlalchemy import update

from studio.jobs import fake
from studio.request import read_request
from studio.settings import Settings
from studio.store.tables import job
from tests.conftest import OpenStudio
from tests.formats.test_picture import drawn, saved


def test_the_pictures_go_along_as_bytes(open_studio: OpenStudio) -> None:
    slot = fake.FakeSlot()
    studio = open_studio(slot)
    start, _ = studio.store.take(saved(drawn()), "image")
    mask, _ = studio.store.take(saved(drawn("L")), "mask")
    wish = read_request({"prompt": "", "start_image": start.id, "mask": mask.id, "strength": 0.5})
    job = studio.line.submit([wish])[0]
    assert studio.line.wait(job.id, 60).job.state == "done"
    (told,) = slot.asked
    assert told.inputs == {name: studio.store.input(name) for name in (start.id, mask.id)}
    plain = studio.line.submit([read_request({"prompt": "x"})])[0]
    assert studio.line.wait(plain.id, 60).job.state == "done"
    assert slot.asked[1].inputs == {}


def test_a_picture_that_went_away_while_its_job_waited_is_named(
    open_studio: OpenStudio, settings: Settings
) -> None:
    studio = open_studio()
    start, _ = studio.store.take(saved(drawn()), "image")
    studio.line.pause(True)
    job = studio.line.submit([read_request({"prompt": "", "start_image": start.id})])[0]
    Path(settings.data, "inputs", start.id).unlink()
    studio.line.pause(False)
    end = studio.line.wait(job.id, 60).job
    assert (end.state, end.error_code) == ("failed", "input_missing")
    assert end.error == "start_image: the picture is no longer in the data folder."


def test_a_job_that_cannot_be_read_any_more_ends_and_the_next_is_painted(
    open_studio: OpenStudio,
) -> None:
    """As after an update that knows a field no longer."""
    studio = open_studio()
    studio.line.pause(True)
    bad, good = studio.line.submit([read_request({"prompt": text}) for text in "ab"])
    with studio.store.database.write() as tx:
        told = bad.request | {"strange": 1}
        tx.execute(update(job).where(job.c.id == bad.id).values(request=told))
    studio.line.pause(False)
    end = studio.line.wait(bad.id, 60).job
    assert (end.state, end.error_code) == ("failed", "internal")
    assert studio.line.wait(good.id, 60).job.state == "done"
