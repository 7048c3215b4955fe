"""Upscalers: rows of data, files that are found, which one a wish means, and how they come."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import app
from studio.errors import CannotStart, Refused
from studio.formats.enlargers import ways
from studio.models import upscalers
from studio.models.fetch import CannotFetch, fetch
from studio.models.upscalers import UpscalerCard, choose, find_upscalers, say, upscaler_of
from studio.request import read_request
from studio.settings import Settings
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog
from tests.networks import compact

PHOTO, DRAWN = "realesrgan-x4plus", "starter-x2"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(Settings().presets, "test-pattern")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A model folder with one official file and one that is known to nobody."""
    compact(tmp_path / "upscalers" / "RealESRGAN_x4plus.safetensors", scale=4)
    compact(tmp_path / "upscalers" / "4x-Mine.safetensors", scale=4)
    return tmp_path


def names(cards: tuple[UpscalerCard, ...], models: Path) -> list[str]:
    return [one.card.name for one in find_upscalers(cards, models) if one.usable]


def test_the_rows_say_where_official_files_come_from(catalog: Catalog) -> None:
    rows = {card.name: card for card in catalog.upscalers}
    assert {name: card.scale for name, card in rows.items()} == {
        "realesr-animevideo-v3": 4,
        "realesr-general-wdn-x4v3": 4,
        "realesr-general-x4v3": 4,
        "realesrgan-x2plus": 2,
        "realesrgan-x4plus": 4,
        "realesrgan-x4plus-anime": 4,
        "starter-x2": 2,
    }
    for card in rows.values():
        if card.name != DRAWN:
            assert card.url.endswith(f"/{card.file}") and len(card.sha256) == 64
            assert card.licence and card.homepage and card.suits


def test_a_wrong_row_stops_the_start_with_file_and_key(tmp_path: Path) -> None:
    presets = Settings().presets
    for name in ("models", "looks", "sizes.toml"):
        (tmp_path / name).symlink_to(presets / name)
    (tmp_path / "upscalers").mkdir()
    row = tmp_path / "upscalers" / "x.toml"
    row.write_text('title = "X"\nabout = "x"\nfile = "../x.pth"\nscale = 4\n')
    with pytest.raises(CannotStart, match=r"x\.toml: file: '\.\./x\.pth' does not look like"):
        load_catalog(tmp_path)


def test_what_lies_in_the_folder_is_found_and_the_best_comes_first(
    catalog: Catalog, models: Path
) -> None:
    assert names(catalog.upscalers, models) == [PHOTO, "4x-Mine", DRAWN]
    assert names(catalog.upscalers, models / "nothing") == [DRAWN]
    known = {one.card.name: one for one in find_upscalers(catalog.upscalers, models)}
    assert known[DRAWN].file and known[DRAWN].file.parent.name == "upscaler"  # it came along
    assert known["realesrgan-x2plus"].file is None
    assert known["4x-Mine"].card.scale == 4


def test_one_in_the_folder_wins_over_the_one_that_came_along(
    catalog: Catalog, tmp_path: Path
) -> None:
    file = compact(tmp_path / "upscalers" / "starter-x2.safetensors", scale=3)
    (one,) = (each for each in find_upscalers(catalog.upscalers, tmp_path) if each.file)
    assert (one.file, one.card.scale) == (file, 3)


