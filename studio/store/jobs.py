"""How a job moves: every change is one guarded UPDATE and one event, inside a given transaction.

The guard is in the WHERE: the state and the token a job must have. Who comes too late changes
nothing. Knows neither files nor who opened the transaction.
"""

from collections.abc import Sequence
from typing import Any, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    RowMapping,
    Select,
    func,
    insert,
    literal,
    select,
    update,
)

from studio.errors import Conflict, NotFound, TooMany
from studio.request import ImageRequest, Priority
from studio.store.ids import new_id
from studio.store.rows import Before, Event, Job, Place, Room, State
from studio.store.tables import job, job_event
from studio.wishes.catalog import Settled

AT_ONCE = 1000  # rows whose text is held in memory
# What a job is before anything has happened to it, as the columns have it by default.
NEW: dict[str, Any] = {
    **dict.fromkeys(("attempts", "crashes", "token"), 0),
    **dict.fromkeys(("slot", "error_code", "error", "started_at", "finished_at")),
    "cancel_requested": False,
}
RANKS = {name: rank for rank, name in enumerate(reversed(get_args(Priority)))}  # low 0 … urgent 3


def enter(
    tx: Connection,
    settled: Sequence[Settled],
    batch: str | None,
    rerun_of: str | None,
    room: Room,
    now: float,
) -> list[Job]:
    """All of them or none, and all of one owner."""
    _check(tx, room, settled[0].request.owner, len(settled))
    entered: list[Job] = []
    for begin in range(0, len(settled), AT_ONCE):
        rows = [
            _new_row(one.request, one.wish.model_dump(mode="json"), one.warnings, batch, now)
            | {"rerun_of": rerun_of}
            for one in settled[begin : begin + AT_ONCE]
        ]
        entered += _insert(tx, rows)
    return entered


def copy(
    rows: Sequence[RowMapping], tx: Connection, batch: str, room: Room, now: float
) -> list[Job]:
    """The same asked once more, all of them or none. They are of one owner."""
    _check(tx, room, rows[0]["owner"], len(rows))
    same = ("owner", "priority", "model", "wish", "request", "warnings")
    asked = {"batch": batch, "state": "queued", "created_at": now, "rerun_of": None}
    return _insert(
        tx, [{name: row[name] for name in same} | asked | {"id": new_id()} for row in rows]
    )


def _insert(tx: Connection, rows: list[dict[str, Any]]) -> list[Job]:
    """There is one writer, so what has a higher number now are these, in their order; asking for
    each row back takes as long as all else."""
    last = tx.scalar(select(func.max(job.c.seq))) or 0
    tx.execute(insert(job), rows)
    seqs = tx.scalars(select(job.c.seq).where(job.c.seq > last).order_by(job.c.seq)).all()
    jobs = [
        Job(**NEW | row | _fresh(seq, row["warnings"])) for seq, row in zip(seqs, rows, strict=True)
    ]
    events = [{"n": 1, **_event(one, None, one.created_at, one.owner, "")} for one in jobs]
    tx.execute(insert(job_event), events)
    return jobs


def _fresh(seq: int, warnings: Sequence[str]) -> dict[str, Any]:
    return {"seq": seq, "turn": seq, "warnings": tuple(warnings), "timings": {}}


def _check(tx: Connection, room: Room, owner: str, more: int) -> None:
    waiting = select(func.count()).where(job.c.state == "queued")
    there = tx.scalar(waiting) or 0
    if there + more > room.most:
        raise TooMany(
            f"The line is full: {there} of at most {room.most} jobs wait, and {more} "
            "more do not fit. Try again later."
        )
    if room.most_each is None:
        return
    own = tx.scalar(waiting.where(job.c.owner == owner)) or 0
    if own + more > room.most_each:
        raise TooMany(
            f"{own} jobs of {owner} wait, of at most {room.most_each}, and {more} more do not "
            "fit. Try again when some are painted."
        )


def adopt(
    tx: Connection,
    request: ImageRequest,
    wish: dict[str, Any],
    warnings: Sequence[str],
    at: float,
    note: str,
    batch: str | None = None,
    elsewhere: bool = False,
) -> Job:
    """A job that was painted before this database was there, or elsewhere."""
    row = _new_row(request, wish, warnings, batch, at) | {"id": new_id(at), "state": "done"}
    row |= {"attempts": int(not elsewhere), "started_at": at, "finished_at": at}
    made = _as_job(tx.execute(insert(job).values(row).returning(job)).one())
    tx.execute(insert(job_event), {"n": 1, **_event(made, None, at, made.owner, note)})
    return made


def found_again(tx: Connection, waits: Job, at: float, note: str) -> Job:
    """One that waits, or was being painted when a copy was taken, and whose pictures are here."""
    change = {"state": "done", "attempts": max(1, waits.attempts), "finished_at": at}
    done = _move(tx, waits, at, change | {"started_at": waits.started_at or at}, note=note)
    assert done  # nobody paints while the history is mended
    return done


