"""No text takes long: sixteen times as much of it takes no more than that many times as long."""

import pytest

from studio.errors import Refused
from studio.formats.bulk.read import MOST_LINES, decode, read
from studio.formats.bulk.write import Picture, write_markdown
from studio.request import ImageRequest
from tests.pace import within

LENGTH = 1 << 18
SECONDS = 20.0  # two on a quiet machine; what grew with the square would take an hour
# fmt: off
PIECES = [
    "{a:", "{seed: 1 ", '"', '\\"', ",", "a b c ", "[", "[a,", "seed: 1, ", "(size: ", "seed:x ",
    "\\|", "|-", "- ", "* ", "#", "<!-- x -->", "<!--", "```\n", '"a""', '"\n', "--a ", "a:\n- b\n",
    " ", "- x\n", "x\n", "  y\n", "aa: 1, ", "}", "`", "=\n", "\r", "1. ",
]
# fmt: on


@pytest.mark.slow  # many texts of a quarter of a megabyte
@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("begin", ["- x {tags: ", "---\n", "prompt,seed\n", "--prompt ", "```\n"])
def test_no_text_takes_long(begin: str, piece: str) -> None:
    text = begin + piece * (LENGTH // len(piece))
    if text.count("\n") >= MOST_LINES:
        text = text[:MOST_LINES]
    for _ in within(SECONDS):
        read(text)
        read(text, "x.md")


@pytest.mark.parametrize(
    "begin", ["- {seed", "- (size: ", "- {a: ", "| prompt |\n| -", "| prompt |\n|", "# a", "- x #"]
)
def test_no_white_space_takes_long(begin: str) -> None:
    for _ in within(1.0):
        read(f"{begin}{' ' * LENGTH}x")


def test_no_prompt_takes_long_to_write() -> None:
    wish = ImageRequest(prompt="(" + "a: " * 10_000)
    for _ in within(1.0):
        write_markdown([Picture((), wish)])


def test_what_is_too_much_is_refused_before_it_is_read() -> None:
    with pytest.raises(Refused, match="200001 lines are too many; the most is 200000"):
        read("\n" * MOST_LINES)
    with pytest.raises(Refused, match=r"it has 17\.0 MB; the most is 16"):
        decode(b" " * (17 << 20))


def test_files_of_windows_are_read() -> None:
    text = "- ein rötliches Haus\r\n- b\r\n"
    for coding in ("utf-8", "utf-8-sig", "utf-16"):
        sheet = read(decode(text.encode(coding)), "x.md")
        assert [entry.fields["prompt"] for entry in sheet.entries] == ["ein rötliches Haus", "b"]
