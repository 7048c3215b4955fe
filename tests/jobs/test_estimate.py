"""Estimates: from what was measured here alone, part by part."""

import pytest

from studio.jobs.estimate import Estimates


def asked(steps: int = 10, count: int = 1, side: int = 512, upscale: int = 1) -> dict[str, object]:
    return {"steps": steps, "count": count, "width": side, "height": side, "upscale": upscale}


def took(request: dict[str, object], noise: float = 0.0) -> dict[str, float]:
    """A machine that takes 0.1 s a step and 0.2 s a picture of 512 pixels, and 0.05 s a prompt."""
    steps, count, side = (int(str(request[name])) for name in ("steps", "count", "width"))
    scale = (side / 512) ** 2 * (1 + noise)
    enlarged = scale * int(str(request["upscale"])) ** 2
    pictures = {"decode": 0.15 * count * enlarged, "upscale": 0.0, "save": 0.05 * count * enlarged}
    return {"load": 0.0, "encode": 0.05, "steps": steps * count * 0.1 * scale} | pictures


def known(*requests: dict[str, object]) -> Estimates:
    estimates = Estimates()
    for request in requests:
        estimates.learn("sdxl", request, took(request))
    return estimates


def test_a_model_that_never_painted_is_not_guessed() -> None:
    assert Estimates().seconds("sdxl", asked()) is None
    estimates = Estimates()
    estimates.learn("sdxl", asked(), {"total": 0.0})  # what lacks its parts teaches nothing
    assert estimates.seconds("sdxl", asked()) is None


@pytest.mark.parametrize(
    "request_", [asked(), asked(steps=40), asked(count=4), asked(side=1024), asked(upscale=2)]
)
def test_steps_pictures_and_pixels_count_each_in_their_way(request_: dict[str, object]) -> None:
    estimates = known(asked())
    assert estimates.seconds("sdxl", request_) == pytest.approx(sum(took(request_).values()))


def test_enough_of_the_same_size_outweigh_all_others() -> None:
    """Large pictures that take longer than their pixels say, as they do on full cards."""
    estimates = known(*[asked()] * 20, asked(side=768))
    slow = asked(side=1024)
    for _ in range(3):
        estimates.learn("sdxl", slow, took(slow, noise=1.0))
    assert estimates.seconds("sdxl", slow) == pytest.approx(sum(took(slow, noise=1.0).values()))


def test_what_a_step_takes_at_any_size_is_kept_apart_from_its_pixels() -> None:
    """Small networks on fast cards wait for Python: half the pixels are not half the time."""
    estimates = Estimates()

    def slow_to_begin(side: int) -> dict[str, float]:
        each = 0.02 + 0.03 * (side / 512) ** 2
        return {"steps": 10 * each, "decode": 2 * each, "encode": 0.0}

    for side in (256, 384, 512, 256, 512):
        estimates.learn("sdxl", asked(side=side), slow_to_begin(side))
    for side in (128, 320, 1024):
        whole = sum(slow_to_begin(side).values())
        assert estimates.seconds("sdxl", asked(side=side)) == pytest.approx(whole)


def test_sizes_that_contradict_each_other_give_no_negative_time() -> None:
    estimates = Estimates()
    estimates.learn("sdxl", asked(side=512), {"steps": 9.0})
    estimates.learn("sdxl", asked(side=1024), {"steps": 1.0})
    assert estimates.seconds("sdxl", asked(side=2048)) == pytest.approx(5.0)
    estimates = Estimates()
    estimates.learn("sdxl", asked(side=512), {"steps": 1.0})
    estimates.learn("sdxl", asked(side=1024), {"steps": 9.0})
    small = estimates.seconds("sdxl", asked(side=256))
    assert small is not None
    assert 0 < small < 1


def test_without_guidance_a_step_is_one_pass_of_the_network() -> None:
    estimates = Estimates()
    estimates.learn("sdxl", asked() | {"guidance": 5.0}, {"steps": 2.0, "encode": 0.5})
    assert estimates.seconds("sdxl", asked() | {"guidance": 1.0}) == pytest.approx(1.5)
    flux = Estimates(guided=lambda model: False)  # to it guidance is a number like any other
    flux.learn("flux", asked() | {"guidance": 5.0}, {"steps": 2.0, "encode": 0.5})
    assert flux.seconds("flux", asked() | {"guidance": 1.0}) == pytest.approx(2.5)


def test_the_way_to_the_worker_and_the_disk_counts_once() -> None:
    estimates = Estimates()
    times = {"steps": 1.0, "decode": 0.5, "total": 1.6}
    for took_it in (9.0, 2.0):
        estimates.learn("sdxl", asked(), times, took=took_it)
    assert estimates.seconds("sdxl", asked()) == pytest.approx(1.5)  # not known yet
    estimates.learn("sdxl", asked(), times, took=2.0)
    assert estimates.seconds("sdxl", asked()) == pytest.approx(1.9)


def test_jobs_that_shared_a_pass_teach_what_a_picture_takes_besides() -> None:
    estimates = known(asked())
    for _ in range(3):
        beside = {"steps": 0.4, "decode": 0.3, "save": 0.1, "together": 4}
        estimates.learn("sdxl", asked(), took(asked()) | beside)
    parts = estimates.parts("sdxl", asked())
    assert parts is not None
    assert parts.steps == pytest.approx(1.0)  # as it is alone
    assert parts.pictures == pytest.approx(0.4)


def test_one_slow_picture_changes_little() -> None:
    estimates = known(*[asked()] * 5)
    estimates.learn("sdxl", asked(), took(asked(), noise=30.0))
    assert estimates.seconds("sdxl", asked()) == pytest.approx(1.25)


def test_loading_is_told_apart_from_finding_it_in_memory() -> None:
    estimates = Estimates()
    assert estimates.load_seconds("sdxl") is None
    for load in (12.0, 0.001, 0.0, 14.0, 0.002):
        estimates.learn("sdxl", asked(), took(asked()) | {"load": load})
    assert estimates.load_seconds("sdxl") == 13.0
    assert estimates.seconds("sdxl", asked()) == pytest.approx(1.25)