def test_what_is_no_network_is_listed_with_the_reason(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "upscalers").mkdir()
    (tmp_path / "upscalers" / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    found = {one.card.name: one for one in find_upscalers(catalog.upscalers, tmp_path)}
    assert found["cut"].refused == "it is cut short; fetch it again"
    with pytest.raises(Refused, match=r"cut\.safetensors cannot be used: it is cut short"):
        choose("cut", "", 2, list(found.values()))


def test_none_named_means_what_the_card_says_or_the_best(catalog: Catalog, models: Path) -> None:
    known = find_upscalers(catalog.upscalers, models)
    assert choose("", "", 4, known).card.name == PHOTO
    assert choose("", DRAWN, 4, known).card.name == DRAWN
    assert choose("", "realesrgan-x2plus", 2, known).card.name == PHOTO  # that one is not here
    assert choose("4X-mine", "", 2, known).card.name == "4x-Mine"
    assert choose("RealESRGAN_x4plus", DRAWN, 2, known).card.name == PHOTO


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("realesrgan-x4plu", "Did you mean 'realesrgan-x4plus'?"),
        ("lanczos", "There are: realesrgan-x4plus, 4x-Mine, starter-x2."),
        ("realesrgan-x2plus", "not on this machine. Fetch it with: python app.py models pull real"),
    ],
)
def test_one_that_is_not_here_is_refused_with_what_is(
    catalog: Catalog, models: Path, name: str, said: str
) -> None:
    with pytest.raises(Refused) as error:
        choose(name, "", 2, find_upscalers(catalog.upscalers, models))
    assert said in str(error.value) and error.value.field == "upscaler"


def test_three_times_never_gives_four(catalog: Catalog, tmp_path: Path) -> None:
    compact(tmp_path / "upscalers" / "three.safetensors", scale=3)
    known = find_upscalers(catalog.upscalers, tmp_path)
    with pytest.raises(Refused, match="three enlarges 3 times, which never gives 4"):
        choose("three", "", 4, known)
    assert choose("", "", 4, known).card.name == DRAWN


def test_two_passes_or_a_result_made_smaller_are_said(catalog: Catalog, models: Path) -> None:
    wish = {"prompt": "a boat", "upscale": 4, "upscaler": DRAWN}
    known = find_upscalers(catalog.upscalers, models)
    settled = catalog.settle(read_request(wish), upscalers=known)
    assert settled.request.upscaler == DRAWN
    assert settled.warnings == ("Starter 2x enlarges 2 times; for 4 it is used 2 times.",)
    assert catalog.settle(settled.request, upscalers=known).request == settled.request
    half = catalog.settle(read_request({"prompt": "a boat", "upscale": 2}), upscalers=known)
    assert half.request.upscaler == PHOTO
    assert half.warnings == ("Real-ESRGAN x4plus enlarges 4 times; that is made 2 times smaller.",)
    assert say(known[0].card, 4) == []


def test_an_upscaler_of_a_picture_that_is_not_enlarged_has_no_effect(
    catalog: Catalog, models: Path
) -> None:
    wish = read_request({"prompt": "a boat", "upscaler": PHOTO})
    settled = catalog.settle(wish, upscalers=find_upscalers(catalog.upscalers, models))
    assert settled.request.upscaler == ""
    assert settled.warnings == (f"The upscaler {PHOTO!r} has no effect: nothing is enlarged.",)
    assert upscaler_of(settled.request.model_dump(), catalog.upscalers, models) == ""


def test_the_file_of_a_settled_request_is_looked_for_again(catalog: Catalog, models: Path) -> None:
    asked = {"upscale": 4, "upscaler": PHOTO}
    file = models / "upscalers" / "RealESRGAN_x4plus.safetensors"
    assert upscaler_of(asked, catalog.upscalers, models) == str(file)
    file.unlink()
    with pytest.raises(Refused, match="x4plus is not on this machine"):
        upscaler_of(asked, catalog.upscalers, models)


def test_without_any_the_way_to_one_is_said(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscalers, "ROOT", tmp_path)
    with pytest.raises(Refused, match="no upscaler is on this machine. Fetch one with: python app"):
        choose("", "", 2, find_upscalers(catalog.upscalers, tmp_path))


@pytest.mark.parametrize(
    ("scale", "times", "way"),
    [(2, 2, (1, 1)), (2, 4, (2, 1)), (4, 4, (1, 1)), (4, 2, (1, 2)), (3, 4, None), (8, 2, (1, 4))],
)
def test_how_a_network_reaches_so_many_times(
    scale: int, times: int, way: tuple[int, int] | None
) -> None:
    assert ways(scale, times) == way


