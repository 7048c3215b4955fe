"""Live progress of running jobs, and a way to wait for the next change, from threads or coroutines.

Nothing here is durable: what must last is in the store. Of jobs long past it forgets the version.
"""

import asyncio
import threading
from collections import defaultdict
from contextlib import suppress

from studio.jobs.view import Live

REMEMBERED = 4096
Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Event, bool]


class Feed:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._live: dict[str, Live] = {}
        self._versions: defaultdict[str, int] = defaultdict(int)
        self._waiters: defaultdict[str, set[Waiter]] = defaultdict(set)

    def live(self, job: str) -> Live:
        return self._live.get(job, Live())

    def tell(self, job: str, live: Live | None) -> None:
        """The job changed. Without `live` it is no longer being painted."""
        with self._changed:
            if live is None:
                self._live.pop(job, None)
            else:
                self._live[job] = live
            self._versions[job] += 1
            if len(self._versions) > REMEMBERED:
                del self._versions[next(iter(self._versions))]
            self._changed.notify_all()
            for loop, event, every_step in self._waiters.get(job, ()):
                if every_step or live is None:
                    with suppress(RuntimeError):  # its loop was closed with the site
                        loop.call_soon_threadsafe(event.set)

    def version(self, job: str) -> int:
        return self._versions.get(job, 0)

    def wait(self, job: str, seen: int, timeout: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.version(job) != seen, timeout)

    async def changed(
        self, job: str, seen: int, timeout: float, *, every_step: bool = True
    ) -> None:
        """Waking for every step costs the worker time where both share few cores."""
        waiter = (asyncio.get_running_loop(), asyncio.Event(), every_step)
        with self._changed:
            if self.version(job) != seen:
                return
            self._waiters[job].add(waiter)
        try:
            await asyncio.wait_for(waiter[1].wait(), timeout)
        except TimeoutError:
            return
        finally:
            with self._changed:
                self._waiters[job].discard(waiter)
                if not self._waiters[job]:
                    del self._waiters[job]
