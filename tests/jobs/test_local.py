"""A slot that is a process: it is started, spoken to, killed and replaced."""

import os
import shlex
import signal
import sys
import time
from pathlib import Path

from studio.jobs.local import LocalSlot, python_command, without_secrets
from studio.jobs.slot import Gone, Inbox, Said
from studio.messages import Cancel, Hello
from studio.request import read_request
from tests.conftest import OpenStudio

HANGS = """
import os, signal, subprocess, sys, time
from studio.messages import Hello, Progress, read_frame, write_frame
signal.signal(signal.SIGTERM, signal.SIG_IGN)
write_frame(sys.stdout.buffer, Hello(os.getpid(), "fake", "for tests", {}))
paint = read_frame(sys.stdin.buffer)
write_frame(sys.stdout.buffer, Progress(paint.job, paint.token, 0, 1, 8))
child = subprocess.Popen(["sleep", "600"])
with open(sys.argv[1], "w") as started:
    started.write(str(child.pid))
time.sleep(600)
"""


def test_a_killed_worker_is_noticed_at_once_and_replaced(open_studio: OpenStudio) -> None:
    """F01"""
    slot = LocalSlot("local0", "fake", python_command("tests.jobs.slow_worker"), {})
    studio = open_studio(slot)
    job, behind = studio.line.submit([read_request({"prompt": "x", "steps": n}) for n in (50, 1)])
    while not studio.line.view(job.id).live.step:
        time.sleep(0.01)
    first = slot.pid()
    assert first
    os.kill(first, signal.SIGKILL)
    began = time.monotonic()
    while studio.store.job(job.id).crashes == 0:
        assert time.monotonic() - began < 10  # milliseconds on a quiet machine
        time.sleep(0.005)
    view, later = studio.line.wait(job.id, 60), studio.line.wait(behind.id, 60)
    assert (view.job.state, view.job.crashes, len(view.pictures)) == ("done", 1, 1)
    assert (later.job.state, later.job.crashes) == ("done", 0)
    assert (view.job.finished_at or 0) <= (later.job.started_at or 0), "it had its old place"
    assert slot.pid() not in (None, first)


def test_a_worker_that_hangs_is_killed_with_all_it_started_and_its_job_painted(
    open_studio: OpenStudio, tmp_path: Path
) -> None:
    """F07: it and what it started are deaf to SIGTERM."""
    started = tmp_path / "started"
    fake = shlex.join(python_command("studio.jobs.fake", "0.01"))
    hangs = shlex.join([sys.executable, "-c", HANGS, str(started)])
    command = ["sh", "-c", f"if [ -e {started} ]; then exec {fake}; else exec {hangs}; fi"]
    slot = LocalSlot("deaf", "fake", command, {})
    studio = open_studio(slot, step_seconds=3.0)
    (job,) = studio.line.submit([read_request({"prompt": "x"})])
    view = studio.line.wait(job.id, 60)
    assert (view.job.state, view.job.crashes, len(view.pictures)) == ("done", 1, 1)
    ends = [event.note for event in studio.store.events(job.id)]
    assert "worker killed by SIGKILL" in ends
    child = Path("/proc") / started.read_text()
    assert not child.exists() or "Z" in (child / "stat").read_text().split()[2]


def test_the_worker_ends_when_its_parents_end_of_the_pipe_closes() -> None:
    command = python_command("studio.jobs.fake", "0.02")
    slot, inbox = LocalSlot("local0", "fake", command, {}), Inbox()
    slot.start(inbox, 1)
    hello = inbox.get(timeout=60)
    assert isinstance(hello, Said)
    assert isinstance(hello.message, Hello)
    slot.kill()
    gone = inbox.get(timeout=60)
    assert isinstance(gone, Said)
    assert gone.message == Gone("killed by SIGKILL")
    assert slot.pid() is None


def test_a_worker_that_dies_as_it_is_spoken_to_is_missed_all_the_same() -> None:
    deaf = ["sh", "-c", "exec 0<&-; sleep 0.3"]  # what it is sent stays in the pipe's buffer
    slot, inbox = LocalSlot("deaf", "fake", deaf, {}), Inbox()
    slot.start(inbox, 1)
    while slot.pid():
        slot.send(Cancel("j", 1))
        time.sleep(0.05)
    assert inbox.get(timeout=60) == Said("deaf", 1, Gone("left with exit code 0"))


def test_who_hands_over_a_long_message_never_waits_for_the_worker_to_read_it() -> None:
    slot, inbox = LocalSlot("slow", "fake", ["sleep", "60"], {}), Inbox()
    slot.start(inbox, 1)
    began = time.monotonic()
    for _ in range(3):
        slot.send(Cancel("j" * 200_000, 1))
    assert time.monotonic() - began < 20  # a third of what the worker would sleep
    slot.kill()
    assert inbox.get(timeout=60) == Said("slow", 1, Gone("killed by SIGKILL"))


def test_a_worker_that_talks_nonsense_is_ended_and_missed() -> None:
    command = ["sh", "-c", "printf '\\000\\000\\000\\003abc'; exec sleep 60"]
    slot, inbox = LocalSlot("mad", "fake", command, {}), Inbox()
    slot.start(inbox, 1)
    assert inbox.get(timeout=60) == Said("mad", 1, Gone("killed by SIGKILL"))


def test_no_secret_reaches_a_worker() -> None:
    environment = {"HF_TOKEN": "a", "DARKROOM_DATABASE": "b", "AWS_SECRET_KEY": "c", "PATH": "d"}
    assert without_secrets(environment) == {"PATH": "d"}
