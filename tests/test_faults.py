"""docs/faults.md names a test for each fault; those tests are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS = [f"F{number:02}" for number in (*range(1, 28), 40, *range(44, 51))]


def test_every_fault_has_its_row_and_every_row_its_test() -> None:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = {
        cells[0]: cells[3]
        for line in page.splitlines()
        if re.match(r"\| F\d\d \|", line) and (cells := [c.strip() for c in line[1:-1].split("|")])
    }
    assert list(rows) == ROWS
    for row, test in rows.items():
        file, name = test.split("::")
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), row
