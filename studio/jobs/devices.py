"""Which slots this machine offers, found without importing torch.

One slot for each NVIDIA card that the settings allow; one for an Apple GPU; else CPU slots that
share the cores.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

from studio.errors import CannotStart
from studio.settings import Settings

VISIBLE = "CUDA_VISIBLE_DEVICES"
CONTEXT_GB = 1.0  # what CUDA itself takes of a card
MODELS_SHARE = 0.5  # of the machine's memory, where models live in it
WINDOWS_GB = 16.0  # which tells nobody its memory without ctypes


@dataclass(frozen=True, slots=True)
class Offer:
    name: str
    device: str
    threads: int
    reason: str
    gb: float  # of memory that models may have
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Card:
    index: str
    name: str
    memory: str

    @property
    def gb(self) -> float:
        """For models; `memory` is as in "143771 MiB"."""
        return float(self.memory.split()[0]) / 1024 - CONTEXT_GB


def find_offers(settings: Settings) -> list[Offer]:
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    cards = [] if settings.gpus == "none" else _allowed(nvidia_cards(), settings.gpus)
    if cards:
        threads = max(1, cores // len(cards))
        return [_gpu_offer(card, threads) for card in cards]
    gb = share_of_memory(1)
    if platform.system() == "Darwin" and platform.machine() == "arm64" and settings.gpus != "none":
        return [Offer("mps", "mps", cores, "Apple GPU", gb)]
    threads = max(1, cores // settings.slots)
    why = "GPUs are switched off" if settings.gpus == "none" else "no NVIDIA card was found"
    return [
        Offer(f"cpu{index}", "cpu", threads, f"CPU, {threads} of {cores} cores: {why}",
              share_of_memory(settings.slots), {VISIBLE: ""})
        for index in range(settings.slots)
    ]  # fmt: skip


def nvidia_cards() -> list[Card]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=index,name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    if answer.returncode != 0:
        return []
    rows = [line.split(", ") for line in answer.stdout.strip().splitlines()]
    return [Card(row[0], row[1], row[2]) for row in rows if len(row) == 3]


def _allowed(cards: list[Card], gpus: str) -> list[Card]:
    if gpus == "all":
        return cards
    by_index = {card.index: card for card in cards}
    for index in gpus.split(","):
        if index not in by_index:
            there = ", ".join(by_index) or "none"
            raise CannotStart(f"gpus: this machine has no GPU {index}. It has: {there}.")
    return [by_index[index] for index in gpus.split(",")]


def _gpu_offer(card: Card, threads: int) -> Offer:
    reason = f"{card.name}, {card.memory}"
    return Offer(f"gpu{card.index}", "cuda", threads, reason, card.gb, {VISIBLE: card.index})


def join(offers: Sequence[Offer]) -> Offer:
    """One slot on all that these have."""
    visible = ",".join(offer.environment.get(VISIBLE, "") for offer in offers).strip(",")
    return Offer(
        "+".join(offer.name for offer in offers),
        offers[0].device,
        sum(offer.threads for offer in offers),
        f"{len(offers)} joined for wide pictures",
        offers[0].gb,
        {VISIBLE: visible},
    )


def share_of_memory(slots: int) -> float:
    """What each of so many slots may have of this machine's memory, where models live in it."""
    if not hasattr(os, "sysconf"):  # Windows
        return MODELS_SHARE * WINDOWS_GB / slots
    bytes_ = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return MODELS_SHARE * bytes_ / 2**30 / slots
