"""A loaded model with all that is computed once for it.

How a job is painted with it is told in `paint`; which painters stay in memory, in `residents`.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from studio.catalog import ModelCard
from studio.engine.family import find_family
from studio.engine.fingerprint import fingerprint
from studio.engine.loras import Loras
from studio.engine.plan import Plan
from studio.engine.samplers import build_sampler
from studio.hashes import content_hash


class Painter:
    def __init__(
        self,
        card: ModelCard,
        folder: Path,
        parts: Mapping[str, Path],
        plan: Plan,
        device_name: str,
    ) -> None:
        self.card = card
        with ThreadPoolExecutor(1) as beside:  # its bytes are hashed while they are loaded
            known = beside.submit(content_hash, folder, card, parts)
            self.family = find_family(card)(folder, card, parts, plan)
            self._hash = known.result()
        self.plan = plan
        self._device_name = device_name
        self.loras = Loras(self.family.pipeline, card.title)
        self._scheduler_config = self.family.pipeline.scheduler.config

    def take_sampler(self, name: str) -> dict[str, Any]:
        """Puts a fresh sampler into the pipeline; returns the fingerprint of what paints now."""
        scheduler = build_sampler(self.card.sampler(name), self._scheduler_config)
        self.family.pipeline.scheduler = scheduler
        return fingerprint(self.plan, self._device_name, self._hash, scheduler)
