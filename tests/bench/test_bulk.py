"""An importer that is killed while it writes leaves all of its file in the line, or nothing."""

import subprocess
import sys
from pathlib import Path

from bench.bulk import WARM, file_of, measured, waiting
from studio.jobs.bulk import check, run
from studio.settings import Settings
from studio.store.bulks import Bulks
from tests.conftest import OpenStudio

PROMPTS = 4000  # so many that the database writes long before it commits
WRITTEN = 2**20  # bytes of the log: then it is in the middle


def test_a_file_that_was_cut_off_in_the_middle_is_not_there_and_can_be_run_again(
    tmp_path: Path, open_studio: OpenStudio
) -> None:
    data = tmp_path / "killed"
    command = [sys.executable, "-m", "bench.bulk", str(data), "", str(PROMPTS)]
    log = data / "darkroom.db-wal"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "begins\n"
        before = log.stat().st_size
        while log.stat().st_size < before + WRITTEN:
            assert process.poll() is None
        process.kill()
    assert waiting(data) in (0, PROMPTS)
    studio = open_studio(data=data, max_waiting=10 * PROMPTS)
    studio.line.pause(True)
    found = Bulks(studio.store.database).newest(9)
    assert len(found) == (1 if waiting_now(studio.store.counts()) == 0 else 2)
    plan = check(studio.line, file_of(PROMPTS), "bulk.md")
    assert len(plan.new) in (0, PROMPTS)
    run(studio.line, file_of(PROMPTS), "bulk.md")
    assert waiting_now(studio.store.counts()) == PROMPTS


def waiting_now(counts: dict[str, int]) -> int:
    return sum(counts.values()) - WARM


def test_the_figures_are_those_of_an_import() -> None:
    told = measured(200, "sqlite")
    assert told["check_seconds"] > 0 and told["cpu_seconds"] > 0 and told["seconds"] < 60
    assert "- a (red:1.2) boat on an island, number 1 {seed: 1}" in file_of(2)
    assert Settings().max_waiting >= 10_000  # a file of the bar's size fits into an empty line
