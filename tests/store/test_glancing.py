"""Many pictures from outside are looked at by one process, which none of them can take along."""

import io
import os
import time
from collections.abc import Iterator

import pytest
from PIL import Image

from studio.errors import Refused
from studio.store.glancing import Glances, glances
from tests.formats.test_picture import drawn, saved


@pytest.fixture(scope="module")
def looking() -> Iterator[Glances]:
    with glances(read=True) as found:
        yield found


def test_one_after_another_is_told_its_size_and_has_a_thumb(looking: Glances) -> None:
    for size in ((64, 48), (48, 64), (900, 300)):
        seen = looking.look(saved(Image.new("RGB", size, "red")))
        assert (seen.width, seen.height, seen.form) == (*size, "png")
        assert seen.reading and seen.reading["tool"] == ""
        with Image.open(io.BytesIO(seen.thumb)) as thumb:
            assert (thumb.format, max(thumb.size)) == ("WEBP", min(320, max(size)))


def test_a_picture_that_is_held_sideways_is_told_upright(looking: Glances) -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 32), "red").save(file, "JPEG", exif=exif)
    assert (seen := looking.look(file.getvalue())).width == 32
    assert (seen.height, seen.form) == (64, "jpeg")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty."),
        (b"GIF89a...", "it is a GIF; save it as PNG, JPEG or WebP."),
        (saved(drawn())[:-20], "it is a PNG that was cut; send it again."),
        (saved(Image.new("L", (8, 8))), "it is 8x8 pixels; the least is 16 a side."),
    ],
)
def test_what_is_no_whole_picture_is_refused_and_the_next_is_read(
    looking: Glances, data: bytes, words: str
) -> None:
    with pytest.raises(Refused) as refused:
        looking.look(data)
    assert str(refused.value) == words
    assert looking.look(saved(drawn())).form == "png"


def test_ctrl_c_in_a_terminal_does_not_reach_the_picture_that_is_looked_at() -> None:
    with glances() as looking:
        looking.look(saved(drawn()))
        assert looking._child
        assert os.getpgid(looking._child.pid) != os.getpgrp()


def test_one_that_is_killed_or_takes_too_long_is_refused_and_the_next_is_read() -> None:
    slow = Glances(seconds=0.05)  # no process starts so fast
    began = time.monotonic()
    with pytest.raises(Refused, match=r"not read within 0\.05 seconds"):
        slow.look(saved(drawn()))
    assert time.monotonic() - began < 60
    slow.close()
    with glances() as looking:
        looking.look(saved(drawn()))
        assert looking._child
        looking._child.kill()
        looking._child.wait()
        with pytest.raises(Refused, match="could not be read"):
            looking.look(saved(drawn()))
        assert looking.look(saved(drawn())).form == "png"
