"""Models that stand in the workers' memory because somebody wishes so, before any picture asks.

What a picture needs is brought by its own job; this is for those who want no wait at the first one.
"""

import logging
from collections.abc import Callable, Sequence

from studio.errors import Refused
from studio.jobs.seats import Seat, Seats
from studio.messages import Load, Unload
from studio.models.card import ModelCard
from studio.models.weights import absent, find_weights
from studio.settings import Settings
from studio.wishes.catalog import Catalog

log = logging.getLogger("darkroom.pool")


class Keeper:
    """`dismiss` ends the worker of a seat on several GPUs, whose last model has left."""

    def __init__(
        self, catalog: Catalog, settings: Settings, seats: Seats, dismiss: Callable[[Seat], None]
    ) -> None:
        self._catalog, self._settings, self._seats = catalog, settings, seats
        self._dismiss = dismiss

    def preload(self, seat: Seat) -> None:
        """A model that is not here yet is no reason to stop: the wish for it will be told why."""
        for name in self._settings.preload:
            self._load(self._catalog.find(name), seat)

    def keep(self, model: str, here: bool) -> str:
        """In memory from now on, or no longer. Gives back why not, in a sentence, if so."""
        card = self._catalog.find(model)
        holding = [seat for seat in self._seats if card.name in seat.loaded]
        return self._bring(card, holding) if here else self._let_go(card, holding)

    def _bring(self, card: ModelCard, holding: Sequence[Seat]) -> str:
        """Into the idle slot that holds least; what is longest there makes room."""
        if holding:
            return f"{card.title} is in memory already."
        if card.gpus > 1:
            return f"{card.title} may take {card.gpus} GPUs; it is loaded with its first picture."
        idle = [s for s in self._seats if s.state == "idle" and not (s.wide or s.slot.leased)]
        if not idle:
            return "No slot is idle just now; ask again in a moment."
        seat = min(idle, key=lambda seat: len(seat.loaded))
        while seat.loaded and self._gb(seat) + card.memory_gb > seat.slot.gb:
            self._unload(seat, seat.loaded[0])
        self._load(card, seat)
        return ""

    def _let_go(self, card: ModelCard, holding: Sequence[Seat]) -> str:
        if not holding:
            return f"{card.title} is in no slot's memory."
        if any(seat.jobs for seat in holding):
            return f"A slot that holds {card.title} paints just now; ask again when it is done."
        for seat in holding:
            self._unload(seat, card.name)
            if seat.wide and not seat.loaded:
                self._dismiss(seat)
        return ""

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
