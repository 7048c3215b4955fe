"""A file of many pictures: checked whole, forecast, written down at once, and followed by line.

Each picture is settled as any other wish is; what would be refused is said with its line. It knows
how files are read, and neither pages nor the database.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from studio.errors import Refused, sayable
from studio.formats.bulk.read import read
from studio.formats.bulk.sheet import Entry, Remark, Sheet, begun, wish_of
from studio.formats.spoken import counted
from studio.garbage import uncollected
from studio.jobs.bulk_past import Had
from studio.jobs.inbox import Entered, StopJobs
from studio.jobs.line import Line
from studio.request import ImageRequest
from studio.store.bulks import Ask, Bulks
from studio.store.rows import Bulk, BulkPicture, Room, State
from studio.wishes.catalog import Settled
from studio.wishes.routing import Here
from studio.wishes.wording import Lists, Worded, Wording

MOST_OF_ONE = 10_000  # pictures that one line becomes
MOST_OF_FILE = 20_000  # that are looked at, or as many as may wait where those are more
LONGEST_NAME = 255
MOST_SLIPS = 8  # that are looked for in one picture
_INSIDE = re.compile(r"prompt: (?:line (?P<line>\d+), )?column (?P<column>\d+): (?P<rest>.*)", re.S)


@dataclass(frozen=True, slots=True)
class Planned:
    """A picture that may enter the line. `job` is where it waits or was painted already."""

    ask: Ask
    column: int
    job: str = ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """`refused` is why it cannot be painted, if it need be: the history may have it."""

    ask: Ask
    column: int
    refused: Sequence[Remark] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    form: str
    why: str
    pictures: Sequence[Planned]
    remarks: Sequence[Remark]
    ticked: int = 0  # pictures that are left out

    @property
    def problems(self) -> list[Remark]:
        return [one for one in self.remarks if one.stops]

    @property
    def new(self) -> list[Planned]:
        return [one for one in self.pictures if not one.job]

    @property
    def slips(self) -> str:
        """How many problems there are, and what that means."""
        it = "it is" if len(self.problems) == 1 else "they are"
        return f"{counted(len(self.problems), 'problem')}: nothing runs until {it} mended."

    @property
    def figures(self) -> list[str]:
        """What there is beside what would be painted, counted in pictures."""
        there = sum(one.ask.settled.request.count for one in self.pictures if one.job)
        said = [f"{there} already there"] if there else []
        return said + ([f"{self.ticked} ticked off"] if self.ticked else [])


class Unsound(Refused):
    """A file that cannot be painted as it stands; `plan` says all that is wrong with it."""

    code = "unsound"

    def __init__(self, plan: Plan) -> None:
        first, *others = plan.problems
        are = "are" if len(others) > 1 else "is"
        more = f" There {are} {len(others)} more." if others else ""
        super().__init__(f"{said(first)}{more} Nothing was written down.", field="file")
        self.plan = plan


def said(remark: Remark) -> str:
    """A remark in one line."""
    hint = f" {remark.hint}" if remark.hint else ""
    return f"Line {remark.line}, column {remark.column}: {remark.sentence}{hint}"


def check(
    line: Line, text: str, name: str = "", form: str | None = None, *, again: bool = False
) -> Plan:
    """The whole file, and all that is wrong with it. Nothing is written down.

    `again` means also what is painted or waits already.
    """
    with uncollected():
        sheet = read(text, _name(name), form)
        asked = _asks(line, sheet)
        pictures = _planned(line, asked, sheet, again=again)
    _look_for_room(line, pictures, sheet)
    once = dict.fromkeys(sheet.remarks)  # what the head says is wrong with each picture below
    remarks = sorted(once, key=lambda one: (one.line, one.column, not one.stops))
    return Plan(sheet.form, sheet.why, pictures, remarks, sheet.ticked)


def run(
    line: Line,
    text: str,
    name: str = "",
    form: str | None = None,
    *,
    key: str | None = None,
    again: bool = False,
) -> Bulk:
    """All of the file or nothing of it. The same key with the same file gives the same again,
    whatever became of the models since."""
    bulks, name = Bulks(line.store.database), _name(name)
    body = hashlib.sha256("\n".join((name, form or "", str(again), text)).encode()).hexdigest()
    if key and (earlier := bulks.earlier(key, body)):
        return earlier
    with uncollected():
        plan = check(line, text, name, form, again=again)
        if plan.problems:
            raise Unsound(plan)
        if not plan.pictures:
            raise Refused("file: all of it is ticked off, so nothing is painted.", field="file")
        bulk, entered = bulks.begin(
            [one.ask for one in plan.pictures],
            name=name,
            form=plan.form,
            key=key,
            body_hash=body,
            room=_room(line),
            again=again,
        )
    line.inbox.put(Entered(entered))
    return bulk


def stop_rest(line: Line, bulk_id: str) -> int:
    """What waits of it leaves the line; what is being painted is finished."""
    stopped = Bulks(line.store.database).stop(bulk_id)
    line.inbox.put(StopJobs(stopped))
    for name in stopped:
        line.feed.tell(name, None)
    return len(stopped)


def once_more(line: Line, bulk_id: str, states: Sequence[State] = ("failed",)) -> int:
    """What ended so is asked for again, and nothing else of the file."""
    entered = Bulks(line.store.database).again(bulk_id, states, _room(line))
    line.inbox.put(Entered(entered))
    return len(entered)


def words_of(line: Line, one: BulkPicture) -> str:
    """How a picture of a file stands, as a person would say it."""
    match one.state:
        case "queued":
            return "waiting"
        case "running":
            return line.feed.live(one.job).doing or "starting"
        case "failed":
            return one.error or "failed"
        case "cancelled":
            return "stopped"
    return "was painted before" if one.skipped else "done"


def _name(name: str) -> str:
    if len(name) > LONGEST_NAME:
        sentence = f"name: it has {len(name)} characters; the most is {LONGEST_NAME}."
        raise Refused(sentence, field="name")
    return sayable(name)


def _room(line: Line) -> Room:
    return Room(line.settings.max_waiting, line.settings.max_waiting_each)


def _look_for_room(line: Line, pictures: Sequence[Planned], sheet: Sheet) -> None:
    """Said before anybody presses Run."""
    new = sum(not one.job for one in pictures)
    free = line.settings.max_waiting - line.store.counts().get("queued", 0)
    if new > free:
        sentence = f"These are {new} pictures; the line has room for {free}."
        if free <= 0:
            sentence = f"The line is full; it has no room for {counted(new, 'picture')}."
        sheet.say(1, 1, sentence, "Cut the file, or set DARKROOM_MAX_WAITING higher.")


def _planned(line: Line, asked: Sequence[_Asked], sheet: Sheet, *, again: bool) -> list[Planned]:
    """With where each is already: known by its mark, or else by what the history has of it."""
    there = {} if again else Bulks(line.store.database).there([one.ask.mark for one in asked])
    seeded = [one.ask.settled for one in asked if one.ask.settled.wish.seed is not None]
    had = Had(line, [] if again else [one.request for one in seeded])
    for one in asked:
        if place := there.get(one.ask.mark):
            had.take(one.ask.settled.request, place.job)
    found = []
    for one in asked:
        ask, place = one.ask, there.get(one.ask.mark)
        if place is None and ask.settled.wish.seed is not None:
            place = had.take(ask.settled.request)
            ask = replace(ask, there=place)
        if place or not one.refused:
            found.append(Planned(ask, one.column, place.job if place else ""))
        else:
            sheet.remarks += one.refused
    return found


def _asks(line: Line, sheet: Sheet) -> list[_Asked]:
    """Settled, with the column each begins in."""
    here, lists = line.here(), line.lists()
    unread = {one.line for one in sheet.remarks if one.stops}
    alike = Counter[str]()
    found: list[_Asked] = []
    most, tried = max(MOST_OF_FILE, line.settings.max_waiting), 0
    for number, entry in enumerate(sheet.entries):
        if max(number, tried) >= most:
            hint = "Cut the file into several."
            sheet.say(entry.line, entry.column, f"Before it are {most:,} pictures, the most.", hint)
            break
        wish, wrong = wish_of(entry)
        if wish is None and entry.line in unread:
            continue  # what it lacks may stand in what could not be read
        sheet.remarks += wrong
        if wish is None:
            continue
        try:
            wording = _wording(wish, entry, here, lists, sheet)
            drawn = wording.dynamic and wish.expand == "random" and wish.seed is None
            for one in islice(wording.each(), most - tried + 1):
                tried += 1
                told, refused = len(sheet.remarks), list[Remark]()
                settled = _settled(line, one, entry, here, sheet)
                if settled is None and wish.seed is not None and not wrong:
                    settled, refused = _as_it_was(one, here), sheet.remarks[told:]
                    del sheet.remarks[told:]
                if settled and not wrong:
                    alike[base := _base(settled, wish if drawn else None)] += 1
                    mark = f"{base}-{alike[base]}"
                    ask = Ask(entry.line, entry.groups, mark, settled)
                    found.append(_Asked(ask, entry.column, refused))
        except Refused as error:
            sheet.remarks.append(_remark(error, entry))
    return found


def _as_it_was(one: Worded, here: Here) -> Settled:
    """What the history has is not painted, so its model need not be here, nor anything else."""
    card = here.catalog.card(one.bare.model) or here.catalog.default
    return one.made(Settled(one.bare, one.bare, card, ()))


def _wording(wish: ImageRequest, entry: Entry, here: Here, lists: Lists, sheet: Sheet) -> Wording:
    """Without a look that is refused, for there may be more that is."""
    try:
        return Wording(wish, here.catalog, lists, MOST_OF_ONE)
    except Refused as error:
        if error.field != "look":
            raise
        sheet.remarks.append(_remark(error, entry))
    bare = wish.model_copy(update={"look": None})
    return Wording(bare, here.catalog, lists, MOST_OF_ONE)


def _settled(line: Line, one: Worded, entry: Entry, here: Here, sheet: Sheet) -> Settled | None:
    """None where it is refused. Then it is settled again without what was refused, for there may
    be more."""
    wish = one.bare
    try:
        return one.made(line.settle(wish, here, one.worn))
    except Refused as error:
        sheet.remarks.append(_remark(error, entry))
        first = error.field
    refused = {first}
    while first and len(refused) < MOST_SLIPS:
        name = first.partition(".")[0]
        if name not in ImageRequest.model_fields or name == "prompt":
            break
        default = ImageRequest.model_fields[name].get_default()
        wish = wish.model_copy(update={name: default})
        try:
            line.settle(wish, here)
            break
        except Refused as error:
            if error.field in refused or error.field is None:
                break
            first = error.field
            refused.add(first)
            sheet.remarks.append(_remark(error, entry))
    return None


def _remark(error: Refused, entry: Entry) -> Remark:
    line, column = entry.place(error.field or "")
    sentence = str(error)
    if inside := _INSIDE.match(sentence):  # it says where in the prompt, which begins here
        below, at = int(inside["line"] or 1) - 1, int(inside["column"])
        at = at if below else column + at - 1
        return Remark(line + below, at, f"prompt: {inside['rest']}")
    return Remark(line, column, begun(sentence))


def _base(settled: Settled, template: ImageRequest | None) -> str:
    """What the picture is, whatever its place in the line; without a seed nobody asked for. Where
    its words were drawn without one it is known again by the `template`. What has its default is
    left out, so that a new field makes no old picture another."""
    request = settled.request
    left_out = {"priority"}
    if template or settled.wish.seed is None:
        left_out.add("seed")
    if template:
        texts = {"prompt": template.prompt, "negative_prompt": template.negative_prompt}
        request = request.model_copy(update=texts)
    told = request.model_dump_json(exclude=left_out, exclude_defaults=True)
    return hashlib.sha256(f"{request.owner}\n{told}".encode()).hexdigest()
