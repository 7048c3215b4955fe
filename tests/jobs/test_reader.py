"""The process that reads prompts: begun when asked, begun anew when it dies, ended when idle."""

import sys
import time
from collections.abc import Callable

from studio.jobs.reader import Reader

ECHO = """
import sys, time
from studio.messages import read_bytes, write_bytes
while (data := read_bytes(sys.stdin.buffer)) is not None:
    if b"die" in data:
        sys.exit(1)
    time.sleep(600 if b"late" in data else 0)
    write_bytes(sys.stdout.buffer, data)
"""
COMMAND = [sys.executable, "-c", ECHO]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    assert true()


def test_one_process_answers_until_it_is_closed() -> None:
    reader = Reader(COMMAND)
    assert reader.pid() is None
    assert reader.ask({"a": 1}) == {"a": 1}
    pid = reader.pid()
    assert reader.ask({"b": [2]}) == {"b": [2]}
    assert reader.pid() == pid
    reader.close()
    assert reader.pid() is None


def test_one_that_dies_or_is_late_is_replaced() -> None:
    reader = Reader(COMMAND)
    assert reader.ask({"word": "die"}) is None
    reader._answer_seconds = 0.3
    assert reader.ask({"word": "late"}) is None
    reader._answer_seconds = 60.0
    assert reader.ask({"word": "well"}) == {"word": "well"}
    reader.close()


def test_one_with_nothing_to_read_is_ended_and_comes_back() -> None:
    reader = Reader(COMMAND, idle_seconds=0.1)
    assert reader.ask({"a": 1}) == {"a": 1}
    until(lambda: reader.pid() is None)
    assert reader.ask({"a": 2}) == {"a": 2}
    reader.close()
