"""How a job ends, written down: pictures are kept, it waits again, or a sentence says why not.

Knows no slot. What the machine refuses for now, such as a full disk, comes out as `Unavailable`,
and is to be tried again.
"""

import logging

from studio.errors import Unavailable
from studio.messages import Painted
from studio.store.rows import Job
from studio.store.store import Store

MAX_CRASHES = 2  # a job is put back after the death of its worker, not a second time
UNKEPT = (
    "It was painted, and its pictures could not be kept, by a mistake in the studio. "
    "The studio's log tells more; the next picture is not affected."
)

log = logging.getLogger("darkroom.pool")


def keep(store: Store, job: Job, painted: Painted) -> None:
    """What cannot be kept now and never fails, or its slot would wait with it for ever."""
    try:
        if store.keep(job.id, painted) is None:
            log.warning("job %s was no longer this slot's; its result is dropped", job.id)
    except Unavailable:
        raise
    except Exception:  # noqa: BLE001 - the line must outlive any one picture
        log.exception("the pictures of job %s cannot be kept", job.id)
        store.fail(job.id, job.token, "internal", UNKEPT)


def put_back(store: Store, job: Job, how: str, crashed: bool) -> bool:
    """After its worker has gone. Whether it waits again."""
    stopping = store.job(job.id).cancel_requested  # then it is cancelled
    if stopping or job.crashes + crashed < MAX_CRASHES:
        store.requeue(job.id, job.token, crashed=crashed, note=f"worker {how}")
        return True
    sentence = (
        f"The worker died twice while painting this ({how}). It will not be tried again; "
        "a smaller size may work."
    )
    store.fail(job.id, job.token, "worker_died", sentence, crashed=True)
    return False