def start(tx: Connection, job_id: str, slot: str, now: float) -> Job | None:
    found = find(tx, job_id)
    if found.state != "queued":
        return None
    change = {"state": "running", "slot": slot, "started_at": now}
    change |= {"attempts": found.attempts + 1, "token": found.token + 1}
    return _move(tx, found, now, change, actor=slot)


def put_back(
    tx: Connection, job_id: str, token: int, now: float, note: str, *, crashed: bool = False
) -> Job | None:
    """To its old place in the line. If it was asked to stop, it has no need of one and ends."""
    found = _held(tx, job_id, token)
    if found is None:
        return None
    change: dict[str, Any] = {"crashes": found.crashes + int(crashed)}
    if found.cancel_requested:
        change |= {"state": "cancelled", "finished_at": now}
    else:
        change |= {"state": "queued", "token": token + 1, "slot": None, "started_at": None}
    return _move(tx, found, now, change, note=note)


def end(tx: Connection, job_id: str, token: int, now: float, change: dict[str, Any]) -> Job | None:
    """Of all who would end a running job, the first with the right token does."""
    found = _held(tx, job_id, token)
    return found and _move(tx, found, now, change | {"finished_at": now})


def stop(tx: Connection, job_id: str, now: float) -> Job:
    """A waiting job is cancelled at once, a running one marked; what is final stays as it is."""
    found, moved = find(tx, job_id), None
    if found.state == "queued":
        moved = _move(tx, found, now, {"state": "cancelled", "finished_at": now})
    elif found.state == "running" and not found.cancel_requested:
        change = {"cancel_requested_at": now}
        moved = _move(tx, found, now, change, actor=found.owner, note="asked to stop")
    return moved or found


def stop_waiting(tx: Connection, job_ids: Select[tuple[str]], now: float) -> list[str]:
    """All of these that wait are cancelled, in two statements however many they are."""
    its = (job.c.state == "queued", job.c.id.in_(job_ids))
    names = list(tx.scalars(select(job.c.id).where(*its)))
    last = select(func.max(job_event.c.n)).where(job_event.c.job_seq == job.c.seq)
    event = {
        "job_seq": job.c.seq,
        "n": last.scalar_subquery() + 1,
        "at": literal(now),
        "from_state": job.c.state,
        "to_state": literal("cancelled"),
        "token": job.c.token,
        "actor": job.c.owner,
        "note": literal(""),
    }
    rows = select(*event.values()).where(*its)
    tx.execute(insert(job_event).from_select(list(event), rows))
    tx.execute(update(job).where(*its).values(state="cancelled", finished_at=now))
    return names


def reprioritise(tx: Connection, job_id: str, priority: Priority, now: float) -> Job:
    """Among those that wait. What is painted or final is refused."""
    found = _waits(tx, job_id)
    change = {"priority": RANKS[priority], "request": found.request | {"priority": priority}}
    return _rearrange(tx, found, now, change, f"now {priority}")


def move(tx: Connection, job_id: str, to: Place, now: float) -> Job:
    """Among those of its owner that wait in its class. They exchange their turns, so that nobody
    else has more or fewer before him than he had."""
    found = _waits(tx, job_id)
    its = (
        job.c.state == "queued",
        job.c.priority == found.priority,
        job.c.owner == found.owner,
    )
    match to:
        case "first":
            turn, note = tx.scalar(select(func.min(job.c.turn)).where(*its)), "moved to the front"
        case "last":
            turn, note = tx.scalar(select(func.max(job.c.turn)).where(*its)), "moved to the end"
        case Before(other):
            turn, note = _turn_before(tx, found, find(tx, other), its), f"moved before {other}"
    low, high = sorted((found.turn, turn))
    following = func.lead if turn == low else func.lag
    its_turn = func.coalesce(following(job.c.turn).over(order_by=job.c.turn), turn)
    passed = select(job.c.seq, its_turn.label("turn")).where(*its, job.c.turn.between(low, high))
    new = passed.subquery()
    tx.execute(update(job).where(job.c.seq == new.c.seq).values(moved_to=new.c.turn))
    return _rearrange(tx, found, now, {"moved_to": turn}, note)


def _turn_before(tx: Connection, found: Job, other: Job, its: Sequence[ColumnElement[bool]]) -> int:
    if (other.state, other.priority, other.owner) != ("queued", found.priority, found.owner):
        raise Conflict(
            f"place: {other.id} does not wait in the same class for the same owner, so nothing "
            "can be moved before it."
        )
    if other.turn <= found.turn:
        return other.turn
    before = select(func.max(job.c.turn)).where(*its, job.c.turn < other.turn)
    return int(tx.scalar(before) or found.turn)


def _waits(tx: Connection, job_id: str) -> Job:
    found = find(tx, job_id)
    if found.state != "queued":
        raise Conflict(f"The job is {found.state}; only one that waits has a place to change.")
    return found


