"""The bench of the line in small: it fills, submits, claims and finishes, and counts each."""

from bench.line import measure
from studio.settings import Settings
from studio.store.store import Store


def test_the_line_is_measured(settings: Settings) -> None:
    store = Store.open(settings)
    figures = measure(store, depth=40, deep=60, rate=20, seconds=1)
    counts = store.counts()
    store.close()
    assert counts["running"] > 0
    assert counts["running"] + counts["queued"] == 60
    assert counts["done"] > 0
    for name in ("submit", "claim", "finish"):
        assert 0 < figures[f"{name}_p50_ms"] <= figures[f"{name}_p99_ms"]
