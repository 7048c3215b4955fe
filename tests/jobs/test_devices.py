"""What slots a machine offers, without torch."""

import pytest

from studio.errors import CannotStart
from studio.jobs.devices import Card, _allowed, _gpu_offer, find_offers
from studio.jobs.doctor import examine
from studio.settings import Settings

CARDS = [Card(str(index), "H200", "143771 MiB") for index in range(4)]


def test_cpu_slots_share_the_cores(settings: Settings) -> None:
    offers = find_offers(settings.model_copy(update={"gpus": "none", "slots": 2}))
    assert [offer.name for offer in offers] == ["cpu0", "cpu1"]
    assert all(offer.device == "cpu" and offer.threads >= 1 for offer in offers)


def test_only_the_named_gpus_are_used() -> None:
    assert [card.index for card in _allowed(CARDS, "2,0")] == ["2", "0"]
    assert _allowed(CARDS, "all") == CARDS


def test_a_gpu_that_is_not_there_stops_the_start() -> None:
    with pytest.raises(CannotStart, match="no GPU 7"):
        _allowed(CARDS, "7")


def test_a_worker_sees_its_own_gpu_alone() -> None:
    assert _gpu_offer(CARDS[3], 2).environment == {"CUDA_VISIBLE_DEVICES": "3"}


def test_doctor_names_the_slots_where_the_gpus_are_at_fault(settings: Settings) -> None:
    findings = examine(settings.model_copy(update={"gpus": "77"}))
    assert [(one.what, "no GPU 77" in one.said) for one in findings if not one.good] == [
        ("slots", True)
    ]
