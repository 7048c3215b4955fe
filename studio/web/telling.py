"""Jobs, pictures, models and slots as plain data for programs. Both APIs say the same words."""

from dataclasses import asdict
from typing import Any

from studio.formats.compare import Comparison
from studio.jobs.fetching import Fetch
from studio.jobs.studio import Studio
from studio.jobs.view import View
from studio.models.card import ModelCard
from studio.models.hashes import file_hash, tensor_hash
from studio.models.lora_bases import title_of
from studio.models.lora_hub import source_of
from studio.models.loras import Lora, find_loras
from studio.models.parcels import Parcel
from studio.models.safety import checker_folder, load_checkers
from studio.models.upscalers import find_upscalers
from studio.models.weights import absent
from studio.store.rows import Job, Picture

Told = dict[str, Any]  # JSON-shaped


def tell_job(view: View) -> Told:
    job = view.job
    return {
        **tell_row(job),
        "place": view.place,
        "words": view.words,
        "begins_at": view.times and view.times.begins,
        "ends_at": view.times and view.times.ends,
        "index": view.live.index,
        "step": view.live.step,
        "steps": view.live.steps,
        "pictures": [tell_picture(picture) for picture in view.pictures],
        "rerun": tell_rerun(view),
    }


def tell_rerun(view: View) -> Told | None:
    """Of what it is a rerun, and once it is done, what came of it."""
    if view.job.rerun_of is None:
        return None
    told = view.rerun
    comparison = told and told.comparison
    return {
        **(tell_comparison(comparison) if comparison else {"answer": None}),
        "of": view.job.rerun_of,
        "words": told and told.words,
        "not_honoured": list(told.not_honoured) if told else [],
    }


def tell_comparison(comparison: Comparison) -> Told:
    return {
        "answer": comparison.answer,
        "words": comparison.words,
        "distance": comparison.distance and asdict(comparison.distance),
        "changed": [asdict(change) for change in comparison.changed],
    }


def tell_row(job: Job) -> Told:
    return {
        "id": job.id,
        "state": job.state,
        "model": job.model,
        "seed": job.request["seed"],
        "request": job.request,
        "warnings": list(job.warnings),
        "error": {"code": job.error_code, "message": job.error} if job.error else None,
        "batch": job.batch,
        "rerun_of": job.rerun_of,
        "slot": job.slot,
        "attempts": job.attempts,
        "crashes": job.crashes,
        "timings": job.timings,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def tell_picture(picture: Picture) -> Told:
    return {
        "id": picture.id,
        "url": f"/pictures/{picture.id}",
        "thumb": f"/thumbs/{picture.id}",
        "job": picture.job,
        "index": picture.index,
        "seed": picture.known_seed,
        "width": picture.width,
        "height": picture.height,
        "format": picture.format,
        "bytes": picture.bytes,
        "sha256": picture.sha256,
        "model": picture.model,
        "prompt": picture.prompt,
        "loras": picture.recipe.get("fingerprint", {}).get("loras", []),
        "created_at": picture.created_at,
    }


def tell_model(studio: Studio, card: ModelCard) -> Told:
    loras = find_loras(studio.settings.model_folder) if "loras" in card.can else ()
    return {
        "name": card.name,
        "title": card.title,
        "about": card.about,
        "default": card is studio.catalog.default,
        "here": not absent(card, studio.settings.model_folder),
        "loaded": [slot.name for slot in studio.pool.views() if card.name in slot.loaded],
        "fetching": _fetch(studio.fetching.views().get(card.name)),
        "can": sorted(card.can),
        "aliases": list(card.aliases),
        "sizes": {name: [size.width, size.height] for name, size in card.sizes.items()},
        "steps": card.steps,
        "max_steps": card.max_steps,
        "guidance": card.guidance,
        "strength": card.strength,
        "max_references": card.max_references,
        "upscale": card.upscale,
        "loras": [tell_lora(lora) for lora in loras if lora.fits(card.lora_base)],
        "quality": dict(card.quality),
        "samplers": [sampler.name for sampler in card.samplers],
        "words": list(card.words),
        "examples": list(card.examples),
        "licence": card.licence,
        "homepage": card.homepage,
    }


def tell_lora(lora: Lora) -> Told:
    return {
        "name": lora.name,
        "title": lora.title,
        "trigger_words": list(lora.triggers),
        "base": " or ".join(map(title_of, lora.bases)) or None,
        "bases": list(lora.bases),
        "kind": lora.kind,
        "rank": lora.rank,
        "layers": lora.layers,
        "parts": list(lora.parts),
        "bytes": lora.size,
    }


def tell_models(studio: Studio) -> list[Told]:
    return [tell_model(studio, card) for card in studio.catalog.cards.values()]


def _fetch(one: Fetch | None) -> Told | None:
    return asdict(one) if one else None


def tell_upscalers(studio: Studio) -> list[Told]:
    known = find_upscalers(studio.catalog.upscalers, studio.settings.model_folder)
    fetches = studio.fetching.views()
    return [
        {
            "name": one.card.name,
            "title": one.card.title,
            "about": one.card.about,
            "here": one.usable,
            "place": one.place,
            "refused": one.refused or None,
            "scale": one.card.scale,
            "suits": one.card.suits,
            "licence": one.card.licence,
            "homepage": one.card.homepage,
            "fetching": _fetch(fetches.get(one.card.name)),
        }
        for one in known
    ]


def tell_checkers(studio: Studio) -> list[Told]:
    settings, fetches = studio.settings, studio.fetching.views()
    return [
        {
            "name": card.name,
            "title": card.title,
            "about": card.about,
            "here": bool(checker_folder(card, settings.model_folder)),
            "checks": settings.safety_mode != "off" and settings.safety_checker == card.name,
            "licence": card.licence,
            "homepage": card.homepage,
            "fetching": _fetch(fetches.get(card.name)),
        }
        for card in load_checkers(settings.presets).values()
    ]


def tell_parcel(studio: Studio, parcel: Parcel) -> Told:
    """As its own list tells it."""
    if isinstance(parcel.card, ModelCard):
        return tell_model(studio, parcel.card)
    known = [*tell_upscalers(studio), *tell_checkers(studio)]
    return next(told for told in known if told["name"] == parcel.name)


def tell_loras(studio: Studio) -> list[Told]:
    """All of this machine. Their hashes are read from the files, once for each state of a file."""
    cards = [card for card in studio.catalog.cards.values() if "loras" in card.can]
    told = []
    for lora in find_loras(studio.settings.model_folder):
        source = source_of(lora.file)
        models = [card.name for card in cards if lora.fits(card.lora_base)]
        about: Told = {"models": models, "problem": lora.refused or None, "hashes": None}
        if not lora.refused:
            whole = file_hash(lora.file)
            about["hashes"] = {
                "sha256": whole,
                "autov2": whole[:10],
                "autov3": tensor_hash(lora.file)[:12],
            }
        told.append({**tell_lora(lora), **about, "source": source and asdict(source)})
    return told


def tell_slots(studio: Studio) -> list[Told]:
    return [
        {
            "name": slot.name,
            "device": slot.device,
            "state": slot.state,
            "job": slot.job,
            "model": slot.model,
            "loaded": list(slot.loaded),
            "painted": slot.painted,
            "pid": slot.pid,
            "reason": slot.reason,
            "at_once": slot.at_once,
            "loras": list(slot.loras),
        }
        for slot in studio.pool.views()
    ]
