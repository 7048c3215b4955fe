"""Models on their way from a hub that is played here: in turn, stopped, failed in a sentence."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from studio.errors import Refused
from studio.jobs.fetching import Fetching, find_parcel
from studio.models import hub, parcels
from studio.models.parcels import Parcel
from studio.settings import Settings
from studio.wishes.presets import load_catalog
from tests.jobs.test_pool import until

# In the place of `app.py models pull NAME`: it says what it was asked, and waits for a word.
PLAYED = """
import sys, time
from pathlib import Path
here = Path({here!r})
name = sys.argv[1]
(here / f"{{name}}.began").write_text(" ".join(sys.argv[1:]))
blob = here / "hub" / "models--stabilityai--stable-diffusion-xl-base-1.0" / "blobs" / "x"
blob.parent.mkdir(parents=True, exist_ok=True)
blob.write_bytes(bytes(1000))
while not (word := here / f"{{name}}.word").exists():
    time.sleep(0.01)
if said := word.read_text():
    print("a warning of some library", file=sys.stderr)
    sys.exit("darkroom: " + said)
"""
# Asked to end, it does so only at the word.
SLOW_TO_GO = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


@pytest.fixture
def cards(tmp_path: Path) -> dict[str, Parcel]:
    cards = load_catalog(Settings().presets, "").cards.values()
    made = (parcels.of_model(card, tmp_path) for card in cards)
    return {one.name: replace(one, here=False, whole=lambda token: 4000) for one in made}


@pytest.fixture
def coming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fetching]:
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    command = (sys.executable, "-c", PLAYED.format(here=str(tmp_path)))
    coming = Fetching(Settings(data=tmp_path), command)
    yield coming
    coming.close()


def test_one_comes_after_another_and_says_how_much_is_here(
    coming: Fetching, cards: dict[str, Parcel], tmp_path: Path
) -> None:
    for name in ("sdxl", "flux-dev", "sdxl"):  # asked twice, fetched once
        coming.begin(cards[name])
    until((tmp_path / "sdxl.began").exists)
    until(lambda: coming.views()["sdxl"].done)
    first = coming.views()["sdxl"]
    assert (first.state, first.done, first.total) == ("fetching", 1000, 4000)
    assert coming.views()["flux-dev"].state == "waiting"
    assert (tmp_path / "sdxl.began").read_text() == f"sdxl --data {tmp_path}"
    (tmp_path / "sdxl.word").touch()
    until((tmp_path / "flux-dev.began").exists)
    assert "sdxl" not in coming.views()
    (tmp_path / "flux-dev.word").write_text("FLUX.1 dev is given to those who agreed.")
    until(lambda: coming.views()["flux-dev"].state == "failed")
    assert coming.views()["flux-dev"].said == "FLUX.1 dev is given to those who agreed."


def test_it_is_stopped_at_any_moment_and_begun_again(
    coming: Fetching, cards: dict[str, Parcel], tmp_path: Path
) -> None:
    for name in ("sdxl", "flux-dev"):
        coming.begin(cards[name])
    until((tmp_path / "sdxl.began").exists)
    coming.stop(cards["flux-dev"])  # it waits
    coming.stop(cards["sdxl"])
    until(lambda: not coming.views())
    assert not (tmp_path / "flux-dev.began").exists()
    with pytest.raises(Refused, match="SDXL 1.0 is not on its way"):
        coming.stop(cards["sdxl"])
    (tmp_path / "sdxl.began").unlink()
    coming.begin(cards["sdxl"])
    until((tmp_path / "sdxl.began").exists)
    coming.close()
    assert coming.views() == {}


def test_one_that_is_still_stopping_may_be_begun_again(
    coming: Fetching, cards: dict[str, Parcel], tmp_path: Path
) -> None:
    command = (sys.executable, "-c", SLOW_TO_GO + PLAYED.format(here=str(tmp_path)))
    slow = Fetching(Settings(data=tmp_path), command)
    slow.begin(cards["sdxl"])
    until((tmp_path / "sdxl.began").exists)
    slow.stop(cards["sdxl"])
    slow.begin(cards["sdxl"])
    (tmp_path / "sdxl.began").unlink()
    (tmp_path / "sdxl.word").touch()  # now the first one goes
    until((tmp_path / "sdxl.began").exists)
    until(lambda: not slow.views())
    slow.close()


def test_what_is_here_is_not_fetched(coming: Fetching, cards: dict[str, Parcel]) -> None:
    with pytest.raises(Refused, match="Starter is on this machine already"):
        coming.begin(replace(cards["starter"], here=True))


def test_an_upscaler_and_a_checker_come_as_models_do(coming: Fetching, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, models=tmp_path / "models")
    catalog = load_catalog(settings.presets, "")
    x4plus, falconsai, sdxl = (
        find_parcel(name, catalog, settings) for name in ("RealESRGAN_x4plus", "falconsai", "sdxl")
    )
    assert [one.name for one in (x4plus, falconsai, sdxl)] == [
        "realesrgan-x4plus",
        "falconsai",
        "sdxl",
    ]
    assert find_parcel("starter-x2", catalog, settings).here
    with pytest.raises(Refused, match="no model 'realesrgan-x5plus'"):
        find_parcel("realesrgan-x5plus", catalog, settings)
    part = tmp_path / "models" / "upscalers" / "RealESRGAN_x4plus.pth.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(300))
    coming.begin(x4plus)
    until((tmp_path / "realesrgan-x4plus.began").exists)
    assert coming.views()["realesrgan-x4plus"].done == 300
    coming.begin(falconsai)
    (tmp_path / "realesrgan-x4plus.word").touch()
    until((tmp_path / "falconsai.began").exists)
    (tmp_path / "falconsai.word").touch()
    until(lambda: not coming.views())
