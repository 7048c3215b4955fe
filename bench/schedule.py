"""The schedule on traces of an hour: against first come first served, and against a fixed split.

Arrivals are Poisson from one seed. A GPU counts as used while it paints, not while it loads. All
three see the same jobs and place them by the same rules; `split` gives each model its own GPUs, by
its share of the work.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

from bench.report import report
from studio.jobs.schedule import schedule
from studio.jobs.state import Gpu, Need, Resident, Start, State, Waiting
from studio.jobs.turns import Turns

NARROW, OTHER, WIDE = "sdxl", "realvis_fast", "flux"
SECONDS = {NARROW: 3.0, OTHER: 1.5, WIDE: 5.0}  # one picture on a data-centre card
NEEDS = {NARROW: Need(1, 9, 12), OTHER: Need(1, 9, 12), WIDE: Need(2, 17, 30)}
SHARES = {NARROW: 0.5, OTHER: 0.25, WIDE: 0.25}  # of the jobs
LARGE_GB, SMALL_GB = 80.0, 24.0  # of a card: all models fit beside each other, or do not
MACHINE = 8  # GPUs
HOUR = 3600.0
FORGETS = 600.0  # seconds after which half of what an owner had is forgotten


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=HOUR, help="length of each trace")


@dataclass(frozen=True, slots=True)
class Trace:
    name: str
    gpus: int
    jobs: Sequence[Waiting]
    gb: float = LARGE_GB


def traces(seconds: float) -> Iterator[Trace]:
    for gpus, load in ((8, 0.6), (8, 0.9), (8, 1.1), (4, 0.9), (64, 0.9)):
        yield Trace(f"mixed_{gpus}_gpus_{load:.0%}", gpus, _mixed(gpus, load, seconds))
    yield Trace("mixed_8_small_gpus_90%", 8, _mixed(8, 0.9, seconds), SMALL_GB)
    yield Trace("bursts", 8, _bursts(8, 0.8, seconds))
    many = [replace(job, owner="many") for job in _mixed(8, 1.4, 0, count=5000)]
    others = _mixed(8, 0.3, seconds, first_seq=5000)
    yield Trace("one_owner_5000", 8, [*(replace(job, since=0.0) for job in many), *others])


def _mixed(
    gpus: int, load: float, seconds: float, *, count: int = 0, first_seq: int = 0
) -> list[Waiting]:
    dice = random.Random(f"{gpus} {load} {count}")
    names, shares = list(SHARES), list(SHARES.values())
    work = sum(SHARES[name] * SECONDS[name] * NEEDS[name].gpus for name in names)
    jobs: list[Waiting] = []
    now = 0.0
    while len(jobs) < count or now < seconds:
        now += dice.expovariate(load * gpus / work)
        model = dice.choices(names, shares)[0]
        seq = first_seq + len(jobs)
        took = SECONDS[model] * dice.choice((1, 1, 1, 2))
        jobs.append(Waiting(f"{seq}", model, f"owner{dice.randrange(6)}", 1, seq, now, took))
    # Some jobs are of two pictures: what comes in is thinned to the load that was asked for.
    return [
        replace(job, since=job.since * 1.25) for job in jobs if count or job.since * 1.25 < seconds
    ]


def _bursts(gpus: int, load: float, seconds: float) -> list[Waiting]:
    """The same work, but half of it comes forty at a time."""
    jobs = _mixed(gpus, load, seconds)
    return [
        replace(job, since=job.since if (seq // 40) % 2 else jobs[seq - seq % 40].since)
        for seq, job in enumerate(jobs)
    ]


@dataclass
class World:
    """GPUs and models as the pool would know them, on a clock that jumps from event to event."""

    gpus: dict[str, Gpu]
    now: float = 0.0
    residents: list[Resident] = field(default_factory=list)
    events: list[tuple[float, int, str]] = field(default_factory=list)
    painted: float = 0.0
    waits: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, count: int, gb: float = LARGE_GB) -> "World":
        machines = [f"m{index // MACHINE}" for index in range(count)]
        names = [f"{machine}/{index % MACHINE}" for index, machine in enumerate(machines)]
        return cls(
            {name: Gpu(name, machine, gb) for name, machine in zip(names, machines, strict=True)}
        )

    def begin(self, start: Start, job: Waiting, until: float) -> None:
        need = NEEDS[job.model]
        for one in start.leave:
            self.residents.remove(one)
        if start.loads:
            self.residents.append(Resident(job.model, start.gpus))
        begins = self.now + start.loads * need.load_seconds
        ends = begins + (job.seconds or 0)
        for name in start.gpus:
            if self.gpus[name].free_at is not None:
                raise AssertionError(f"{name} was given twice")
            self.gpus[name] = replace(self.gpus[name], free_at=ends)
            self.painted += max(0.0, min(ends, until) - min(begins, until))
            heappush(self.events, (ends, 1, name))
        self.waits.setdefault(job.model, []).append(begins - job.since)

    def release(self, name: str) -> None:
        self.gpus[name] = replace(self.gpus[name], free_at=None)


class Ours:
    """The schedule as the pool asks it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.turns = Turns(NEEDS)
        self.jobs: dict[str, Waiting] = {}
        self.decided: list[float] = []

    def add(self, job: Waiting) -> None:
        self.jobs[job.job] = job
        self.turns.enter(job, self.world.now)

    def choose(self) -> list[tuple[Start, Waiting]]:
        world = self.world
        begun = time.thread_time()
        decision = self.turns.decide(world.now, list(world.gpus.values()), world.residents, {})
        self.decided.append(time.thread_time() - begun)
        chosen = [(start, self.jobs.pop(start.job)) for start in decision.starts]
        for start, job in chosen:
            self.turns.charge(job.owner, len(start.gpus) * (job.seconds or 1.0))
        return chosen