class Shelf(BaseHTTPRequestHandler):
    """Serves one file, whole or from some byte on; breaks off once after `fails_at` bytes."""

    data = bytes(range(256)) * 400
    fails_at: int | None = None
    asked: list[str | None] = []

    def do_GET(self) -> None:
        begin = self.headers.get("Range")
        self.asked.append(begin)
        start = int(begin.removeprefix("bytes=").rstrip("-")) if begin else 0
        if self.path != "/file.pth":
            self.send_error(404, "Not Found")
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(self.data) - start))
        self.end_headers()
        end, type(self).fails_at = self.fails_at, None
        self.wfile.write(self.data[start:end])

    def log_message(self, *said: object) -> None:
        pass


@pytest.fixture
def shelf() -> Iterator[str]:
    Shelf.asked, Shelf.fails_at = [], None
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_download_goes_on_where_it_broke_off_and_is_checked(shelf: str, tmp_path: Path) -> None:
    file, right = tmp_path / "folder" / "file.pth", hashlib.sha256(Shelf.data).hexdigest()
    Shelf.fails_at = 70_000
    with pytest.raises(CannotFetch, match=r"file\.pth could not be fetched: .*What has come so"):
        fetch(f"{shelf}/file.pth", file, right)
    assert not file.exists()
    fetch(f"{shelf}/file.pth", file, right)
    assert file.read_bytes() == Shelf.data
    assert Shelf.asked == [None, "bytes=70000-"]
    assert [each.name for each in file.parent.iterdir()] == ["file.pth"]


def test_a_file_with_another_hash_is_thrown_away(shelf: str, tmp_path: Path) -> None:
    with pytest.raises(CannotFetch, match="is not what was expected"):
        fetch(f"{shelf}/file.pth", tmp_path / "file.pth", "0" * 64)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CannotFetch, match="answers 404 Not Found"):
        fetch(f"{shelf}/other", tmp_path / "file.pth")
    with pytest.raises(CannotFetch, match="could not be fetched"):
        fetch("http://127.0.0.1:9/file.pth", tmp_path / "file.pth")


def test_an_upscaler_is_pulled_checked_and_removed(
    shelf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = compact(tmp_path / "source.safetensors", scale=4)
    monkeypatch.setattr(Shelf, "data", source.read_bytes())
    card = UpscalerCard(
        name="mine", title="Mine", about="", file="file.pth", url=f"{shelf}/file.pth", scale=4
    )
    models = tmp_path / "models"

    def now() -> upscalers.Upscaler:
        return next(one for one in find_upscalers([card], models) if one.card.name == "mine")

    assert upscalers.check(now()) == [
        "Mine is not on this machine. Fetch it with: python app.py models pull mine."
    ]
    assert upscalers.pull(now(), models) == "Mine is here."
    assert now().place == "cannot be used"
    assert "is no PyTorch file" in upscalers.check(now())[0]  # for it is named as one
    assert upscalers.remove(now(), models) == "Mine is gone."
    with pytest.raises(Refused, match="Mine is not on this machine"):
        upscalers.remove(now(), models)


def test_the_command_line_lists_and_checks_upscalers_beside_models(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKROOM_MODELS", str(models))
    assert app.main(["models", "list"]) == 0
    listed = capsys.readouterr().out
    assert "starter-x2 " in listed and "came along" in listed and "Starter 2x, enlarges" in listed
    assert "realesrgan-x2plus             not here             Real-ESRGAN x2plus" in listed
    assert app.main(["models", "check", "4x-mine", "test-pattern"]) == 0
    assert "4x-Mine: all of it is well." in capsys.readouterr().out
    assert app.main(["models", "remove", "RealESRGAN_x4plus"]) == 0
    assert capsys.readouterr().out == "Real-ESRGAN x4plus is gone.\n"
    assert app.main(["models", "pull", "4x-Mine"]) == 0
    assert app.main(["models", "check", "realesrgan-x4plus"]) == 1
