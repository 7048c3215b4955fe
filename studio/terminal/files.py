"""Verbs for the files of the data folder: what leaves it, what is copied, what comes back.

None of them paints, and none needs the studio to be stopped unless it says so.
"""

import argparse
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Event

from studio.errors import InUse, NotFound, Refused, Unavailable
from studio.formats.filename import check_template
from studio.formats.spoken import counted
from studio.settings import Settings
from studio.store import handover
from studio.store.backup import backup as copy
from studio.store.fsck import Report
from studio.store.fsck import fsck as check
from studio.store.handover import Told
from studio.store.importing import check_folder, how_many, of_folder, take_in
from studio.store.packing import pack
from studio.store.restore import restore as put_back
from studio.store.retention import Tidied, tidying, too_much
from studio.store.retention import going as would_go
from studio.store.selecting import rows, selected
from studio.store.store import Store

TOLD_EVERY = 1.0  # seconds
ONLY_LOOKS = "This command only reads."


def backup(settings: Settings, asked: argparse.Namespace) -> int:
    done = copy(settings, asked.to, link=asked.link, loras=asked.loras)
    for name in done.missing:
        print(f"not there any more: {name}")
    told = [f"{done.copied} files copied", f"{done.there} were there"]
    told += [f"{done.linked} linked"] if asked.link else []
    told += [f"{done.removed} removed that left the history"] if done.removed else []
    print(f"{asked.to}: {', '.join(told)}.")
    if not asked.verify:
        return 0
    return _tell(check(settings.model_copy(update={"data": asked.to}), deep=True))


def restore(settings: Settings, asked: argparse.Namespace) -> int:
    done = put_back(settings, asked.copy)
    for path in done.aside:
        print(f"set aside: {path}")
    for name in done.missing:
        print(f"the copy has it not: {name}")
    for name in done.kept:
        print(f"left as it is, for it is another than in the copy: {name}")
    print(f"{settings.data}: {done.copied} files copied, {done.there} were there.")
    return _tell(check(settings))


