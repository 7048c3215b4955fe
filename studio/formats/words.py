"""Text as the words one searches by: small letters, no accents. What is written without spaces is
cut into signs. Both databases keep these and nothing else, so both find the same. Pure.
"""

import re
import unicodedata

MAX_TOKEN = 200  # a word is never so long, and PostgreSQL keeps none above 2 KB
# Thai, Lao, Burmese, Khmer, kana, Han, Hangul: each sign a word, and a word of them a phrase.
_SIGNS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_ASCII = re.compile("[a-z0-9]+")
_ANY = re.compile(f"[{_SIGNS}]|[^\\W_{_SIGNS}]+")


def tokens(text: str) -> list[str]:
    if text.isascii():
        found = _ASCII.findall(text.lower())
    else:
        # Twice, for what is a capital only once it is taken apart.
        parts = unicodedata.normalize("NFKD", text.casefold()).casefold()
        # Accents above and below; not the marks that make another letter, as of kana.
        bare = "".join(sign for sign in parts if not 200 <= unicodedata.combining(sign) <= 240)
        found = _ANY.findall(unicodedata.normalize("NFKC", bare))
    return [word[:MAX_TOKEN] for word in found]
