"""How long it takes to find something again among very many pictures: searches, pages, facets.

Real tables, filled by the store's own writes; prompts of 20,000 words as unevenly spread as in a
language. No search is asked twice, and pictures are kept in between. `--save` also draws the cost.
"""

import argparse
import itertools
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

from sqlalchemy import insert

from bench.databases import HELP, database, results_name
from bench.plot import draw
from bench.report import report
from studio.request import read_request
from studio.settings import Settings
from studio.store import jobs, pictures
from studio.store.ids import new_id
from studio.store.marks import Marks
from studio.store.pages import Sort
from studio.store.rows import Picture
from studio.store.store import Store
from studio.store.tables import job

AT_ONCE = 4000  # pictures of one transaction while the history is filled
EACH = 4  # pictures of a job
SEARCHES = 200
PAGES = 4  # behind the first, of every fourth search
KEPT_BETWEEN = 10  # searches between two new pictures
BARS = {"search": 50.0, "page": 20.0, "facets": 200.0}
DAY = 86_400
BEGIN = 1.7672e9  # the first day of 2026
Found = TypeVar("Found")
DOCS = Path(__file__).resolve().parent.parent / "docs"
# The commonest words, as many prompts have them.
HEAD = """a the of in with red blue green black white old young small large cat dog car boat house
tree woman man girl castle forest sea mountain city night light portrait landscape detailed photo
painting watercolor ink oil studio soft cinematic style masterpiece quality best high"""
MODELS = ("flux-dev", "flux-schnell", "sdxl", "sdxl-turbo", "realvis", "klein", "starter", "chroma")
SIZES = ((1024, 1024), (768, 1344), (1344, 768), (512, 512), (832, 1216), (2048, 2048))
LORAS = tuple(f"{name}-{number}" for name in ("ink", "film", "face") for number in range(20))
TAGS = tuple(f"project {number}" for number in range(40))
LOOKS = (None, None, None, "ink wash", "noir", "film still")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--database", default="sqlite", help=HELP)
    parser.add_argument(
        "--folder", type=Path, help="where to keep them, to measure again without filling"
    )


def main(asked: argparse.Namespace) -> int:
    figures: dict[str, float] = {}
    found: dict[str, float] = {}
    for rows in sorted(asked.rows):
        with _folder(asked.folder, rows) as folder, database(asked.database) as url:
            settings, began = Settings(data=folder, database=url), time.monotonic()
            _fill(settings, rows)
            print(f"{rows} pictures after {time.monotonic() - began:.0f} s", flush=True)
            found = measure(settings, rows)
        figures |= {f"{key}_at_{rows}": value for key, value in found.items()}
    figures |= {"rows": max(asked.rows), **found}
    name = results_name("history", asked.database)
    report(name, figures, save=asked.save)
    if asked.save:
        drawn = {
            what: (
                [(rows, figures[f"{what}_p95_ms_at_{rows}"]) for rows in sorted(asked.rows)],
                bar,
            )
            for what, bar in BARS.items()
        }
        words = "Milliseconds that 19 of 20 stay under, by pictures in the history; dots: the bars"
        (DOCS / f"{name}.svg").write_text(draw(words, drawn), encoding="utf-8")
    return int(any(figures[f"{what}_p95_ms"] > bar for what, bar in BARS.items()))


@contextmanager
def _folder(parent: Path | None, rows: int) -> Iterator[Path]:
    if parent:
        yield parent / str(rows)
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def measure(settings: Settings, rows: int) -> dict[str, float]:
    opened, store = _timed(lambda: Store.open(settings))
    try:
        first, _ = _timed(lambda: store.history.search("boat"))
        found = _searches(store, random.Random(rows))
    finally:
        store.close()
    again, store = _timed(lambda: Store.open(settings))
    try:
        reopened, _ = _timed(lambda: store.history.search("castle"))
        after = _searches(store, random.Random(rows + 1))
    finally:
        store.close()
    more = {f"{what}_after_reopen_p95_ms": spread[95] for what, spread in after.items()}
    return {
        **{f"{what}_p{part}_ms": s for what, spread in found.items() for part, s in spread.items()},
        **more,
        "open_s": round(max(opened, again) / 1000, 2),
        "first_search_ms": round(max(first, reopened)),
    }


def _searches(store: Store, draw: random.Random) -> dict[str, dict[int, float]]:
    history = store.history
    times: dict[str, list[float]] = {"search": [], "page": [], "facets": [], "keep": [], "mark": []}
    queries = list(itertools.islice(_queries(draw), 2 * SEARCHES))
    for number, (q, sort) in enumerate(queries[:SEARCHES]):
        if number % KEPT_BETWEEN == 0:
            took, names = _timed(lambda: _keep(store, 1, draw, time.time()))
            times["keep"].append(took)
            took, _ = _timed(lambda names=names: history.mark(names, Marks(star=True)))
            times["mark"].append(took)
        took, page = _timed(lambda q=q, sort=sort: history.search(q, sort=sort))
        times["search"].append(took)
        for _ in range(PAGES if number % 4 == 0 else 0):
            if page.next:
                turn = lambda at=page.next, q=q, sort=sort: history.search(q, sort=sort, after=at)  # noqa: E731
                took, page = _timed(turn)
                times["page"].append(took)
    for q, _ in queries[SEARCHES:]:
        times["facets"].append(_timed(lambda q=q: history.facets(q))[0])
    return {what: _spread(took) for what, took in times.items()}