def bring(settings: Settings, asked: argparse.Namespace) -> int:
    folder = Path(os.path.abspath(asked.folder))
    check_folder(folder, settings.data)
    told, last = Told(), time.monotonic()
    with _stoppable() as stop, suppress(KeyboardInterrupt):
        for told in _bringing(settings, folder, asked.owner, stop):
            if time.monotonic() - last >= TOLD_EVERY and told.tally.looked:
                last = time.monotonic()
                of = f"{told.tally.looked} of {told.total} looked at"
                print(f"{of}, {told.tally.new} taken in", flush=True)
    for name, why in told.tally.left:
        print(f"not taken in: {name}: {why}")
    for ending, count in told.tally.passed.items():
        print(f"passed over: {counted(count, 'file')} of {ending}")
    was = "was" if told.tally.known == 1 else "were"
    known = f"{told.tally.known} {was} in the history already"
    print(f"{counted(told.tally.new, 'picture')} taken in; {known}.")
    if told.state == "failed":
        raise Unavailable(told.said)
    if told.state != "done":
        print("Stopped. The same command goes on where this ended.")
    return 1 if told.tally.left or told.state != "done" else 0


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl+C was pressed, so that all that came in is told; a second one breaks it off. Who
    was begun in the background, where a shell has it ignored, goes on."""
    stop = Event()

    def heard(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    before = signal.getsignal(signal.SIGINT)
    if before != signal.SIG_IGN:
        signal.signal(signal.SIGINT, heard)
    try:
        yield stop.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _bringing(
    settings: Settings, folder: Path, owner: str, stop: Callable[[], bool]
) -> Iterator[Told]:
    """Done here, or by the studio that has the data folder."""
    try:
        store = Store.open(settings)
    except InUse as busy:
        yield from _handed_over(settings.data, folder, owner, busy, stop)
        return
    told = Told(total=how_many(folder, stop))
    try:
        given = of_folder(folder, told.tally.passed, stop)
        for outcome in take_in(store, given, owner, stop=stop):
            told.tally.add(outcome)
            yield told
        told.state = "stopped" if stop() else "done"
        yield told
    finally:
        store.close()


def _handed_over(
    data: Path, folder: Path, owner: str, busy: InUse, stop: Callable[[], bool]
) -> Iterator[Told]:
    """Who breaks this command off stops the studio at it, too."""
    key = handover.ask(data, folder, owner)
    print("The studio runs, and takes them in.", flush=True)
    try:
        yield from handover.follow(data, key, busy, stop)
    except (KeyboardInterrupt, GeneratorExit):
        with suppress(NotFound):  # it was over in this moment
            handover.stop(data, key)
        raise


def export(settings: Settings, asked: argparse.Namespace) -> int:
    if asked.name:
        check_template(asked.name, "name")
    store = Store.open_to_read(settings, ONLY_LOOKS)
    try:
        q = asked.q if asked.id or asked.job or asked.batch or asked.q else ""
        ids = selected(store, ids=asked.id, job_id=asked.job, batch=asked.batch, q=q)
        if not ids:
            raise Refused("Nothing is found by that, so there is nothing to export.")
        _write(asked.zip, pack(store, ids, asked.name, settings.metadata))
    finally:
        store.close()
    named = "manifest.json in it has their recipes, and names those whose file is gone"
    print(f"{asked.zip}: {counted(len(ids), 'picture')}; {named}.")
    return 0


def tidy(settings: Settings, asked: argparse.Namespace) -> int:
    dry: bool = asked.dry_run
    store = Store.open_to_read(settings, ONLY_LOOKS) if dry else Store.open(settings)
    done = Tidied(time.time())
    try:
        going = would_go(store, settings, done.at)
        for _ in () if dry else tidying(store, settings, done):
            pass
        for _, picture in rows(store.database, going.pictures):
            if picture:
                print(f"{picture.path}  {' '.join(picture.prompt.split())[:60]}")
    finally:
        store.close()
    if dry:
        size = f"{going.bytes / 1e6:.1f} MB"
        pictures, jobs = counted(len(going.pictures), "picture"), counted(going.jobs, "job")
        print(f"{pictures} ({size}) would go to the trash; {jobs} would go.")
    else:
        done.keep(settings.data)
        print(f"Went: {done.counted or 'nothing'}.")
    if said := too_much(settings, going.left):
        print(said)
    return 0


def fsck(settings: Settings, asked: argparse.Namespace) -> int:
    report = check(settings, deep=asked.deep, repair=asked.repair)
    if not asked.json:
        return _tell(report)
    told = asdict(report) | {"clean": not report.findings, "found": report.kinds}
    print(json.dumps(told, indent=2, ensure_ascii=False))
    return 1 if report.findings else 0


def _tell(report: Report) -> int:
    if report.running:
        print(f"{report.running.removesuffix(' Stop that server first.')} It goes on; this looks.")
    for title, found in (("mended", report.mended), ("found", report.findings)):
        for one in found:
            print(f"{title}: {one.kind}: {one.name}: {one.said}")
    for name, why in report.lost:
        print(f"left in lost+found: {name}: {why}")
    print(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in report.counts.items()))
    kinds = ", ".join(f"{count} {kind}" for kind, count in report.kinds.items())
    print(f"Not well: {kinds}." if kinds else "All is well.")
    return 1 if report.findings else 0


def _write(file: Path, pieces: Iterator[bytes]) -> None:
    """Whole or not there."""
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as written:
            written.writelines(pieces)
        part.replace(file)
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}.") from None
    finally:
        part.unlink(missing_ok=True)


VERBS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
    "backup": backup,
    "restore": restore,
    "import": bring,
    "export": export,
    "fsck": fsck,
    "tidy": tidy,
}
