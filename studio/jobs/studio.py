"""The studio put together: settings, catalog, store, line and pool, opened and closed in order."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Self

from studio.jobs.cluster import Cluster
from studio.jobs.devices import Offer, find_offers, join
from studio.jobs.estimate import Estimates
from studio.jobs.feed import Feed
from studio.jobs.fetching import Fetching
from studio.jobs.forecast import Forecaster
from studio.jobs.line import Line
from studio.jobs.local import LocalSlot, python_command
from studio.jobs.pool import Pool
from studio.jobs.reader import Reader
from studio.jobs.seats import Fleet
from studio.jobs.slot import Inbox
from studio.models.safety import safety_of, safety_text
from studio.settings import Settings
from studio.store.chores import Chores
from studio.store.store import Store
from studio.wishes.catalog import Catalog
from studio.wishes.presets import load_catalog

WORKER = "studio.engine.worker"
LEARNS_FROM = 300  # jobs, the newest: how long things take here


@dataclass(frozen=True, slots=True)
class Studio:
    settings: Settings
    catalog: Catalog
    store: Store
    line: Line
    pool: Pool
    fetching: Fetching
    reader: Reader
    chores: Chores

    @classmethod
    def open(
        cls, settings: Settings, fleet: Fleet | None = None, inbox: Inbox | None = None
    ) -> Self:
        """The line resumes where it stood. `fleet` replaces the machine's own slots, for tests;
        `inbox` is where its cluster tells of machines.

        Where nothing can be written no worker starts.
        """
        catalog = load_catalog(
            settings.presets, settings.default_model, settings.model_folder, settings.look_folder
        )
        safety_of(settings)  # a studio that is to check pictures never opens without what does
        for name in (*settings.preload, *settings.reserved):
            catalog.find(name)
        with ExitStack() as opened:
            store = Store.open(settings)
            opened.callback(store.close)
            chores = Chores(store, settings)
            if not store.reading:
                store.recover()
                chores.tidy()
            feed = Feed()
            estimates = Estimates(catalog.guides)
            estimates.learn_all(reversed(store.jobs(states=["done"], limit=LEARNS_FROM)))
            inbox = inbox or Inbox()
            fleet = fleet or find_fleet(settings, inbox)
            if fleet.cluster:
                opened.callback(fleet.cluster.close)
            pool = Pool(store, catalog, feed, settings, fleet, estimates, inbox)
            line = Line(store, catalog, settings, feed, pool.inbox, Forecaster(pool.inbox))
            if not store.reading:
                pool.start()
                chores.begin()
            opened.pop_all()
            return cls(settings, catalog, store, line, pool, Fetching(settings), Reader(), chores)

    def close(self) -> None:
        self.chores.close()
        self.fetching.close()
        self.reader.close()
        self.pool.close(self.settings.drain_seconds)
        self.store.close()


def find_fleet(settings: Settings, inbox: Inbox, worker: str = WORKER) -> Fleet:
    """This machine's slots, and those of the cluster. A machine of the cluster has none beside."""
    if not settings.cluster:
        return local_fleet(settings, worker)
    cluster = Cluster(settings, inbox, worker, _options(settings))
    cluster.open()
    own = [] if cluster.holds_this_machine else find_offers(settings)
    offers = {offer.name: offer for offer in own if offer.device != "cpu"}
    local = _fleet(offers, settings, worker)
    return replace(
        local,
        widen=lambda parts: (cluster.widen if parts[0].leased else local.widen)(parts),
        cluster=cluster,
    )


def local_fleet(settings: Settings, worker: str = WORKER) -> Fleet:
    return _fleet({offer.name: offer for offer in find_offers(settings)}, settings, worker)


def _fleet(offers: Mapping[str, Offer], settings: Settings, worker: str) -> Fleet:
    return Fleet(
        [(_slot(offer, settings, worker), offer.reason) for offer in offers.values()],
        lambda parts: _slot(join([offers[part.name] for part in parts]), settings, worker),
    )


def _slot(offer: Offer, settings: Settings, worker: str) -> LocalSlot:
    own = ["--name", offer.name, "--device", offer.device, "--threads", str(offer.threads)]
    command = python_command(worker, *own, *_options(settings))
    return LocalSlot(offer.name, offer.device, command, offer.environment, offer.gb)


def _options(settings: Settings) -> list[str]:
    """What all workers are told."""
    told = ["--models", str(settings.model_folder.resolve()), "--precision", settings.precision]
    told += ["--safety", safety_text(safety_of(settings))]
    told += ["--attention", settings.attention, *["--compile"] * settings.compile]
    return told if settings.previews else [*told, "--no-previews"]