def _rearrange(tx: Connection, found: Job, now: float, change: dict[str, Any], note: str) -> Job:
    moved = _move(tx, found, now, change, actor=found.owner, note=note)
    assert moved  # there is one writer, and this is its transaction
    return moved


def find(tx: Connection, job_id: str) -> Job:
    row = tx.execute(select(job).where(job.c.id == job_id)).first()
    if row is None:
        raise NotFound(f"There is no job {job_id[:64]!r}.")
    return _as_job(row)


def waiting(tx: Connection, limit: int | None) -> list[Job]:
    query = select(job).where(job.c.state == "queued").order_by(job.c.priority.desc(), job.c.turn)
    return [_as_job(row) for row in tx.execute(query.limit(limit))]


def turns(tx: Connection, owner: str, rank: int) -> dict[str, int]:
    its = (job.c.state == "queued", job.c.priority == rank, job.c.owner == owner)
    return {name: turn for name, turn in tx.execute(select(job.c.id, job.c.turn).where(*its))}


def newest(
    tx: Connection,
    *,
    owner: str | None,
    states: Sequence[State],
    limit: int | None,
    before: int | None,
) -> list[Job]:
    query = select(job).order_by(job.c.seq.desc()).limit(limit)
    if owner is not None:
        query = query.where(job.c.owner == owner)
    if states:
        query = query.where(job.c.state.in_(states))
    if before is not None:
        query = query.where(job.c.seq < before)
    return [_as_job(row) for row in tx.execute(query)]


def in_batch(tx: Connection, batch: str) -> list[Job]:
    return [
        _as_job(row)
        for row in tx.execute(select(job).where(job.c.batch == batch).order_by(job.c.seq))
    ]


def places(tx: Connection, job_ids: Sequence[str]) -> dict[str, int]:
    own = job.alias()
    # Two ranges of the index; one condition with OR would read every waiting job.
    queued = select(func.count()).where(job.c.state == "queued")
    higher = queued.where(job.c.priority > own.c.priority)
    earlier = queued.where(job.c.priority == own.c.priority, job.c.turn < own.c.turn)
    before = higher.scalar_subquery() + earlier.scalar_subquery()
    its = select(own.c.id, before).where(own.c.id.in_(job_ids), own.c.state == "queued")
    return {name: number for name, number in tx.execute(its)}


def passable(tx: Connection, job_id: str) -> bool:
    """Whether it waits behind one of its owner's and class, so that it could be moved forward."""
    own = find(tx, job_id)
    before = select(job.c.seq).where(
        job.c.state == "queued", job.c.priority == own.priority, job.c.turn < own.turn
    )
    its = before.where(job.c.owner == own.owner).limit(1)
    return own.state == "queued" and tx.scalar(its) is not None


def counts(tx: Connection) -> dict[str, int]:
    query = select(job.c.state, func.count()).group_by(job.c.state)
    return {state: count for state, count in tx.execute(query)}


def events(tx: Connection, job_id: str) -> list[Event]:
    query = select(job_event).where(job_event.c.job_seq == find(tx, job_id).seq)
    return [Event(*row) for row in tx.execute(query.order_by(job_event.c.n))]


def _held(tx: Connection, job_id: str, token: int) -> Job | None:
    found = find(tx, job_id)
    return found if (found.state, found.token) == ("running", token) else None


def _move(
    tx: Connection, found: Job, now: float, change: dict[str, Any], actor: str = "", note: str = ""
) -> Job | None:
    """None if the job is no longer as it was found."""
    guard = (job.c.id == found.id, job.c.state == found.state, job.c.token == found.token)
    row = tx.execute(update(job).where(*guard).values(change).returning(job)).first()
    if row is None:
        return None
    moved = _as_job(row)
    last = select(func.max(job_event.c.n)).where(job_event.c.job_seq == moved.seq)
    event = _event(moved, found.state, now, actor or found.slot or found.owner, note)
    tx.execute(insert(job_event).values(event | {"n": last.scalar_subquery() + 1}))
    return moved


def _event(moved: Job, was: State | None, now: float, actor: str, note: str) -> dict[str, Any]:
    return {
        "job_seq": moved.seq,
        "at": now,
        "from_state": was,
        "to_state": moved.state,
        "token": moved.token,
        "actor": actor,
        "note": note,
    }


def _new_row(
    request: ImageRequest,
    wish: dict[str, Any],
    warnings: Sequence[str],
    batch: str | None,
    now: float,
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "batch": batch,
        "owner": request.owner,
        "state": "queued",
        "priority": RANKS[request.priority],
        "model": request.model,
        "wish": wish,
        "request": request.model_dump(mode="json"),
        "warnings": list(warnings),
        "created_at": now,
    }


def _as_job(row: Row[Any]) -> Job:
    fields = dict(row._mapping)
    requested_at = fields.pop("cancel_requested_at")
    del fields["moved_to"]
    fields["warnings"] = tuple(fields["warnings"])
    return Job(**fields, cancel_requested=requested_at is not None)
