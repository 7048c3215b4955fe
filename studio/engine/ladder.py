"""The way down when memory runs out: the same picture again, each time by a cheaper plan.

First pictures that shared a pass are painted one by one, then all else leaves the memory, then the
picture is decoded in tiles, then the model's parts take turns on the card. What was done is told in
the recipe. At the bottom the picture is refused.
"""

import logging
import traceback
from dataclasses import replace

from studio.engine.compiling import is_the_compilers
from studio.engine.failures import is_out_of_memory
from studio.engine.job import Tell
from studio.engine.paint import paint
from studio.engine.residents import Residents
from studio.engine.saving import Later
from studio.messages import Loading, Paint, Painted
from studio.models.card import ModelCard
from studio.request import read_request

log = logging.getLogger("darkroom.worker")


class Ladder:
    """`falls` counts how often memory ran out since the process began."""

    def __init__(self, residents: Residents) -> None:
        self.residents = residents
        self.falls = 0

    def paint(
        self, message: Paint, previews: bool, tell: Tell, later: Later | None = None
    ) -> Painted:
        """After a fall the job is finished before another begins, so that memory holds least."""
        taken: list[str] = []
        emptied, too_many = False, 0
        while True:
            try:
                painted = paint(message, self.residents, previews, tell, tuple(taken), later)
                if too_many:
                    painted.timings["too_many"] = too_many
                return painted
            except Exception as error:
                if self.residents.compiled and is_the_compilers(error):
                    taken.append(self._uncompiled(message, error))
                    tell(Loading(message.job, message.token, taken[-1]))
                    continue
                if not is_out_of_memory(error):
                    raise
                self.falls += 1
                if message.at_once > 1 and message.request["count"] > 1:
                    too_many, message = message.at_once, replace(message, at_once=1)
                    rung: str | None = "its pictures were painted one by one"
                elif not emptied:
                    emptied, rung = True, "all else left it"
                    self.residents.clear()
                else:
                    rung = self._lower(message)
                if rung is None:
                    raise
                log.warning("job %s: memory ran out, so %s", message.job, rung)
                traceback.clear_frames(error.__traceback__)  # they hold what filled it
                self.residents.free()
            taken.append(f"memory ran out, so {rung}")
            message = replace(message, ahead=False)
            tell(Loading(message.job, message.token, taken[-1]))

    def _uncompiled(self, message: Paint, error: Exception) -> str:
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        log.warning("job %s: it could not be compiled: %s", message.job, why)
        self.residents.stop_compiling()
        return f"compiling failed ({type(error).__name__}), so it was painted without"

    def _lower(self, message: Paint) -> str | None:
        """By a cheaper plan from now on; in words which, or None at the bottom."""
        card = ModelCard.model_validate(message.card)
        precision = read_request(message.request).precision
        return self.residents.lower(self.residents.key(card, message.folder, precision))
