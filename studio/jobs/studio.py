"""The studio put together: settings, catalog, store, line and pool, opened and closed in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from studio.catalog import Catalog
from studio.jobs.devices import find_offers
from studio.jobs.feed import Feed
from studio.jobs.line import Line
from studio.jobs.local import LocalSlot, python_command
from studio.jobs.pool import Pool
from studio.jobs.slot import Slot
from studio.presets import load_catalog
from studio.settings import Settings
from studio.store.store import Store


@dataclass(frozen=True, slots=True)
class Studio:
    settings: Settings
    catalog: Catalog
    store: Store
    line: Line
    pool: Pool

    @classmethod
    def open(cls, settings: Settings, slots: Sequence[tuple[Slot, str]] | None = None) -> Self:
        """The line resumes where it stood. `slots` replaces the machine's own, for tests."""
        catalog = load_catalog(settings.presets)
        for name in settings.preload:
            catalog.find(name)
        slots = local_slots(settings) if slots is None else slots
        store = Store.open(settings)
        store.recover()
        feed = Feed()
        pool = Pool(store, catalog, feed, settings, slots)
        line = Line(store, catalog, settings, feed, pool.inbox)
        pool.start()
        return cls(settings, catalog, store, line, pool)

    def close(self) -> None:
        self.pool.close(self.settings.drain_seconds)
        self.store.close()


def local_slots(settings: Settings) -> list[tuple[Slot, str]]:
    return [
        (
            LocalSlot(
                offer.name,
                offer.device,
                python_command(
                    "studio.engine.worker",
                    *("--name", offer.name),
                    *("--device", offer.device),
                    *("--threads", str(offer.threads)),
                    *("--models", str(settings.model_folder)),
                    *("--precision", settings.precision),
                    *(() if settings.previews else ("--no-previews",)),
                ),
                offer.environment,
            ),
            offer.reason,
        )
        for offer in find_offers(settings)
    ]
