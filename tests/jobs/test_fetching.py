"""Models on their way from a hub that is played here: in turn, stopped, failed in a sentence."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.errors import Refused
from studio.jobs import fetching
from studio.jobs.fetching import Fetching
from studio.models import hub
from studio.models.card import ModelCard
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
def cards() -> dict[str, ModelCard]:
    return load_catalog(Settings().presets, "").cards


@pytest.fixture
def coming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fetching]:
    monkeypatch.setattr(hub, "whole", lambda card, token: 4000)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(fetching, "absent", lambda card, folder: "no")
    command = (sys.executable, "-c", PLAYED.format(here=str(tmp_path)))
    coming = Fetching(Settings(data=tmp_path), command)
    yield coming
    coming.close()


def test_one_comes_after_another_and_says_how_much_is_here(
    coming: Fetching, cards: dict[str, ModelCard], tmp_path: Path
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
    coming: Fetching, cards: dict[str, ModelCard], tmp_path: Path
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
    coming: Fetching, cards: dict[str, ModelCard], tmp_path: Path
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


def test_what_is_here_is_not_fetched(
    coming: Fetching, cards: dict[str, ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "absent", lambda card, folder: "")
    with pytest.raises(Refused, match="Starter is on this machine already"):
        coming.begin(cards["starter"])
