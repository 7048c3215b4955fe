"""What a worker is told of a job: all that it needs to paint it, gathered on this machine.

Weights go by their folder, for it loads them itself; the pictures a job is painted from go along.
"""

import logging
from typing import NamedTuple

from studio.errors import NotFound, Refused
from studio.messages import Paint
from studio.models.loras import lora_files
from studio.models.upscalers import upscaler_of
from studio.models.weights import find_weights
from studio.settings import Settings
from studio.store.rows import Job
from studio.store.store import Store
from studio.wishes.catalog import Catalog

log = logging.getLogger("darkroom.pool")


class Undone(NamedTuple):
    """Why no worker was told of a job."""

    code: str
    sentence: str


def errand(
    job: Job, catalog: Catalog, settings: Settings, store: Store, at_once: int, *, ahead: bool
) -> Paint | Undone:
    """Undone if the card, its files or a picture went away while the job waited. One whose worker
    died lets no other begin ahead: it may be why."""
    try:
        return _gathered(job, catalog, settings, store, at_once, ahead=ahead)
    except Refused as error:
        return Undone("model_missing", str(error))
    except NotFound as error:
        return Undone("input_missing", str(error))
    except Exception:  # noqa: BLE001 - or it would be tried for ever, before all others
        log.exception("job %s could not be given to a worker", job.id)
        return Undone("internal", "No worker could be told of it; the log says why.")


def _gathered(
    job: Job, catalog: Catalog, settings: Settings, store: Store, at_once: int, *, ahead: bool
) -> Paint:
    card, folder = catalog.find(job.model), settings.model_folder
    names = [use["name"] for use in job.request["loras"]]
    return Paint(
        job=job.id,
        token=job.token,
        request=job.request,
        card=card.model_dump(mode="json"),
        folder=find_weights(card, folder),
        upscaler=upscaler_of(job.request, catalog.upscalers, folder),
        loras=lora_files(names, folder) if names else {},
        inputs=store.inputs(job.request),
        at_once=at_once,
        wish=job.wish,
        warnings=job.warnings,
        ahead=ahead and not job.crashes,
    )
