"""The lines of a file without its comments, with a look at the next one. It knows no Markdown."""

from collections.abc import Iterator

Line = tuple[int, str]  # number and text


class Ahead:
    """The lines without their comments, and a look at the next one."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._kept: list[Line] = []
        self.comment: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[Line]:
        while found := self._kept.pop() if self._kept else next(self._lines, None):
            number, text = found
            if self.comment or "<!--" in text:
                text = self._bare(number, text)
            yield number, text

    def raw(self) -> Iterator[Line]:
        """As they stand, inside a fence."""
        while self._kept:
            yield self._kept.pop()
        yield from self._lines

    def peek(self) -> str:
        if not self._kept:
            found = next(self._lines, None)
            if found is None:
                return ""
            self._kept.append(found)
        return self._kept[0][1]

    def _bare(self, number: int, text: str) -> str:
        """Blanks in place of comments, so that columns stay as they were."""
        done, place = "", 0
        while True:
            if self.comment:
                end = text.find("-->", place)
                if end < 0:
                    return done
                done += " " * (end + 3 - place)
                place, self.comment = end + 3, None
            begin = text.find("<!--", place)
            if begin < 0:
                return done + text[place:]
            done += text[place:begin]
            place, self.comment = begin, (number, begin + 1)
