"""The process between the pool and a Ray cluster: `python -m studio.jobs.ferry ADDRESS`.

The only place that imports Ray, so that whatever happens to the cluster happens to this process.
Ray is transport: it restarts and repeats nothing, and holds a GPU only while there is an actor.
"""

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, BinaryIO

import msgpack

from studio.jobs.berth import Berth, fingerprint, tell_machine
from studio.messages import read_bytes, write_bytes
from studio.settings import ROOT

SILENCE = 30.0  # seconds after which a worker is lost
LOST = "was lost with its machine, or killed"
LOOKS = 2.0  # seconds between two looks at the machines
FAREWELL = 3.0  # seconds, at most
OUTSIDE = "ray://"  # Ray's door for machines that are not in the cluster
SENT_AWAY = 3
KNOCK = f"""
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=sys.argv[1]).get_all_node_info(timeout=5)
except AuthenticationError:
    sys.exit({SENT_AWAY})
"""
KNOCK_OUTSIDE = f"""
import sys
import grpc
from ray.core.generated import ray_client_pb2, ray_client_pb2_grpc
door = ray_client_pb2_grpc.RayletDriverStub(grpc.insecure_channel(sys.argv[1]))
ping = ray_client_pb2.ClusterInfoRequest(type=ray_client_pb2.ClusterInfoType.PING)
try:
    door.ClusterInfo(ping, timeout=5)
except grpc.RpcError as error:
    sys.exit({SENT_AWAY} if error.code() is grpc.StatusCode.UNAUTHENTICATED else 1)
"""
Word = dict[str, Any]


