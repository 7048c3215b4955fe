"""A loaded model with all that is computed once for it.

How a job is painted with it is told in `paint`; which painters stay in memory, in `residents`.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from studio.catalog import ModelCard
from studio.engine.attention import choose_attention, processors
from studio.engine.compiling import compile_blocks
from studio.engine.family import find_family
from studio.engine.fingerprint import fingerprint
from studio.engine.loras import Loras
from studio.engine.placing import DTYPES
from studio.engine.plan import Plan
from studio.engine.recall import Recall
from studio.engine.samplers import build_sampler
from studio.hashes import content_hash, weights_hash
from studio.request import ImageRequest
from studio.settings import Attention


class Painter:
    def __init__(
        self,
        card: ModelCard,
        folder: Path,
        parts: Mapping[str, Path],
        plan: Plan,
        device_name: str,
        *,
        compiled: bool = False,
        attention: Attention = "auto",
    ) -> None:
        self.card = card
        with ThreadPoolExecutor(1) as beside:  # its bytes are hashed while they are loaded
            known = beside.submit(content_hash, folder, card, parts)
            self.family = find_family(card)(folder, card, parts, plan)
            self._hash = known.result()
        self._seconds = {
            name: {"share": part.share, "hash": weights_hash([(name, parts[name])])[0]}
            for name, part in card.parts.items()
            if part.share
        }
        pipeline, dtype = self.family.pipeline, DTYPES[plan.dtype]
        plan = choose_attention(pipeline, card, plan, dtype, attention)
        self.plan = compile_blocks(pipeline, plan) if compiled else plan
        self._attention = processors(pipeline, plan.attention)
        self._recall = Recall()
        self._device_name = device_name
        self.loras = Loras(pipeline, card.title, dtype)
        self._scheduler_config = pipeline.scheduler.config

    def take_sampler(self, name: str) -> dict[str, Any]:
        """Puts a fresh sampler into the pipeline; returns the fingerprint of what paints now."""
        scheduler = build_sampler(self.card.sampler(name), self._scheduler_config)
        self.family.pipeline.scheduler = scheduler
        known = fingerprint(self.plan, self._device_name, self._hash, scheduler, self._attention)
        return known | self._seconds

    def words(
        self, request: ImageRequest, worn: Any, between: Callable[[], None]
    ) -> dict[str, Any]:
        """Pipeline arguments that follow from the prompts, with these LoRAs on."""
        return self._recall.words(request, worn, lambda: self.family.condition(request, between))
