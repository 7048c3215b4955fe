"""Looks at this machine as the studio would use it, and says in words what would be wrong."""

import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from queue import Empty

from studio.errors import DarkroomError, InUse
from studio.jobs.devices import nvidia_cards
from studio.jobs.slot import Gone, Inbox, Said, Slot
from studio.jobs.studio import find_fleet
from studio.messages import Hello
from studio.models.loras import find_loras
from studio.models.safety import safety_of
from studio.models.upscalers import UpscalerCard, find_upscalers
from studio.models.weights import absent
from studio.settings import Settings
from studio.store.retention import going, last_tidied, too_much
from studio.store.store import Store
from studio.wishes.presets import load_catalog

LIBRARIES = ("torch", "gradio", "diffusers", "transformers", "accelerate", "compel", "peft")
SAFE_PILLOW = 13  # earlier decoders have known memory bugs; Gradio 6.31 still holds Pillow under it
SAFE_SQLITE = (3, 51, 3)  # earlier ones can corrupt a WAL when two writers race; we have one writer
LOW_DISK_GB = 5
HELLO_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    said: str
    good: bool = True
    note: bool = False

    @property
    def mark(self) -> str:
        if not self.good:
            return "WRONG"
        return "note " if self.note else "ok   "

    def as_dict(self) -> dict[str, str | bool]:
        return asdict(self)


def examine(settings: Settings) -> list[Finding]:
    findings = [_python(), *_libraries(), _sqlite(), *_data(settings)]
    for what, look in (("presets", _models), ("safety", _safety), ("slots", _slots)):
        try:
            findings += look(settings)
        except DarkroomError as error:
            findings.append(Finding(what, str(error), good=False))
    return findings


def _python() -> Finding:
    said = f"Python {sys.version.split()[0]} on {sys.platform}"
    return Finding("python", said, good=(3, 11) <= sys.version_info[:2] < (3, 13))


def _libraries() -> list[Finding]:
    said = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    pillow = version("pillow")
    old = int(pillow.split(".")[0]) < SAFE_PILLOW
    warning = "; its decoders have known bugs, so open only pictures you trust" if old else ""
    return [Finding("libraries", said), Finding("pillow", pillow + warning, note=old)]


def _sqlite() -> Finding:
    old = sqlite3.sqlite_version_info < SAFE_SQLITE
    warning = "; before 3.51.3 a WAL could be damaged by two writers, Darkroom has one"
    return Finding("sqlite", sqlite3.sqlite_version + (warning if old else ""), note=old)


def _data(settings: Settings) -> list[Finding]:
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(settings.data).free / 1e9
        fsync = _fsync_milliseconds(settings.data)
    except OSError as error:
        return [Finding("data", f"{settings.data}: {error.strerror}", good=False)]
    found = [
        Finding("data", f"{settings.data}, {free:.0f} GB free", note=free < LOW_DISK_GB),
        Finding("fsync", f"{fsync:.1f} ms", note=fsync > 50),
        *_tidied(settings),
    ]
    return [*found, *_database(settings)]


def _database(settings: Settings) -> list[Finding]:
    """Beside a studio that runs it is only read."""
    try:
        store, beside = _open(settings)
    except DarkroomError as error:
        return [Finding("database", str(error), good=False)]
    try:
        counts = ", ".join(f"{count} {state}" for state, count in store.counts().items() if count)
        left = going(store, settings, time.time()).left
    finally:
        store.close()
    found = [Finding("database", f"sound; {counts or 'empty'}")]
    found += [Finding("studio", beside)] if beside else []
    said = too_much(settings, left)
    return [*found, Finding("too much", said, note=True)] if said else found


def _open(settings: Settings) -> tuple[Store, str]:
    """And who has it open, if somebody does."""
    try:
        return Store.open(settings), ""
    except InUse as error:
        beside = f"running: {error.who[:1].lower()}{error.who[1:]}"
        return Store.open_to_read(settings, error.who), beside


def _tidied(settings: Settings) -> list[Finding]:
    """A studio that runs tidies once a day; one that was closed for weeks at its start."""
    done = last_tidied(settings.data)
    if done is None:
        return []
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(done.at))
    said = f"last {when} UTC: {done.counted or 'there was nothing to do'}"
    return [Finding("tidied", said + f"; {done.said}" * bool(done.said), note=bool(done.said))]


def _fsync_milliseconds(folder: Path) -> float:
    probe = folder / f".doctor-{os.getpid()}"
    began = time.perf_counter()
    try:
        with probe.open("wb") as file:
            for _ in range(5):
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)
    return (time.perf_counter() - began) * 200


def _models(settings: Settings) -> list[Finding]:
    catalog = load_catalog(settings.presets, settings.default_model, settings.model_folder)
    cards = catalog.cards.values()
    there = [card.title for card in cards if not absent(card, settings.model_folder)]
    away = [card.title for card in cards if card.title not in there]
    found = [Finding("models", f"here: {', '.join(there)}")]
    if away:
        found.append(Finding("models", f"not on this machine: {', '.join(away)}", note=True))
    strange = [f"{one.path}: {one.refused}" for one in catalog.brought() if one.refused]
    found += [Finding("models", said, note=True) for said in strange]
    found += [*_upscalers(catalog.upscalers, settings), *_loras(settings)]
    cards_found = [f"{card.index}: {card.name}, {card.memory}" for card in nvidia_cards()]
    return [*found, Finding("gpus", "; ".join(cards_found) or "no NVIDIA card")]


def _upscalers(cards: Sequence[UpscalerCard], settings: Settings) -> list[Finding]:
    known = find_upscalers(cards, settings.model_folder)
    here = ", ".join(one.card.name for one in known if one.usable) or "none"
    broken = [f"{one.file}: {one.refused}" for one in known if one.refused]
    found = [Finding("upscalers", here)]
    return [*found, *(Finding("upscalers", said, note=True) for said in broken)]


def _loras(settings: Settings) -> list[Finding]:
    loras = find_loras(settings.model_folder)
    here = ", ".join(lora.name for lora in loras if not lora.refused) or "none"
    broken = [f"{lora.file}: {lora.refused}" for lora in loras if lora.refused]
    return [Finding("loras", here), *(Finding("loras", said, note=True) for said in broken)]


def _safety(settings: Settings) -> list[Finding]:
    safety = safety_of(settings)
    return [Finding("safety", f"{safety.mode}, by {safety.title}")] if safety else []


def _slots(settings: Settings) -> list[Finding]:
    inbox: Inbox = Inbox()
    fleet = find_fleet(settings, inbox)
    found = [_slot(slot, settings) for slot, _ in fleet.singles]
    if fleet.cluster:
        leased = fleet.cluster.slots
        found += [Finding("cluster", f"{slot.name}: {about}") for slot, about in leased]
        found += [Finding("cluster", "no GPUs there now", note=True)] * (not leased)
        fleet.cluster.close()
    return found


def _slot(slot: Slot, settings: Settings) -> Finding:
    """Starts a real worker, as the studio would, and lets it say what it would paint with."""
    inbox: Inbox = Inbox()
    slot.start(inbox, 1)
    try:
        answer = inbox.get(timeout=HELLO_SECONDS)
    except Empty:
        return Finding(slot.name, f"no answer within {HELLO_SECONDS} s", good=False)
    finally:
        slot.kill()
    match answer:
        case Said(message=Hello(device=device, reason=reason)):
            return Finding(slot.name, f"{device}: {reason}")
        case Said(message=Gone(how=how)):
            return Finding(slot.name, f"the worker {how} before it could paint", good=False)
    return Finding(slot.name, "the worker spoke out of turn", good=False)
