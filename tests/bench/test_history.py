"""The bench of the history measures what it says, and draws it."""

from pathlib import Path
from xml.etree import ElementTree

from bench.history import BARS, _fill, measure
from bench.plot import draw
from studio.settings import Settings


def test_a_small_history_is_searched_paged_and_counted(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    _fill(settings, 400)
    figures = measure(settings, 400)
    for what in BARS:
        assert 0 < figures[f"{what}_p50_ms"] <= figures[f"{what}_p95_ms"]
        assert figures[f"{what}_after_reopen_p95_ms"] > 0


def test_a_plot_names_each_line_with_its_last_figure_and_its_bar() -> None:
    lines = {"search": ([(10, 1.0), (100, 20.0)], 50.0), "page": ([(10, 2.0), (100, 19.9)], 20.0)}
    said = ["".join(text.itertext()) for text in ElementTree.fromstring(draw("ms", lines)).iter()]
    assert "search 20 of 50" in said and "page 19.9 of 20" in said and "100" in said
