"""The studio put together: settings, catalog, store, line and pool, opened and closed in order."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from studio.catalog import Catalog
from studio.jobs.devices import Offer, find_offers, join
from studio.jobs.estimate import Estimates
from studio.jobs.feed import Feed
from studio.jobs.forecast import Forecaster
from studio.jobs.line import Line
from studio.jobs.local import LocalSlot, python_command
from studio.jobs.pool import Pool
from studio.jobs.seats import Fleet
from studio.presets import load_catalog
from studio.settings import Settings
from studio.store.store import Store

LEARNS_FROM = 300  # jobs, the newest: how long things take here


@dataclass(frozen=True, slots=True)
class Studio:
    settings: Settings
    catalog: Catalog
    store: Store
    line: Line
    pool: Pool

    @classmethod
    def open(cls, settings: Settings, fleet: Fleet | None = None) -> Self:
        """The line resumes where it stood. `fleet` replaces the machine's own slots, for tests.

        Where nothing can be written no worker starts.
        """
        catalog = load_catalog(settings.presets, settings.default_model)
        for name in (*settings.preload, *settings.reserved):
            catalog.find(name)
        with ExitStack() as opened:
            store = Store.open(settings)
            opened.callback(store.close)
            if not store.reading:
                store.recover()
            feed = Feed()
            estimates = Estimates()
            estimates.learn_all(reversed(store.jobs(states=["done"], limit=LEARNS_FROM)))
            pool = Pool(store, catalog, feed, settings, fleet or local_fleet(settings), estimates)
            line = Line(store, catalog, settings, feed, pool.inbox, Forecaster(pool.inbox))
            if not store.reading:
                pool.start()
            opened.pop_all()
            return cls(settings, catalog, store, line, pool)

    def close(self) -> None:
        self.pool.close(self.settings.drain_seconds)
        self.store.close()


def local_fleet(settings: Settings) -> Fleet:
    offers = {offer.name: offer for offer in find_offers(settings)}
    return Fleet(
        [(_slot(offer, settings), offer.reason) for offer in offers.values()],
        lambda parts: _slot(join([offers[part.name] for part in parts]), settings),
    )


def _slot(offer: Offer, settings: Settings) -> LocalSlot:
    command = python_command(
        "studio.engine.worker",
        *("--name", offer.name),
        *("--device", offer.device),
        *("--threads", str(offer.threads)),
        *("--models", str(settings.model_folder)),
        *("--precision", settings.precision),
        *(() if settings.previews else ("--no-previews",)),
    )
    return LocalSlot(offer.name, offer.device, command, offer.environment, offer.gb)