class FirstCome:
    """Only the head of the line may be painted."""

    def __init__(self, world: World, only: dict[str, frozenset[str]] | None = None) -> None:
        self.world = world
        # It never waits for a model that is elsewhere, so loading counts for nothing in its choice.
        self.needs = {
            name: replace(need, load_seconds=1e-6, only=only and only[name])
            for name, need in NEEDS.items()
        }
        self.lines: dict[str, list[Waiting]] = {}
        self.split = only is not None
        self.taken: dict[str, int] = {}

    def add(self, job: Waiting) -> None:
        self.lines.setdefault(job.model if self.split else "", []).append(job)

    def choose(self) -> list[tuple[Start, Waiting]]:
        world = self.world
        chosen: list[tuple[Start, Waiting]] = []
        for name, line in self.lines.items():
            while (taken := self.taken.get(name, 0)) < len(line):
                head = line[taken]
                busy = {gpu for start, _ in chosen for gpu in start.gpus}
                gpus = [
                    replace(gpu, free_at=world.now) if gpu.name in busy else gpu
                    for gpu in world.gpus.values()
                ]
                state = State(world.now, {head.line: [head]}, gpus, self.needs, world.residents)
                starts = schedule(state).starts
                if not starts:
                    break
                self.taken[name] = taken + 1
                chosen.append((starts[0], head))
                return chosen  # one at a time: what it displaces is seen by the next
        return chosen


def split(world: World) -> FirstCome:
    work = {name: SHARES[name] * SECONDS[name] * NEEDS[name].gpus for name in NEEDS}
    names = list(world.gpus)
    pairs = max(1, round(len(names) * work[WIDE] / sum(work.values()) / 2))
    pairs = min(pairs, (len(names) - 2) // 2)
    wide, rest = names[: 2 * pairs], names[2 * pairs :]
    share = work[NARROW] / (work[NARROW] + work[OTHER])
    cut = min(len(rest) - 1, max(1, round(len(rest) * share)))
    own = {WIDE: wide, NARROW: rest[:cut], OTHER: rest[cut:]}
    return FirstCome(world, {name: frozenset(gpus) for name, gpus in own.items()})


Policy = Callable[[World], Ours | FirstCome]


def run(trace: Trace, policy: Policy, seconds: float) -> tuple[World, Ours | FirstCome]:
    world = World.of(trace.gpus, trace.gb)
    chooser = policy(world)
    arriving = sorted(trace.jobs, key=lambda job: job.since)
    for index, job in enumerate(arriving):
        heappush(world.events, (job.since, 0, str(index)))
    while world.events:
        world.now, kind, what = heappop(world.events)
        if kind == 0:
            chooser.add(arriving[int(what)])
        else:
            world.release(what)
        if world.events and world.events[0][0] == world.now:
            continue  # all that happens at one time is seen at once
        while chosen := chooser.choose():
            for start, job in chosen:
                world.begin(start, job, seconds)
    return world, chooser


def main(asked: argparse.Namespace) -> int:
    figures: dict[str, float] = {}
    worst, gain, decided = 1.0, 0.0, []
    print(f"{'trace':<22} {'policy':<12} {'used':>6} {'mean wait':>10} {'longest wide':>13}")
    for trace in traces(asked.seconds):
        used, waits = {}, {}
        for name, policy in {"schedule": Ours, "first come": FirstCome, "split": split}.items():
            world, chooser = run(trace, policy, asked.seconds)
            every = [wait for waited in world.waits.values() for wait in waited]
            used[name] = world.painted / asked.seconds / trace.gpus
            waits[name] = statistics.fmean(every)
            longest = max(world.waits[WIDE])
            print(
                f"{trace.name:<22} {name:<12} {used[name]:6.3f} {waits[name]:9.1f}s "
                f"{longest:12.1f}s"
            )
            if isinstance(chooser, Ours):
                decided += chooser.decided
                figures[f"longest_wide_wait_{trace.name}"] = round(longest, 1)
        worst = min(worst, used["schedule"] / max(used.values()))
        if trace.name == "mixed_8_gpus_90%":
            gain = waits["first come"] / waits["schedule"]
    figures |= {
        "utilisation_vs_best": round(worst, 4),
        "mean_wait_gain": round(gain, 3),
        "decision_p99_ms": round(_deep() * 1000, 3),
        "decision_p99_ms_on_traces": round(statistics.quantiles(decided, n=100)[-1] * 1000, 3),
    }
    report("schedule", figures, save=asked.save)
    return 0


def _deep() -> float:
    """p99 of a decision with 10,000 waiting and 64 GPUs, all busy but for those that just ended."""
    world = World.of(64)
    ours = Ours(world)
    for job in _mixed(64, 0.9, 0, count=10_000):
        ours.add(replace(job, since=0.0, rank=job.turn % 4))
    dice = random.Random(0)
    while len(ours.decided) < 2000:
        for start, job in ours.choose():
            world.begin(start, job, 0)
            ours.add(replace(job, job=f"{job.job}+", turn=job.turn + 10_000))
        world.now = min(gpu.free_at for gpu in world.gpus.values() if gpu.free_at is not None)
        for name, gpu in world.gpus.items():
            if gpu.free_at is not None and gpu.free_at <= world.now + dice.random():
                world.release(name)
    return statistics.quantiles(ours.decided, n=100)[-1]