class Ferry:
    def __init__(self, address: str, outbox: BinaryIO) -> None:
        import ray  # noqa: PLC0415 - it reads the environment when it is imported
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

        self._ray, self._at = ray, NodeAffinitySchedulingStrategy
        self._outbox = outbox
        self._actors: dict[str, Any] = {}
        self._killed: set[Any] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._machines: dict[str, Word | None] = {}  # by Ray's number; None for the unusable
        self._told: list[Word] | None = None
        self._wanted: list[dict[str, float]] = []
        self._asked: list[dict[str, float]] | None = None  # an earlier ferry may have
        self._outside = address.startswith(OUTSIDE)
        self.open_to_all = self._outside and _lets_anyone_in(
            KNOCK_OUTSIDE, address.removeprefix(OUTSIDE)
        )
        if self.open_to_all:
            return
        ray.init(address, log_to_driver=False, logging_level=logging.WARNING)
        if not self._outside:
            self.open_to_all = _lets_anyone_in(KNOCK, ray.get_runtime_context().gcs_address)

        @ray.remote(concurrency_groups={"hearing": 1})  # type: ignore[call-overload]
        class Actor(Berth):
            @ray.method(concurrency_group="hearing")  # else a question would hold up what is sent
            def hear(self) -> list[bytes | str]:  # type: ignore[override]
                return super().hear()

        self._berth: Any = Actor

    def say(self, **word: Any) -> None:
        write_bytes(self._outbox, msgpack.packb(word))

    # The machines

    async def watch(self) -> None:
        while True:
            nodes = {
                node["NodeID"]: node
                for node in await asyncio.to_thread(self._ray.nodes)
                if node["Alive"] and node["Resources"].get("GPU", 0) >= 1
            }
            for name in nodes.keys() - self._machines.keys():
                self._machines[name] = await self._ask(nodes[name])
            for name in self._machines.keys() - nodes.keys():
                del self._machines[name]
            self._tell_machines()
            await self.wish()
            await asyncio.sleep(LOOKS)

    async def wish(self) -> None:
        """The autoscaler keeps the last that it was told for ever."""
        if self._wanted != self._asked:
            self._asked = self._wanted
            await asyncio.to_thread(self._want, self._asked)

    def _tell_machines(self) -> None:
        machines = [machine for machine in self._machines.values() if machine]
        if machines != self._told:
            self._told = machines
            self.say(what="machines", machines=machines, here=self._here())

    async def _ask(self, node: Mapping[str, Any]) -> Word | None:
        """What a machine says of itself, or nothing of one that cannot be used."""
        host, gpus = node["NodeManagerHostname"], int(node["Resources"]["GPU"])
        try:
            about: Word = await self._question(node["NodeID"], gpus)
        except self._ray.exceptions.RayError as error:
            print(f"{host} cannot be used, or has no Darkroom in {ROOT}: {error}", file=sys.stderr)
            return None
        if about.pop("code") != fingerprint():
            print(f"{host} cannot be used: it has another version of Darkroom", file=sys.stderr)
            return None
        name = f"{host}-{node['NodeID'][:4]}"
        return {"name": name, "node": node["NodeID"], "gpus": gpus, **about}

    async def _still_stands(self, node: str) -> bool:
        """Ray needs half a minute to be sure that a machine is lost; then this is sure, too."""
        try:
            await self._question(node, 1)
        except self._ray.exceptions.RayError:
            return False
        return True

    def _question(self, node: str, gpus: int) -> Any:
        ask = self._ray.remote(tell_machine).options(num_cpus=0, **self._on(node))
        return ask.remote(gpus)

    def _on(self, node: str) -> dict[str, Any]:
        where = {"env_vars": {"PYTHONPATH": str(ROOT)}}  # Darkroom lies there on every machine
        return {"scheduling_strategy": self._at(node, soft=False), "runtime_env": where}

    def _here(self) -> bool:
        """Whether the cards of this very machine are the cluster's."""
        own = self._ray.get_runtime_context().get_node_id()
        return not self._outside and self._machines.get(own) is not None

    def _want(self, bundles: list[dict[str, float]]) -> None:
        from ray.autoscaler.sdk import request_resources  # noqa: PLC0415

        if self._outside:  # who is not in the cluster does not reach the autoscaler
            asking = self._ray.remote(request_resources).options(num_cpus=0)
            self._ray.get(asking.remote(bundles=bundles))
        else:
            request_resources(bundles=bundles)

    # The workers

    def hear(self, word: Word) -> None:
        match word["what"]:
            case "start":
                self._start(word)
            case "send":
                if actor := self._actors.get(word["slot"]):
                    actor.send.remote(word["frame"])
            case "kill":
                if actor := self._actors.get(word["slot"]):
                    self._killed.add(actor)
                    self._ray.kill(actor)
            case "want":
                self._wanted = [{"GPU": float(gpus)} for gpus in word["gpus"]]

    def _start(self, word: Word) -> None:
        """Ray waits with it until its GPUs are given back; what is sent meanwhile waits as well."""
        berth = self._berth.options(
            num_cpus=0,
            num_gpus=word["gpus"],
            max_restarts=0,
            max_task_retries=0,
            **self._on(word["node"]),
        )
        actor = self._actors[word["slot"]] = berth.remote(word["module"], word["options"])
        carrying = self._carry(word["slot"], word["life"], word["node"], actor)
        task = asyncio.get_running_loop().create_task(carrying)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, slot: str, life: int, node: str, actor: Any) -> None:
        """The words of one worker, from its beginning to its end."""
        how = await self._listen_to(slot, life, actor)
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(actor)
        if self._actors.get(slot) is actor:
            del self._actors[slot]
        if (
            how.startswith(LOST)
            and actor not in self._killed
            and not await self._still_stands(node)
        ):
            self._machines[node] = None
            self._tell_machines()  # before its job is put back, or it would be sent there again
        self._killed.discard(actor)
        self.say(what="gone", slot=slot, life=life, how=how)

    async def _listen_to(self, slot: str, life: int, actor: Any) -> str:
        patience = None  # for the first word: it may have to wait for its GPUs
        try:
            while True:
                heard = await asyncio.wait_for(actor.hear.remote(), patience)
                patience = SILENCE
                for frame in heard:
                    if isinstance(frame, str):
                        return frame
                    self.say(what="said", slot=slot, life=life, frame=frame)
        except TimeoutError:
            return f"was not heard of for {SILENCE:g} s"
        except self._ray.exceptions.RayError as error:
            return f"{LOST} ({type(error).__name__})"


def _lets_anyone_in(how: str, address: str) -> bool:
    """Knocks at the cluster without a token. Nothing but being sent away will do."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    knock = subprocess.run(
        [sys.executable, "-c", how, address],
        env=known | {"RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        timeout=60,
    )
    return knock.returncode != SENT_AWAY


def _listen(inbox: BinaryIO, words: SimpleQueue[Word]) -> None:
    while (data := read_bytes(inbox)) is not None:
        words.put(msgpack.unpackb(data))
    words.put({})  # the pool has gone; Ray ends what this process began
    time.sleep(FAREWELL)
    os._exit(0)


async def serve(ferry: Ferry, words: SimpleQueue[Word]) -> None:
    async def hear() -> None:
        while word := await asyncio.to_thread(words.get):
            ferry.hear(word)
        ferry.hear({"what": "want", "gpus": []})  # or machines would stay for nobody
        await ferry.wish()
        os._exit(0)

    await asyncio.gather(hear(), ferry.watch())


def main(address: str) -> None:
    outbox = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed goes to standard error
    words: SimpleQueue[Word] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, words), daemon=True).start()
    try:
        ferry = Ferry(address, outbox)
        if ferry.open_to_all:
            ferry.say(what="refused", why="it does not send away who has no token")
        else:
            asyncio.run(serve(ferry, words))
    except Exception:  # noqa: BLE001 - the pool begins another
        traceback.print_exc()
    os._exit(1)  # for the thread that listens would not let go of its stream


if __name__ == "__main__":
    main(sys.argv[1])