def _queries(draw: random.Random) -> Iterator[tuple[str, Sort]]:
    """As people search: mostly a few words, often with a field, sometimes in another order."""
    words = _Words(draw)
    asked = set()
    while True:
        one, two, three = (words.one() for _ in range(3))
        q = draw.choice(
            [
                *(one, one, f"{one} {two}", f"{one} {two}", f"{one} {two} {three}"),
                *(f'"{one} {two}"', f"{one} -{two}", f"({one} OR {two}) {three}", f"{one[:3]}*"),
                *(f"{one} model:{draw.choice(MODELS)}", f"{one} star:yes", f"{one} rating:>=4"),
                f"{one} size:>1024 date:>2026-0{draw.randint(1, 9)} -lora:{draw.choice(LORAS)}",
                f"model:flux look:ink steps:>={draw.randint(4, 40)} seed:<{draw.randrange(2**32)}",
                f'lora:film tag:"{draw.choice(TAGS)}" {one}',
                f"date:2026-{draw.randint(1, 12):02} kind:painted -{one}",
                f"seed:{draw.randrange(2**32)} OR {one}",
            ]
        )
        sort: Sort = draw.choices(("newest", "oldest", "rating", "relevance"), (12, 2, 4, 2))[0]
        if q not in asked:
            asked.add(q)
            yield q, "newest" if sort == "relevance" and not q.startswith(one) else sort


@cache
def _vocabulary() -> tuple[list[str], list[float]]:
    """A few are in most prompts, most in few."""
    made = random.Random(1)
    rest = ["".join(made.choices("bdfgklmnprstvz", k=2)) + f"o{n:x}" for n in range(20_000)]
    words = HEAD.split() + rest
    return words, list(itertools.accumulate(1 / (n + 4) for n in range(len(words))))


class _Words:
    def __init__(self, draw: random.Random) -> None:
        self._all, self._sums = _vocabulary()
        self._draw = draw

    def one(self) -> str:
        return self.some(1)[0]

    def some(self, count: int) -> list[str]:
        return self._draw.choices(self._all, cum_weights=self._sums, k=count)


def _fill(settings: Settings, rows: int) -> None:
    store = Store.open(settings)
    try:
        there = store.history.search(limit=1).total
        draw = random.Random(there)
        while there < rows:
            # One transaction in twenty brings older pictures, as from a folder that is taken in.
            at = BEGIN + (there / rows if draw.random() < 0.95 else draw.random()) * 300 * DAY
            there += len(_keep(store, min(AT_ONCE, rows - there), draw, at))
        if not store.database.sqlite:  # which does so by itself, within a minute
            with store.database.write() as tx:
                tx.exec_driver_sql("ANALYZE")
    finally:
        store.close()


def _keep(store: Store, count: int, draw: random.Random, at: float) -> list[str]:
    words = _Words(draw)
    jobs_of, made = [], []
    for _ in range(0, count, EACH):
        at += 20 * draw.random()
        asked = _job(words, draw, at)
        jobs_of.append(asked)
        made += [_picture(asked, index, draw) for index in range(min(EACH, count - len(made)))]
    with store.database.write() as tx:
        tx.execute(insert(job), jobs_of)
        pictures.add(tx, tuple(made))
    if count > 1:
        some = [one.id for one in made if draw.random() < 0.2]
        store.history.mark(some, Marks(star=True, rating=draw.randint(1, 5)))
    return [one.id for one in made]


REQUEST = read_request({"prompt": "x"}).model_dump(mode="json")


def _job(words: _Words, draw: random.Random, at: float) -> dict[str, object]:
    width, height = draw.choice(SIZES)
    prompt = " ".join(words.some(draw.randint(4, 40)))
    loras = [{"name": draw.choice(LORAS), "weight": 0.8}] if draw.random() < 0.4 else []
    request = REQUEST | {
        "prompt": prompt,
        "model": draw.choices(MODELS, range(8, 0, -1))[0],
        "width": width,
        "height": height,
        "seed": draw.randrange(2**32 - EACH),
        "steps": draw.choice((4, 8, 20, 28, 50)),
        "guidance": draw.choice((0.0, 3.5, 5.0, 7.5)),
        "sampler": draw.choice(("euler", "dpm++", "ddim")),
        "count": EACH,
        "loras": loras,
        "tags": [draw.choice(TAGS)] if draw.random() < 0.3 else [],
    }
    return {
        "id": new_id(),
        "owner": "local",
        "state": "done",
        "priority": jobs.RANKS["normal"],
        "model": request["model"],
        "wish": {"prompt": prompt, "look": draw.choice(LOOKS)},
        "request": request,
        "warnings": [],
        "timings": {"total": 2.5},
        "created_at": at,
    }


def _picture(asked: dict[str, object], index: int, draw: random.Random) -> Picture:
    request = asked["request"]
    assert isinstance(request, dict)
    name = f"2026/{asked['id']}-{index}"
    return Picture(
        id=new_id(),
        job=str(asked["id"]),
        index=index,
        path=f"pictures/{name}.png",
        thumb=f"thumbs/{name}.webp",
        sha256=f"{draw.getrandbits(256):064x}",
        bytes=1_400_000,
        width=request["width"],
        height=request["height"],
        seed=request["seed"] + index,
        format="png",
        recipe={"request": request, "fingerprint": {"dtype": "bf16"}, "warnings": []},
        created_at=float(str(asked["created_at"])),
        owner="local",
        model=request["model"],
        prompt=request["prompt"],
    )


def _timed(act: Callable[[], Found]) -> tuple[float, Found]:
    began = time.perf_counter()
    found = act()
    return 1000 * (time.perf_counter() - began), found


def _spread(took: list[float]) -> dict[int, float]:
    ordered = sorted(took)
    return {part: round(ordered[int(len(ordered) * part / 100)], 2) for part in (50, 95)}
