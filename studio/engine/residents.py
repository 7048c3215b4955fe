"""The loaded models in this worker's memory. Which of them leave for others, the pool decides.

A model is here once: in another number format or from another folder it takes its own place. One
that leaves a card rests in the machine's own memory while that has room: from there it is back in
a tenth of the time that a disk takes. Parts that two models have alike are here once, and are kept
a moment longer than a model that leaves, since the next may want them.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import torch
from safetensors import SafetensorError

from studio.engine.device import GB, Hardware, find_hardware, find_libraries
from studio.engine.embedded import ensure
from studio.engine.failures import PaintError, is_the_devices
from studio.engine.painter import Painter
from studio.engine.plan import Plan, comes_to_the_same, decide, lower
from studio.engine.safety import Checker
from studio.engine.sharing import Lent, alike, find_sources, how, size_gb
from studio.engine.upscale import Upscaler
from studio.engine.weights import check_files, there
from studio.errors import Refused
from studio.models.card import ModelCard
from studio.models.hashes import file_hash, file_state
from studio.models.safety import Safety
from studio.models.weights import EMBEDDED, find_part
from studio.request import Precision
from studio.settings import Attention

LASTING = ("model_invalid", "attention")  # codes of what stays as it is until a file changes
SPARED = 0.2  # of the machine's memory, for all else that runs on it


class Key(NamedTuple):
    """`files` are the states of those in the model folder, which may be replaced by others."""

    model: str
    folder: str
    precision: Precision
    files: tuple[tuple[int, int] | None, ...] = ()


class Residents:
    """`precision` is painted in where a request says auto; `safety` is what checks pictures;
    `compiled` says that what can be compiled shall be, `attention` what computes it."""

    def __init__(
        self,
        device: str,
        models: Path,
        precision: Precision,
        safety: Safety | None = None,
        *,
        compiled: bool = False,
        attention: Attention = "auto",
    ) -> None:
        self._device = device
        self._models = models
        self._precision = precision
        self._painters: dict[Key, Painter] = {}
        self._resting: dict[Key, Painter] = {}  # off the card; the longest first
        self._parting: dict[str, Lent] = {}  # of the last that left, until the next comes
        self._upscalers: dict[tuple[str, str], Upscaler] = {}
        self._plans: dict[Key, Plan] = {}  # the last ones, kept where memory ran out
        self._lowered: set[Key] = set()
        self._safety = safety
        self._checker: Checker | None = None
        self._broken: dict[Key, tuple[object, PaintError]] = {}  # what could not be loaded, and why
        self.compiled = compiled
        self._attention: Attention = attention

    def __contains__(self, key: Key) -> bool:
        return key in self._painters

    def key(self, card: ModelCard, folder: str, precision: Precision) -> Key:
        """One that is here answers for those that would come to the same."""
        precision = self._precision if precision == "auto" else precision
        own = [self._models / part.file for part in card.parts.values() if not part.repo]
        wanted = Key(card.name, folder, precision, tuple(map(file_state, own)))
        for held, painter in self._painters.items():
            alike = held._replace(precision=precision) == wanted
            if alike and comes_to_the_same(painter.plan, held.precision, precision):
                return held
        return wanted

    def get(self, card: ModelCard, key: Key) -> Painter:
        """The painter, loaded now if it is not here."""
        painter = self._painters.get(key) or self._woken(key)
        if painter is None:
            folder, parts = self._folder(card, key), self._parts(card)
            with self._not_in_vain(key, (card, _files(folder, parts))):
                check_files(folder, card, parts)
                self.drop(card.name)  # only now: what is missing must not send a good one away
                self._make_room(card.memory_gb)
                painter = self._load(card, key, folder, parts)
            self._painters[key] = painter
        self._read_alone(painter)
        self.part()
        return painter

    def _read_alone(self, painter: Painter) -> None:
        """LoRAs of another do not stay on what this one reads prompts with too."""
        own = set(map(id, painter.modules()))
        for other in (*self._painters.values(), *self._resting.values()):
            if other is not painter and not own.isdisjoint(map(id, other.modules())):
                other.loras.leave_readers()

    @property
    def parting(self) -> bool:
        return bool(self._parting)

    def part(self) -> None:
        """Nobody came who wanted what the last one left."""
        if self._parting:
            self._parting = {}
            self.free()

    def hardware(self) -> Hardware:
        return find_hardware(self._device)

    def upscaler(self, file: str, device: str) -> Upscaler | None:
        """The network that enlarges a job's pictures, loaded now if it is not here. It is small and
        stays."""
        if not file:
            return None
        key = (file_hash(there(Path(file))), device)
        if key not in self._upscalers:
            bf16 = device == "cpu" and bool(self.hardware().cpu_bf16)
            self._upscalers = {key: Upscaler(Path(file), device, bf16=bf16)}
        self._upscalers[key].begin()
        return self._upscalers[key]

    def checker(self) -> Checker | None:
        """What looks at finished pictures, loaded now if it is not here. It stays."""
        if self._safety and self._checker is None:
            self._checker = Checker(self._safety)
        return self._checker

    def lower(self, key: Key) -> str | None:
        """From now on it paints by the next cheaper plan; in words which, or None if none is."""
        plan = self._plans.get(key)
        lowered = lower(plan) if plan else None
        if lowered is None:
            return None
        self._plans[key], words = lowered
        self._lowered.add(key)
        self._resting.pop(key, None)
        self.clear()
        return words

    def stop_compiling(self) -> None:
        """From now on all is painted as it was made."""
        self.compiled = False
        self._resting.clear()
        self.clear()

    def clear(self) -> None:
        self._painters.clear()
        self._parting = {}
        self._upscalers.clear()
        self.free()

    @staticmethod
    def free() -> None:
        """What nobody holds any more goes back to the device."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        elif torch.backends.mps.is_available():
            torch.mps.empty_cache()

    def drop(self, model: str) -> None:
        held = [key for key in (*self._painters, *self._resting) if key.model == model]
        for key in held:
            self._painters.pop(key, None)
            self._resting.pop(key, None)
        if held:
            self.free()

    def leave(self, model: str) -> None:
        """Off the card, and into the machine's own memory if that has room."""
        for key in [key for key in self._painters if key.model == model]:
            painter = self._painters.pop(key)
            painter.loras.wear((), {})  # they hang beside it, and would stay on the card
            fits = _spare_gb() > painter.plan.peak_gb
            if fits and painter.plan.whole and painter.plan.device.startswith("cuda"):
                with suppress(RuntimeError, MemoryError):  # then it is loaded anew
                    self._move_off(painter)
                    self._resting[key] = painter
            if key not in self._resting:
                self._parting = painter.lends()
            del painter
        self.free()

    def _move_off(self, painter: Painter) -> None:
        """What another on the card has too stays there."""
        held = {id(part) for other in self._painters.values() for part in other.modules()}
        if held.isdisjoint(map(id, painter.modules())):
            painter.family.pipeline.to("cpu")
            return
        for part in painter.modules():
            if id(part) not in held:
                part.to("cpu")

    def _woken(self, key: Key) -> Painter | None:
        painter = self._resting.pop(key, None)
        if painter:
            painter.family.pipeline.to(painter.plan.device)
            self._painters[key] = painter
        return painter

    def _make_room(self, needed_gb: float) -> None:
        """Whoever rests longest goes first; a load passes through the machine's own memory."""
        while self._resting and _spare_gb() < needed_gb:
            del self._resting[next(iter(self._resting))]
            gc.collect()

    def _folder(self, card: ModelCard, key: Key) -> Path:
        if card.repo.startswith(EMBEDDED):
            return ensure(card.repo.removeprefix(EMBEDDED), self._models / card.name)
        return Path(key.folder)

    @contextmanager
    def _not_in_vain(self, key: Key, state: object) -> Iterator[None]:
        """What could not be loaded is not tried again before something about it has changed."""
        before, why = self._broken.pop(key, (None, None))
        try:
            if why and before == state:
                raise PaintError(why.code, str(why))
            yield
        except PaintError as error:
            if error.code in LASTING:
                self._broken[key] = (state, PaintError(error.code, str(error)))
            raise

    def _parts(self, card: ModelCard) -> dict[str, Path]:
        try:
            return {
                name: Path(find_part(card, part, self._models)) for name, part in card.parts.items()
            }
        except Refused as error:
            raise PaintError("model_missing", str(error)) from error

    def _load(self, card: ModelCard, key: Key, folder: Path, parts: Mapping[str, Path]) -> Painter:
        there = [each.lends() for each in (*self._painters.values(), *self._resting.values())]
        lent = alike(find_sources(folder, card, parts), [self._parting, *there])
        del there
        self._parting = {}
        if key not in self._lowered:
            self._plans[key] = self._plan(card, key, lent)
        plan, name = self._plans[key], find_hardware(self._device).name
        lent = {part: each for part, each in lent.items() if each.how == how(plan)}
        try:
            return Painter(
                *(card, folder, parts, plan, name),
                lent=lent,
                compiled=self.compiled,
                attention=self._attention,
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            if is_the_devices(error):
                raise
            why = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise PaintError(
                "model_invalid",
                f"model: the files of {card.title} in {folder} cannot be loaded: {why}",
            ) from error

    def _plan(self, card: ModelCard, key: Key, lent: Mapping[str, Lent]) -> Plan:
        """What else lies here makes room rather than decide how a picture is painted."""
        try:
            plan = self._decide(card, key, lent)
        except PaintError as error:
            if error.code != "oom" or not self._painters:
                raise
            plan = None
        if plan is None or (self._painters and not plan.first):
            self.clear()
            plan = self._decide(card, key, lent)
        return plan

    def _decide(self, card: ModelCard, key: Key, lent: Mapping[str, Lent]) -> Plan:
        self.free()  # what torch keeps at hand would look as if it were taken
        hardware, threads = find_hardware(self._device), torch.get_num_threads()
        hardware = hardware.with_more(size_gb(lent.values(), hardware.device))
        return decide(hardware, card, key.precision, threads, find_libraries())


def _files(folder: Path, parts: Mapping[str, Path]) -> list[tuple[Path, object]]:
    """All that it could be loaded from, with what changes when a file does."""
    files = sorted({*folder.glob("**/*"), *parts.values()})
    return [(file, file_state(file)) for file in files]


def _spare_gb() -> float:
    memory = psutil.virtual_memory()
    return float(memory.available - SPARED * memory.total) / GB
