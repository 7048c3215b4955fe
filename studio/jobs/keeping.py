"""Models that stand in the workers' memory because somebody wishes so, before any picture asks.

What a picture needs is brought by its own job; this is for those who want no wait at the first one.
"""

import logging
from collections.abc import Sequence

from studio.catalog import Catalog, ModelCard
from studio.errors import Refused
from studio.jobs.seats import Seat, Seats, SlotView
from studio.messages import Load, Unload
from studio.settings import Settings
from studio.weights import absent, find_weights

log = logging.getLogger("darkroom.pool")


def why_not(card: ModelCard, slots: Sequence[SlotView], *, here: bool) -> str:
    """Why it cannot be loaded now, or let go, in a sentence; empty if it can."""
    holding = [slot for slot in slots if card.name in slot.loaded]
    if not here:
        if not holding:
            return f"{card.title} is in no slot's memory."
        if any(slot.job and slot.model == card.name for slot in holding):
            return f"{card.title} is painting just now; let it go when it is done."
        return ""
    if holding:
        return f"{card.title} is in memory already."
    if card.gpus > 1:
        return f"{card.title} may take {card.gpus} GPUs; it is loaded with its first picture."
    if not any(slot.state == "idle" for slot in slots):
        return "No slot is idle just now; ask again in a moment."
    return ""


class Keeper:
    def __init__(self, catalog: Catalog, settings: Settings, seats: Seats) -> None:
        self._catalog, self._settings, self._seats = catalog, settings, seats

    def preload(self, seat: Seat) -> None:
        """A model that is not here yet is no reason to stop: the wish for it will be told why."""
        for name in self._settings.preload:
            self._load(self._catalog.find(name), seat)

    def load(self, model: str) -> None:
        """Into the idle slot that holds least; what is longest there makes room."""
        card = self._catalog.find(model)
        idle = [s for s in self._seats if s.state == "idle" and not (s.wide or s.slot.leased)]
        if not idle:
            return
        seat = min(idle, key=lambda seat: len(seat.loaded))
        while seat.loaded and self._gb(seat) + card.memory_gb > seat.slot.gb:
            self._unload(seat, seat.loaded[0])
        self._load(card, seat)

    def release(self, model: str) -> None:
        for seat in self._seats:
            if model in seat.loaded and not seat.jobs and not seat.wide:
                self._unload(seat, model)

    def _load(self, card: ModelCard, seat: Seat) -> None:
        try:
            if missing := absent(card, self._settings.model_folder):
                raise Refused(missing)
            folder = find_weights(card, self._settings.model_folder)
        except Refused as error:
            log.warning("not loaded: %s", error)
            return
        seat.slot.send(Load(card.model_dump(mode="json"), folder))
        seat.holds(card.name)

    def _unload(self, seat: Seat, model: str) -> None:
        seat.loaded.remove(model)
        seat.slot.send(Unload(model))

    def _gb(self, seat: Seat) -> float:
        cards = self._catalog.cards
        return sum(cards[name].memory_gb for name in seat.loaded if name in cards)
