"""A large file is read for its hash once in its life, whoever asks and whatever is restarted."""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.models import hashes
from studio.models.hash_book import NAME, HashBook, state_of
from studio.models.hashes import file_hash, is_hashed, is_hashed_whole, keep_hashes_in, tensor_hash
from studio.wishes.matching import Reader

OLD = 1_700_000_000 * 10**9


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Path]:
    """A model folder whose hashes are kept, with a file in it."""
    was, folder = hashes._book, tmp_path / "models"
    folder.mkdir()
    lay(folder / "big.safetensors", b"weights")
    keep_hashes_in(folder)
    yield folder
    hashes._book = was


def lay(file: Path, content: bytes, at: int = OLD) -> None:
    file.write_bytes((2).to_bytes(8, "little") + b"{}" + content)
    os.utime(file, ns=(at, at))


def restart(models: Path) -> None:
    keep_hashes_in(models)


def unread(file: Path) -> None:
    """Its bytes become others, and nothing else: whoever reads it now is found out."""
    state = file.stat()
    file.write_bytes(file.read_bytes()[::-1])
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_it_is_read_once_and_known_after_a_restart(models: Path) -> None:
    file = models / "big.safetensors"
    whole = hashlib.sha256(file.read_bytes()).hexdigest()
    assert file_hash(file) == whole and is_hashed_whole(file) and not is_hashed(file)
    assert tensor_hash(file) == hashlib.sha256(b"weights").hexdigest()
    restart(models)
    assert is_hashed(file)
    unread(file)
    assert (file_hash(file), tensor_hash(file)) == (whole, hashlib.sha256(b"weights").hexdigest())


@pytest.mark.parametrize("change", ["time", "size"])
def test_one_that_was_changed_is_read_again(models: Path, change: str) -> None:
    file = models / "big.safetensors"
    was = file_hash(file)
    restart(models)
    lay(file, b"others!" if change == "time" else b"many more", OLD + (change == "time"))
    assert not is_hashed_whole(file)
    now = file_hash(file)
    assert now == hashlib.sha256(file.read_bytes()).hexdigest() != was
    restart(models)
    assert file_hash(file) == now


def test_one_that_was_written_just_now_may_change_once_more_and_is_not_kept(models: Path) -> None:
    file = models / "new.safetensors"
    file.write_bytes(bytes(100))
    file_hash(file)
    assert is_hashed_whole(file)
    restart(models)
    assert not is_hashed_whole(file)


def test_one_that_changes_while_it_is_read_is_not_known(models: Path) -> None:
    file, book = models / "big.safetensors", HashBook(models)
    before = state_of(file)
    lay(file, b"changed", OLD + 1)
    book.note(file, "all", before, "0" * 64)
    assert book.find(file, "all") is None


def test_the_folder_may_be_moved_and_what_lies_elsewhere_is_known_too(
    models: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "cache.safetensors"
    lay(elsewhere, b"of the hub")
    file_hash(elsewhere), file_hash(models / "big.safetensors")
    moved = models.rename(tmp_path / "moved")
    restart(moved)
    assert is_hashed_whole(moved / "big.safetensors") and is_hashed_whole(elsewhere)


def test_lines_of_others_are_read_and_what_is_no_line_is_passed_over(models: Path) -> None:
    one, other = HashBook(models), HashBook(models)
    file = models / "big.safetensors"
    assert other.find(file, "all") is None
    with (models / NAME).open("ab") as book:
        book.write(b'{"file": 3}\nnonsense\n\xff\n[]\n')
    one.note(file, "all", state_of(file), "a" * 64)
    with (models / NAME).open("ab") as book:
        book.write(b'{"file": "big.safe')  # somebody writes just now
    assert other.find(file, "all") == "a" * 64


def test_many_who_write_at_once_write_whole_lines(models: Path) -> None:
    def write(number: int) -> None:
        book = HashBook(models)
        for n in range(50):
            file = models / f"{number}-{n}"
            lay(file, b"x")
            book.note(file, "all", state_of(file), f"{number:032}{n:032}")

    writing = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for one in writing:
        one.start()
    for one in writing:
        one.join()
    lines = [json.loads(line) for line in (models / NAME).read_text().splitlines()]
    assert len({line["hash"] for line in lines}) == 200


@pytest.mark.parametrize(("name", "said"), [("nowhere", 0), ("file", 1)])
def test_a_folder_that_cannot_be_written_is_told_and_one_that_is_not_there_is_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, said: int
) -> None:
    file = tmp_path / "file"
    lay(file, b"x")
    book = HashBook(tmp_path / name)
    with caplog.at_level(logging.INFO, "darkroom.models"):
        book.note(file, "all", state_of(file), "b" * 64)
    assert book.find(file, "all") == "b" * 64
    assert len(caplog.records) == said


def test_what_is_known_may_be_asked_for_however_large_it_is(models: Path) -> None:
    file = models / "big.safetensors"
    assert not Reader(left=1).may(file)
    file_hash(file), tensor_hash(file)
    restart(models)
    reader = Reader(left=1)
    assert reader.may(file) and (reader.left, reader.passed_over) == (1, 0)
