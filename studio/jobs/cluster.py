"""Slots on the machines of a Ray cluster. This side speaks frames with the ferry and knows no Ray.

A cluster that is lost is looked for again, for ever, while everything else goes on.
"""

import importlib.util
import logging
import os
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import msgpack

from studio.errors import CannotStart
from studio.jobs.inbox import Machines
from studio.jobs.local import python_command
from studio.jobs.slot import Gone, Inbox, Said, Slot
from studio.messages import FromWorker, ToWorker, pack, read_bytes, unpack, write_bytes
from studio.settings import ROOT, Settings

RESTS = (1.0, 2.0, 5.0, 15.0, 60.0)  # seconds before the n-th try in a row
FIRST_SECONDS = 60.0  # for the first answer of all
MOST_WANTED = 64  # bundles of GPUs asked of the autoscaler

log = logging.getLogger("darkroom.cluster")


@dataclass(frozen=True, slots=True)
class Machine:
    name: str
    node: str
    gpus: int
    gb: float
    about: str
    cores: int


class ClusterSlot:
    leased = True

    def __init__(self, cluster: "Cluster", machine: Machine, name: str, gpus: int) -> None:
        self.name = name
        self.device = f"{gpus} of {machine.gpus} GPUs"
        self.machine = machine.name
        self.gb = machine.gb
        self.lies_on = machine
        self.gpus = gpus
        self._cluster = cluster

    def start(self, inbox: Inbox, life: int) -> None:
        self._cluster.begin(self, inbox, life)

    def send(self, message: ToWorker) -> None:
        self._cluster.tell(what="send", slot=self.name, frame=pack(message))

    def kill(self) -> None:
        self._cluster.tell(what="kill", slot=self.name)

    def pid(self) -> int | None:
        return None  # it has one, on another machine


class Cluster:
    def __init__(self, settings: Settings, inbox: Inbox, module: str, options: Sequence[str]):
        self.holds_this_machine = False
        self.slots: list[tuple[Slot, str]] = []
        self._settings, self._inbox = settings, inbox
        self._module, self._options = module, list(options)
        self._lock = threading.Lock()
        self.ferry: subprocess.Popen[bytes] | None = None
        self._alive: dict[str, tuple[Inbox, int]] = {}
        self._answered, self._closed = threading.Event(), threading.Event()
        self._refused = ""
        self._wanted: list[int] | None = None  # as the ferry was told
        self._thread = threading.Thread(target=self._run, name="cluster", daemon=True)

    def open(self) -> None:
        """Waits for the first answer. A cluster that cannot be reached yet is no reason to stop."""
        if importlib.util.find_spec("ray") is None:
            raise CannotStart(
                "cluster: Ray is not installed here. pip install -r requirements-cluster.txt"
            )
        self._thread.start()
        if not self._answered.wait(FIRST_SECONDS):
            log.warning("the cluster does not answer yet")
        if self._refused:
            self.close()
            raise CannotStart(self._refused)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            if self.ferry:
                cast(BinaryIO, self.ferry.stdin).close()
        self._thread.join()

    def widen(self, parts: Sequence[Slot]) -> ClusterSlot:
        name = "+".join(part.name for part in parts)
        return ClusterSlot(self, cast(ClusterSlot, parts[0]).lies_on, name, len(parts))

    def want(self, gpus: list[int]) -> None:
        """So many GPUs at once, for each job there is. The autoscaler may bring machines."""
        if gpus != self._wanted and self.tell(what="want", gpus=gpus):
            self._wanted = gpus

    def begin(self, slot: ClusterSlot, inbox: Inbox, life: int) -> None:
        machine = slot.lies_on
        threads = max(1, machine.cores * slot.gpus // machine.gpus)
        options = ["--name", slot.name, "--threads", str(threads), *self._options]
        with self._lock:
            if self.ferry is None:
                inbox.put(Said(slot.name, life, Gone("found no cluster")))
                return
            self._alive[slot.name] = inbox, life
        self.tell(
            what="start",
            slot=slot.name,
            life=life,
            node=machine.node,
            gpus=slot.gpus,
            module=self._module,
            options=options,
        )

    def tell(self, **word: Any) -> bool:
        """Whether there was anybody to hear it."""
        with self._lock:
            if self.ferry is None:
                return False
            try:
                write_bytes(cast(BinaryIO, self.ferry.stdin), msgpack.packb(word))
            except (BrokenPipeError, ValueError):
                return False  # the listener reports it
            return True

    def _run(self) -> None:
        tries = 0
        while not self._closed.is_set():
            try:
                ferry = self._begin_ferry()
            except OSError as error:  # no memory, or no room for another process
                log.error("the cluster cannot be looked for: %s", error)
            else:
                try:
                    while (data := read_bytes(cast(BinaryIO, ferry.stdout))) is not None:
                        tries = 0
                        self._hear(msgpack.unpackb(data))
                except Exception:
                    log.exception("the ferry is not understood, and is ended")
                    ferry.kill()
                self._lose(ferry)
            self._answered.set()
            self._closed.wait(RESTS[min(tries, len(RESTS) - 1)])
            tries += 1

    def _begin_ferry(self) -> subprocess.Popen[bytes]:
        ferry = subprocess.Popen(
            python_command("studio.jobs.ferry", self._settings.cluster),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(os.environ) | {"RAY_AUTH_MODE": "token"},
            cwd=ROOT,
            start_new_session=True,
        )
        with self._lock:
            self.ferry = ferry
            if self._closed.is_set():  # meanwhile: nobody else would end it
                cast(BinaryIO, ferry.stdin).close()
        return ferry

    def _lose(self, ferry: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self.ferry, self._wanted = None, None
            alive, self._alive = self._alive, {}
        code = ferry.wait()
        for stream in (ferry.stdin, ferry.stdout):
            with suppress(BrokenPipeError):
                cast(BinaryIO, stream).close()
        if not self._closed.is_set():
            log.warning("the cluster is lost (exit code %d) and looked for again", code)
        self.slots = []
        self._inbox.put(
            Machines(self.slots)
        )  # first, or what is put back would be sent there again
        for slot, (inbox, life) in alive.items():
            inbox.put(Said(slot, life, Gone("was lost with the cluster", blames=False)))

    def _hear(self, word: dict[str, Any]) -> None:
        slot, life = word.get("slot", ""), word.get("life", 0)
        inbox, _ = self._alive.get(slot, (self._inbox, 0))
        match word["what"]:
            case "said":
                inbox.put(Said(slot, life, cast(FromWorker, unpack(word["frame"]))))
            case "gone":
                with self._lock:
                    if self._alive.get(slot, (None, 0))[1] == life:
                        del self._alive[slot]
                inbox.put(Said(slot, life, Gone(word["how"])))
            case "machines":
                self.holds_this_machine = word["here"]
                machines = [Machine(**machine) for machine in word["machines"]]
                log.info("the cluster has %s", _words(machines) or "no GPUs")
                self.slots = [self._slot(m, gpu) for m in machines for gpu in range(m.gpus)]
                self._inbox.put(Machines(self.slots))
                self._answered.set()
            case "refused":
                self._refused = f"cluster: {self._settings.cluster} is refused: {word['why']}."
                log.error(self._refused)

    def _slot(self, machine: Machine, gpu: int) -> tuple[Slot, str]:
        return ClusterSlot(self, machine, f"{machine.name}:gpu{gpu}", 1), machine.about


def _words(machines: Sequence[Machine]) -> str:
    return ", ".join(f"{machine.name} with {machine.gpus} GPUs" for machine in machines)
