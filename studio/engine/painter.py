"""A loaded model with all that is computed once for it.

How a job is painted with it is told in `paint`; which painters stay in memory, in `residents`.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn

from studio.engine.attention import choose_attention, processors
from studio.engine.compiling import compile_blocks
from studio.engine.family import find_family
from studio.engine.fingerprint import fingerprint
from studio.engine.loras import Loras
from studio.engine.placing import DTYPES
from studio.engine.plan import Plan
from studio.engine.recall import Recall
from studio.engine.samplers import build_sampler
from studio.engine.sharing import Lent, find_sources, how
from studio.models.card import ModelCard
from studio.models.hashes import content_hash, weights_hash
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
        lent: Mapping[str, Lent] = MappingProxyType({}),
        compiled: bool = False,
        attention: Attention = "auto",
    ) -> None:
        self.card = card
        modules = {name: each.part for name, each in lent.items()}
        self._sources, self._how = find_sources(folder, card, parts), how(plan)
        with ThreadPoolExecutor(1) as beside:  # its bytes are hashed while they are loaded
            known = beside.submit(content_hash, folder, card, parts)
            self.family = find_family(card)(folder, card, parts, plan, modules)
            self._hash = known.result()
        self._seconds = {
            name: {"share": part.share, "hash": weights_hash([(name, parts[name])])[0]}
            for name, part in card.parts.items()
            if part.share
        }
        pipeline, dtype = self.family.pipeline, DTYPES[plan.dtype]
        if lent:
            plan = replace(plan, reason=f"{plan.reason}; in memory already: {', '.join(lent)}")
        plan = choose_attention(pipeline, card, plan, dtype, attention)
        self.plan = compile_blocks(pipeline, plan) if compiled else plan
        self._attention = processors(pipeline, plan.attention)
        self._recall = Recall()
        self._device_name = device_name
        self.loras = Loras(pipeline, card.title, dtype)
        self._scheduler_config = pipeline.scheduler.config

    def lends(self) -> dict[str, Lent]:
        """Its parts that another model may have too, bare of LoRAs."""
        if self._how is None:
            return {}
        pipeline, where = self.family.pipeline, self._how
        return {
            name: Lent(source, where, part)
            for name, source in self._sources.items()
            if (part := getattr(pipeline, name, None)) is not None
        }

    def modules(self) -> list[nn.Module]:
        parts = self.family.pipeline.components.values()
        return [part for part in parts if isinstance(part, nn.Module)]

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
