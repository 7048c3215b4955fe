"""The verb that searches the history, also while the studio paints: it only reads."""

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime

from studio.settings import Settings
from studio.store.kept import Kept
from studio.store.pages import sort_of
from studio.store.store import Store

ONLY_LOOKS = "This command only reads."


def search(settings: Settings, asked: argparse.Namespace) -> int:
    store = Store.open_to_read(settings, ONLY_LOOKS)
    try:
        page = store.history.search(
            asked.q, sort=sort_of(asked.sort), limit=asked.limit, after=asked.after
        )
        if asked.json:
            print(json.dumps(asdict(page), indent=2, ensure_ascii=False))
            return 0
        for one in page.pictures:
            print(_line(one), settings.data / one.picture.path, sep="  ")
    finally:
        store.close()
    print(*page.notes, sep="\n", end="\n" if page.notes else "")
    more = f"; the next: --after {page.next}" if page.next else ""
    print(f"{len(page.pictures)} of {page.total} found{more}")
    return 0


def _line(one: Kept) -> str:
    """What tells it from others."""
    its = one.picture
    when = datetime.fromtimestamp(its.created_at, UTC).strftime("%Y-%m-%d %H:%M")
    marks = "★" * one.star + f" {one.rating}/5" * bool(one.rating)
    said = " ".join(its.prompt.split())
    told = (when, f"{its.width}x{its.height}", its.model, str(its.seed), marks, said[:80])
    return "  ".join(part for part in told if part)
