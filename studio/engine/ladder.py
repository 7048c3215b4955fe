"""The way down when memory runs out: the same picture again, each time by a cheaper plan.

First all else leaves the memory, then the picture is decoded in tiles, then the model's parts take
turns on the card. What was done is told in the recipe. At the bottom the picture is refused.
"""

import logging
import traceback

from studio.catalog import ModelCard
from studio.engine.failures import is_out_of_memory
from studio.engine.paint import Tell, paint
from studio.engine.residents import Residents
from studio.messages import Loading, Paint, Painted
from studio.request import read_request

log = logging.getLogger("darkroom.worker")


class Ladder:
    """`falls` counts how often memory ran out since the process began."""

    def __init__(self, residents: Residents) -> None:
        self.residents = residents
        self.falls = 0

    def paint(self, message: Paint, previews: bool, tell: Tell) -> Painted:
        taken: list[str] = []
        while True:
            try:
                return paint(message, self.residents, previews, tell, tuple(taken))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self.falls += 1
                rung = self._down(message, first=not taken)
                if rung is None:
                    raise
                log.warning("job %s: memory ran out, so %s", message.job, rung)
                traceback.clear_frames(error.__traceback__)  # they hold what filled it
                self.residents.free()
            taken.append(f"memory ran out, so {rung}")
            tell(Loading(message.job, message.token, taken[-1]))

    def _down(self, message: Paint, *, first: bool) -> str | None:
        """One rung; in words what it does, or None at the bottom."""
        if first:
            self.residents.clear()
            return "all else left it"
        card = ModelCard.model_validate(message.card)
        precision = read_request(message.request).precision
        return self.residents.lower(self.residents.key(card, message.folder, precision))
