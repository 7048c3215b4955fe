"""Bulk files as plain data: what a check found, what it would cost, how each line stands."""

from collections.abc import Sequence
from dataclasses import asdict

from studio.formats.bulk.sheet import Remark
from studio.jobs.bulk import Plan, Planned, words_of
from studio.jobs.bulk_cost import Cost, ahead_of, cost
from studio.jobs.studio import Studio
from studio.store.bulks import Bulks
from studio.store.rows import Bulk, BulkPicture
from studio.web.telling import Told


def cost_of(studio: Studio, plan: Plan) -> Cost:
    now = studio.line.forecaster.now()
    return cost(plan, studio.pool.estimates, ahead_of(now, paused=studio.store.paused))


def tell_plan(plan: Plan, reckoned: Cost) -> Told:
    """What a dry run says."""
    return {
        "form": plan.form,
        "why": plan.why,
        "total": len(plan.pictures),
        "new": len(plan.new),
        "skipped": len(plan.pictures) - len(plan.new),
        "problems": [tell_remark(one) for one in plan.problems],
        "notes": [tell_remark(one) for one in plan.remarks if not one.stops],
        "models": [asdict(one) for one in reckoned.models],
        "gpu_seconds": reckoned.gpu_seconds,
        "ends_at": reckoned.ends,
        "why_no_end": reckoned.why or None,
        "pictures": [_planned(one) for one in plan.pictures],
    }


def tell_remarks(remarks: Sequence[Remark]) -> list[Told]:
    return [tell_remark(one) for one in remarks]


def tell_remark(one: Remark) -> Told:
    return {"line": one.line, "column": one.column, "message": one.sentence, "hint": one.hint}


def tell_bulk(studio: Studio, bulk: Bulk, after: int = -1, limit: int | None = None) -> Told:
    bulks = Bulks(studio.store.database)
    rows = bulks.pictures(bulk.id, after=after, limit=limit)
    counts = bulks.counts(bulk.id)
    return {
        "id": bulk.id,
        "name": bulk.name,
        "form": bulk.form,
        "created_at": bulk.created_at,
        "total": sum(counts.values()),
        "counts": counts,
        "pictures": [_picture(studio, one) for one in rows],
        "next": rows[-1].n if limit and len(rows) == limit else None,
    }


def _planned(one: Planned) -> Told:
    settled = one.ask.settled
    request = settled.request
    return {
        "line": one.ask.line,
        "column": one.column,
        "groups": list(one.ask.groups),
        "prompt": request.prompt,
        "model": request.model,
        "width": request.width,
        "height": request.height,
        "seed": settled.wish.seed,
        "count": request.count,
        "filename": request.filename,
        "warnings": list(settled.warnings),
        "job": one.job or None,
    }


def _picture(studio: Studio, one: BulkPicture) -> Told:
    return {
        "n": one.n,
        "line": one.line,
        "groups": list(one.groups),
        "prompt": one.request["prompt"],
        "model": one.request["model"],
        "seed": one.request["seed"],
        "count": one.request["count"],
        "skipped": one.skipped,
        "job": one.job,
        "state": one.state,
        "words": words_of(studio.line, one),
        "error": one.error,
        "url": f"/pictures/{one.picture}" if one.picture else None,
    }
