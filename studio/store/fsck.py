"""Looks the whole data folder over, says what is wrong, and mends what loses nothing.

While a studio runs it only reads. What it mends: small pictures are drawn again, half files and
small pictures of nothing go, and the history gets to know what it did not.
"""

from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from sqlalchemy import select

from studio.errors import CannotStart, InUse, NotFound, Refused
from studio.settings import Settings
from studio.store import entries
from studio.store.checking import Check, Finding
from studio.store.database import Database, database_url
from studio.store.files import Files, Save
from studio.store.glancing import Glances, glances
from studio.store.homing import bring_home
from studio.store.lock import Lock
from studio.store.lost import put_back
from studio.store.recover import Recovery, find_again
from studio.store.rows import Picture
from studio.store.schema import prepare
from studio.store.shelf import Shelf, files_in
from studio.store.store import Store
from studio.store.tables import picture

LOOKS = "It is only looked at."


@dataclass(slots=True)
class Report:
    """`counts` say how much there is; `findings` what is wrong, and is left so. `running` says who
    has the folder, if somebody does; `lost` what could not be put back from lost+found, and why."""

    running: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    mended: list[Finding] = field(default_factory=list)
    lost: list[tuple[str, str]] = field(default_factory=list)

    @property
    def kinds(self) -> dict[str, int]:
        return dict(Counter(finding.kind for finding in self.findings))


def fsck(settings: Settings, *, deep: bool = False, repair: bool = False) -> Report:
    if not settings.data.is_dir():
        raise CannotStart(f"fsck: there is no data folder {settings.data}.")
    with ExitStack() as opened:
        running = _take(settings.data, opened)
        if running and repair:
            raise InUse(f"fsck --repair: {running}")
        report = _look(settings, deep, running)
    if not repair or not (report.findings or report.counts.get("lost_and_found")):
        return report
    missing = {one.name for one in report.findings if one.kind == "no_file"}
    lost, why = _mend(settings, missing)
    after = _look(settings, deep, "")
    after.lost = lost
    after.findings = [
        replace(one, said=f"{one.said}: {why[one.name]}") if one.name in why else one
        for one in after.findings
    ]
    left = {(finding.kind, finding.name) for finding in after.findings}
    after.mended = [one for one in report.findings if (one.kind, one.name) not in left]
    return after


def _take(data: Path, opened: ExitStack) -> str:
    """Who holds the folder, if somebody does; else we do while we look."""
    try:
        opened.callback(Lock(data / "darkroom.lock", f"The data folder {data}").release)
    except InUse as error:
        return str(error)
    except OSError:
        pass  # nobody runs where nothing can be written
    return ""


def _look(settings: Settings, deep: bool, running: str) -> Report:
    report, file = Report(running), settings.data / "darkroom.db"
    if not settings.database and not file.is_file():
        said = "there is none; 'python app.py recover' makes one from the pictures"
        report.findings.append(Finding("database", file.name, said))
        return report
    database = Database(database_url(settings), reading=LOOKS)
    try:
        prepare(database)
        check = Check(database, settings.data, deep, bool(running))
        report.counts = check.counts()
        report.counts["lost_and_found"] = sum(1 for _ in files_in(settings.data, "lost+found"))
        report.findings += check.run()
    except CannotStart as error:
        report.findings.append(Finding("database", file.name, str(error)))
    finally:
        database.close()
    return report


def _mend(settings: Settings, missing: set[str]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """What stays in lost+found, and why; and why a stray picture is none of the history."""
    try:
        store = Store.open(settings)  # brings it up to date, and removes half files
    except CannotStart:
        return [], {}  # it was said already what is wrong, and what helps
    shelf, recovery = Shelf(settings.data, settings.file_name, Files()), Recovery()
    try:
        bring_home(store, settings.data, missing)
        _, left = put_back(store, shelf, settings.data)
        find_again(store, settings.data, recovery)
        _mend_rest(settings, store)
    finally:
        store.close()
    return left, dict(recovery.left)


def _mend_rest(settings: Settings, store: Store) -> None:
    names: dict[str, list[str]] = {}
    for one in _look(settings, False, "").findings:  # small pictures may belong to one now
        names.setdefault(one.kind, []).append(one.name)
    for name in names.get("stray_thumb", ()):
        (settings.data / name).unlink(missing_ok=True)
    for name in names.get("stray_input", ()):
        content = (settings.data / name).read_bytes()
        if f"inputs/{sha256(content).hexdigest()}" == name:
            store.keep_input(content)
    with store.database.write() as tx:
        entries.index_again(tx)
    with glances() as looking:
        for name in names.get("no_thumb", ()):
            with suppress(Refused, NotFound):  # then it is still missing, and said again
                _draw(store, settings.data / name, name, looking)


def _draw(store: Store, target: Path, name: str, looking: Glances) -> None:
    with store.database.read() as connection:
        row = connection.execute(select(picture).where(picture.c.thumb == name)).one()
    thumb = looking.look(store.file(Picture(*row)).read_bytes()).thumb
    save = Save(Files(), "thumb")
    with save.or_undo():
        save.rename(save.write(target.parent, thumb), target)
        save.sync_folders()
