"""The gate: pictures from outside pass a process of their own, and what is kept is plain."""

import io
import random
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from studio.canvas import Input
from studio.errors import NotFound, Refused, TooMany
from studio.request import read_request
from studio.settings import Settings
from studio.store import gate
from studio.store.store import Store
from tests.formats.test_picture import COLOURED, UNFIT, clear_left, drawn, mutated, saved
from tests.store.conftest import OpenStore


@pytest.fixture
def store(settings: Settings, open_store: OpenStore) -> Store:
    return open_store(settings)


def test_a_picture_is_kept_once_as_plain_png_under_its_hash(store: Store) -> None:
    kept, notes = store.take(COLOURED["jpeg"], "image")
    assert (kept.width, kept.height) == (48, 32) and notes == ()
    assert store.look(kept.id) == kept == Input(kept.id, 48, 32)
    data = store.input(kept.id)
    assert Image.open(io.BytesIO(data)).size == (48, 32)
    assert store.take(data, "image")[0] == kept  # its own file comes in as itself
    assert store.take(saved(clear_left()), "image")[0].transparent


def test_a_refusal_names_the_field_it_was_given_for(store: Store) -> None:
    with pytest.raises(Refused, match="^mask: it is a GIF; save it as PNG") as refusal:
        store.take(UNFIT["gif"][0], "mask")
    assert refusal.value.field == "mask"
    with pytest.raises(Refused, match="^image: it is far too large; the most is 8192 a side"):
        store.take(UNFIT["bomb"][0], "image")


def test_notes_and_masks_pass_the_gate(store: Store) -> None:
    _, notes = store.take(COLOURED["animated png"], "image")
    assert notes == ("It holds 2 pictures; the first was taken.",)
    mask, _ = store.take(saved(clear_left()), "mask", holes=True)
    assert Image.open(io.BytesIO(store.input(mask.id))).getpixel((2, 20)) == 255


def test_a_picture_that_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        store.look("0" * 64)
    with pytest.raises(NotFound, match="64 hexadecimal"):
        store.input("../../etc/passwd")
    request = read_request({"prompt": "", "start_image": "0" * 64}).model_dump(mode="json")
    with pytest.raises(NotFound, match="^start_image: the picture is no longer in the data folder"):
        store.inputs(request)


def test_who_comes_while_many_are_read_is_sent_away(store: Store) -> None:
    with ThreadPoolExecutor(12) as crowd:
        taken = [crowd.submit(store.take, COLOURED["png"], "image") for _ in range(12)]
        ends = [one.exception() for one in taken]
    turned = [error for error in ends if error is not None]
    assert all(isinstance(error, TooMany) for error in turned)
    assert 0 < len(turned) <= 12 - gate.AT_ONCE - gate.WAITING
    assert store.take(COLOURED["png"], "image")  # and there is room again


def test_what_passed_no_gate_is_nothing_to_paint_from(store: Store) -> None:
    told = PngInfo()
    told.add_text("parameters", "a red car")
    for data in (saved(drawn(), pnginfo=told), COLOURED["jpeg"], b"text"):
        with pytest.raises(NotFound, match="something else"):
            store.look(store.keep_input(data))


def test_a_reader_that_takes_too_long_is_ended(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "SECONDS", 0.001)
    with pytest.raises(Refused, match="not read within"):
        store.take(COLOURED["png"], "image")


@pytest.mark.parametrize("rounds", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_spoilt_bytes_take_no_memory_here_and_leave_no_process(store: Store, rounds: int) -> None:
    dice, me = random.Random(rounds), psutil.Process()
    store.take(COLOURED["png"], "image")
    before, others = me.memory_info().rss, set(me.children())
    for _ in range(rounds):
        data = mutated(dice, dice.choice(list(COLOURED.values())))
        try:
            store.take(data, "image")
        except Refused as refusal:
            assert str(refusal).startswith("image: it ")
    assert me.memory_info().rss - before < 8 << 20
    assert set(me.children()) <= others
