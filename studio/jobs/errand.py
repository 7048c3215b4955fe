"""What a worker is told of a job: all that it needs to paint it, gathered on this machine.

Weights go by their folder, for it loads them itself; the pictures a job is painted from go along.
"""

from studio.messages import Paint
from studio.models.loras import lora_files
from studio.models.upscalers import upscaler_of
from studio.models.weights import find_weights
from studio.settings import Settings
from studio.store.rows import Job
from studio.store.store import Store
from studio.wishes.catalog import Catalog


def errand(job: Job, catalog: Catalog, settings: Settings, store: Store, at_once: int) -> Paint:
    """Refused or not found if the card, its files or a picture went away while the job waited."""
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
    )
