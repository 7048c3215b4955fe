"""Which words of a prompt a model was never taught. A card lists what its model knows; few do.

Pure and linear in the length of the text. A word counts as known only as it is listed: "boats" is
another word than "boat". What is written in other letters than a to z is a word too.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from studio.formats.prompt import parse

NAMED = 5  # words that a sentence names; the rest are counted
LONGEST = 30  # letters of a word that it shows

# Letters and figures of every script, accents set apart from their letter, and pictographs.
_WORD = re.compile(r"(?:[^\W_]|[\u0300-\u036f\U0001f000-\U0001faff])++")


def words_of(text: str) -> list[str]:
    """The words in their order, without the syntax of weights."""
    plain = " ".join(part.text for chunk in parse(text) for part in chunk)
    return _WORD.findall(plain.lower())


def unknown_words(texts: Iterable[str], known: Collection[str]) -> list[str]:
    """Each once, in the order of the texts."""
    told = dict.fromkeys(word for text in texts for word in words_of(text))
    return [word for word in told if word not in known]


def unknown_sentence(title: str, words: Sequence[str]) -> str:
    names = [repr(word if len(word) <= LONGEST else f"{word[:LONGEST]}...") for word in words]
    named, more = names[:NAMED], len(names) - NAMED
    named += [f"{more} more"] if more > 0 else []
    *first, last = named
    listed = f"{', '.join(first)} and {last}" if first else last
    return f"{title} does not know {listed}; it paints the rest."
