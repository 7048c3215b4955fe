"""The verb for bulk files: checks one and says what it would cost, or paints all of it."""

import argparse
import json
import sys
from pathlib import Path

from studio.errors import Refused, Unavailable
from studio.formats.bulk.read import decode
from studio.formats.bulk.sheet import Remark
from studio.formats.spoken import counted
from studio.jobs.bulk import Plan, Unsound, check, run, words_of
from studio.jobs.bulk_cost import Ahead, Cost, cost, told, when
from studio.jobs.devices import find_offers
from studio.jobs.estimate import Estimates
from studio.jobs.feed import Feed
from studio.jobs.forecast import Forecaster
from studio.jobs.line import Line
from studio.jobs.slot import Inbox
from studio.jobs.studio import LEARNS_FROM, Studio
from studio.settings import Settings
from studio.store.bulks import Bulks
from studio.store.store import Store
from studio.terminal.painting import PAUSED, opened
from studio.wishes.presets import load_catalog

ONLY_LOOKS = "A dry run only reads."
THERE = "hand the file to it: in the Bulk tab of its page, or as the body of POST to /api/bulk."
WIDEST = 60  # letters of a prompt


def bulk(settings: Settings, asked: argparse.Namespace) -> int:
    try:
        text = decode(asked.file.read_bytes())
    except OSError as error:
        raise Refused(f"{asked.file}: {error.strerror}.") from None
    return (_dry if asked.dry_run else _paint)(settings, asked, text)


def _dry(settings: Settings, asked: argparse.Namespace, text: str) -> int:
    """Also beside a server; nothing is painted, so no worker starts."""
    catalog = load_catalog(settings.presets, settings.default_model, settings.model_folder)
    new = not settings.database and not (settings.data / "darkroom.db").is_file()
    store = Store.open(settings) if new else Store.open_to_read(settings, ONLY_LOOKS)
    try:
        inbox = Inbox()
        line = Line(store, catalog, settings, Feed(), inbox, Forecaster(inbox))
        plan = check(line, text, asked.file.name, asked.form, again=asked.again)
        estimates = Estimates(catalog.guides)
        estimates.learn_all(reversed(store.jobs(states=["done"], limit=LEARNS_FROM)))
        ahead = _ahead(settings, store, estimates)
        _say(asked.file, plan, cost(plan, estimates, ahead))
    finally:
        store.close()
    return 1 if plan.problems else 0


def _ahead(settings: Settings, store: Store, estimates: Estimates) -> Ahead:
    """What waits in the database, on the slots of this machine."""
    waiting = [estimates.seconds(job.model, job.request) for job in store.waiting()]
    known = None if None in waiting else sum(filter(None, waiting))
    return Ahead(len(find_offers(settings)), known, {}, paused=store.paused)


def _say(file: Path, plan: Plan, reckoned: Cost) -> None:
    for remark in plan.remarks:
        print(_where(file, remark))
    if plan.remarks:
        print()
    for one in plan.pictures:
        request, wish = one.ask.settled.request, one.ask.settled.wish
        size, seed = f"{request.width}x{request.height}", "any" if wish.seed is None else wish.seed
        times = f"x{request.count}" if request.count > 1 else ""
        there = "  (already there)" if one.job else ""
        words = " ".join(request.prompt.split())
        short = words if len(words) <= WIDEST else f"{words[: WIDEST - 3]}..."
        print(f"{one.ask.line:>6}  {request.model:<16} {size:<10} {seed:>10} {times:<4}"
              f"{short}{there}")  # fmt: skip
    print(f"\nRead as {plan.form}: {plan.why}.")
    if plan.problems:
        print(plan.slips)
        return
    pictures = sum(one.ask.settled.request.count for one in plan.new)
    first = f"{counted(pictures, 'picture') if pictures else 'Nothing'} to paint"
    print(f"{', '.join([first, *plan.figures])}.")
    for of_one in reckoned.models:
        jobs = f" in {counted(of_one.jobs, 'job')}" if of_one.jobs != of_one.pictures else ""
        took = f", about {told(of_one.seconds)}" if of_one.seconds is not None else ""
        print(f"  {of_one.title}: {counted(of_one.pictures, 'picture')}{jobs}{took}")
    if plan.new and reckoned.ends is None:
        print(reckoned.why)
    elif plan.new and reckoned.ends is not None:
        took, end = told(reckoned.gpu_seconds), when(reckoned.ends)
        print(f"About {took} of painting; done at about {end}.")


def _paint(settings: Settings, asked: argparse.Namespace, text: str) -> int:
    with opened(settings, THERE) as studio:
        if studio.store.paused:
            raise Unavailable(PAUSED)
        name, form = asked.file.name, asked.form
        try:
            made = run(studio.line, text, name, form, again=asked.again)
        except Unsound as error:
            for remark in error.plan.problems:
                print(_where(asked.file, remark), file=sys.stderr)
            raise
        return _follow(studio, made.id, asked.json)


def _follow(studio: Studio, bulk_id: str, as_json: bool) -> int:
    """A line for each picture, as they end."""
    bulks, good = Bulks(studio.store.database), True
    for one in bulks.pictures(bulk_id):
        view = studio.line.wait(one.job, timeout=float("inf"))
        (now,) = bulks.pictures(bulk_id, after=one.n - 1, limit=1)
        files = [str(studio.store.file(picture)) for picture in view.pictures]
        good &= now.state == "done"
        words = words_of(studio.line, now)
        if as_json:
            told = {"line": one.line, "state": now.state, "words": words, "files": files}
            print(json.dumps(told), flush=True)
        else:
            print(f"line {one.line}: {words}  {' '.join(files)}".rstrip(), flush=True)
    return 0 if good else 1


def _where(file: Path, remark: Remark) -> str:
    kind = "" if remark.stops else "note: "
    hint = f" {remark.hint}" if remark.hint else ""
    return f"{file}:{remark.line}:{remark.column}: {kind}{remark.sentence}{hint}"
