"""What the encoders of each family are sent, how many tokens that is, and where it is cut.

One rule for the painter and for those who ask before anything is painted. It needs a model's
tokenizers and never torch.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from studio.formats.prompt import Chunk, Fragment, blends, unescaped
from studio.models.card import ModelCard
from studio.request import ImageRequest

CLIP_TOKENS = 77
MARKS = 2  # of CLIP: its start and its end
SHOWN = 80  # letters of what is lost that a sentence shows
PLACE = "\ue000"  # where the words stand in a chat; nobody types it

# What Qwen-Image puts around a prompt, and how many tokens of it the painter is not given.
QWEN_BEFORE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, "
    "quantity, text, spatial relationships of the objects and background:<|im_end|>\n"
    "<|im_start|>user\n"
)
QWEN_AFTER = "<|im_end|>\n<|im_start|>assistant\n"
QWEN_UNSEEN = 34
# What Sana tells its Gemma to do with a prompt.
SANA_INSTRUCTION = (
    "Given a user prompt, generate an 'Enhanced prompt' that provides detailed visual descriptions "
    "suitable for image generation. Evaluate the level of detail in the user prompt:",
    "- If the prompt is simple, focus on adding specifics about colors, shapes, sizes, textures, "
    "and spatial relationships to create vivid and concrete scenes.",
    "- If the prompt is already detailed, refine and enhance the existing details slightly without "
    "overcomplicating.",
    "Here are examples of how to transform or refine prompts:",
    "- User Prompt: A cat sleeping -> Enhanced: A small, fluffy white cat curled up in a round "
    "shape, sleeping peacefully on a warm sunny windowsill, surrounded by pots of blooming red "
    "flowers.",
    "- User Prompt: A busy city street -> Enhanced: A bustling city street scene at dusk, "
    "featuring glowing street lamps, a diverse crowd of people in colorful clothing, and a "
    "double-decker bus passing by towering glass skyscrapers.",
    "Please generate only the enhanced description for the prompt below and avoid including any "
    "additional commentary or evaluations:",
    "User Prompt: ",
)

Tokenizers = Callable[[str], Any]  # by the name of their component; None where they are not here


class Framed(NamedTuple):
    """Words as they are sent, with what is put around them. So many tokens as `unseen` are read
    and not handed on to the painter."""

    words: str
    before: str = ""
    after: str = ""
    unseen: int = 0


def plain(text: str, tokenizer: Any) -> Framed:
    return Framed(text)


def small(text: str, tokenizer: Any) -> Framed:
    return Framed(text.lower().strip())


def chat(text: str, tokenizer: Any, *, thinking: bool) -> Framed:
    """A message of a chat. Its frame is in the model's files: without them it is not known."""
    if tokenizer is None:
        return Framed(text)

    def framed(words: str) -> str:
        message = [{"role": "user", "content": words}]
        told: str = tokenizer.apply_chat_template(
            message, tokenize=False, add_generation_prompt=True, enable_thinking=thinking
        )
        return told

    before, _, after = framed(PLACE).partition(PLACE)
    whole = framed(text)
    return Framed(whole[len(before) : len(whole) - len(after)], before, after)


def described(text: str, tokenizer: Any) -> Framed:
    return Framed(text, QWEN_BEFORE, QWEN_AFTER, QWEN_UNSEEN)


def instructed(text: str, tokenizer: Any) -> Framed:
    before = "\n".join(SANA_INSTRUCTION)
    # The painter is given the first token, and of the instruction the last.
    unseen = len(tokenizer.encode(before)) - 2 if tokenizer else 0
    return Framed(small(text, tokenizer).words, before, unseen=unseen)


@dataclass(frozen=True, slots=True)
class Encoder:
    """One that reads prompts. `gist`: only what all of it says together counts."""

    name: str
    tokenizer: str = "tokenizer"
    limit: int = 0  # tokens; 0: as the card says
    frame: Callable[[str, Any], Framed] = plain
    against: Callable[[str, Any], Framed] | None = None  # of a negative prompt, if another
    gist: bool = False
    chunked: bool = False  # long prompts are read to their end, chunk by chunk; words have weights


# The first of each family reads the most: what it does not read is lost.
ENCODERS = {
    "sdxl": (
        Encoder("CLIP-L", limit=CLIP_TOKENS, chunked=True),
        Encoder("CLIP-G", "tokenizer_2", CLIP_TOKENS, chunked=True),
        Encoder("CLIP-G", "tokenizer_2", CLIP_TOKENS, chunked=True, gist=True),
    ),
    "flux": (Encoder("T5", "tokenizer_2"), Encoder("CLIP", limit=CLIP_TOKENS, gist=True)),
    "flux2": (Encoder("Qwen3", frame=partial(chat, thinking=False)),),
    "chroma": (Encoder("T5"),),
    "qwen": (Encoder("Qwen2.5-VL", frame=described),),
    "zimage": (Encoder("Qwen3", frame=partial(chat, thinking=True)),),
    "pixart": (Encoder("T5", frame=small),),
    "sana": (Encoder("Gemma", frame=instructed, against=small),),
    "hunyuan": (Encoder("mT5", "tokenizer_2"), Encoder("CLIP", limit=CLIP_TOKENS)),
    "lumina": (Encoder("Gemma", frame=small),),
    "sd3": (
        Encoder("T5", "tokenizer_3"),
        Encoder("CLIP-L", limit=CLIP_TOKENS),
        Encoder("CLIP-G", "tokenizer_2", CLIP_TOKENS),
    ),
    "cascade": (Encoder("CLIP-G", limit=CLIP_TOKENS),),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one encoder makes of one text. `tokens` count the marks of its start and its end, and
    what is put around it; None where the tokenizer is not here. `limit` is that of each chunk."""

    encoder: str
    gist: bool
    sent: tuple[str, ...]
    tokens: int | None
    limit: int
    cut: int = 0  # tokens that are not read
    lost: str = ""  # the words among them
    lost_at: int = 0  # where in what is sent they begin


def readings(
    card: ModelCard, request: ImageRequest, tokenizers: Tokenizers
) -> dict[str, tuple[Reading, ...]]:
    """By the field of a settled request. What is not heard is not sent."""
    given = {"prompt": request.prompt}
    if request.negative_prompt and "negative" in card.can and (request.guidance or 0) > 1:
        given["negative_prompt"] = request.negative_prompt
    return {field: tuple(_read(card, field, text, tokenizers)) for field, text in given.items()}


def unread(card: ModelCard, read: dict[str, tuple[Reading, ...]]) -> list[str]:
    """A sentence for each text whose end is lost."""
    sentences = []
    for field, (most, *_) in read.items():
        if most.cut:
            lost = most.lost if len(most.lost) <= SHOWN else f"{most.lost[:SHOWN]}..."
            sentences.append(
                f"The {field.replace('_', ' ')} has {most.tokens} tokens; {card.title} reads the "
                f"first {most.limit}" + (f" and not {lost.strip()!r}." if lost.strip() else ".")
            )
    return sentences


def in_short(request: ImageRequest, read: dict[str, tuple[Reading, ...]]) -> dict[str, Any]:
    """For a recipe: what stands in the request is not said again."""
    return {
        field: [_in_short(one, getattr(request, field)) for one in found]
        for field, found in read.items()
    }


def windows(
    chunk: Chunk, count: Callable[[list[str]], list[int]], room: int
) -> Iterator[tuple[Chunk, int]]:
    """Words put together until a window is full, with how many tokens they are; at least one
    window, if an empty one. A single word that is longer has one of its own."""
    window: list[Fragment] = []
    used = 0
    for word, length in _words(chunk, count):
        if window and used + length > room:
            yield tuple(window), used
            window, used = [], 0
        if window and window[-1].weight == word.weight:
            window[-1] = Fragment(f"{window[-1].text} {word.text}", word.weight)
        else:
            window.append(word)
        used += length
    yield tuple(window) or (Fragment("", 1.0),), used


def counter(tokenizer: Any) -> Callable[[list[str]], list[int]]:
    """Tokens of each text without its start and its end. The library's own way is taken past
    transformers, which would spend six times as long on where each token stands."""
    inner = tokenizer.backend_tokenizer

    def count(texts: list[str]) -> list[int]:
        inner.no_truncation()  # which it remembers from whoever asked before
        inner.no_padding()
        return [len(each) for each in inner.encode_batch_fast(texts, add_special_tokens=False)]

    return count


def _words(chunk: Chunk, count: Callable[[list[str]], list[int]]) -> Iterator[tuple[Fragment, int]]:
    """Each word with its length in tokens. One without any is left out: compel stumbles."""
    words = [Fragment(word, part.weight) for part in chunk for word in part.text.split()]
    if words:
        once = list(dict.fromkeys(word.text for word in words))
        lengths = dict(zip(once, count(once), strict=True))
        yield from ((word, lengths[word.text]) for word in words if lengths[word.text])


def _read(card: ModelCard, field: str, text: str, tokenizers: Tokenizers) -> Iterator[Reading]:
    whole: Reading | None = None
    for encoder in ENCODERS.get(card.family, ()):
        tokenizer = tokenizers(encoder.tokenizer)
        if encoder.chunked and encoder.gist:
            for blend in blends(text):  # as the encoder of weights joins them
                first = " ".join(part.text for part in blend.chunks[0])
                yield _cut(encoder, plain(first, tokenizer), encoder.limit, tokenizer)
        elif encoder.chunked:  # the painter cuts for all of them as the first one counts
            whole = whole or _chunked(encoder, text, tokenizer)
            yield replace(whole, encoder=encoder.name)
        else:
            frame = encoder.against if field == "negative_prompt" else None
            framed = (frame or encoder.frame)(unescaped(text), tokenizer)
            yield _cut(encoder, framed, encoder.limit or card.tokens, tokenizer)


def _cut(encoder: Encoder, framed: Framed, limit: int, tokenizer: Any) -> Reading:
    """As tokenizers cut what is too long: from the end, but for the marks that they add."""
    whole = framed.before + framed.words + framed.after
    if tokenizer is None:
        return Reading(encoder.name, encoder.gist, (whole,), None, limit)
    found = tokenizer(
        whole, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False
    )
    tokens = len(found.input_ids) - framed.unseen
    if tokens <= limit:
        return Reading(encoder.name, encoder.gist, (whole,), tokens, limit)
    cut = tokens - limit
    begins = max(_unmarked(found)[-cut][0], len(framed.before))
    lost = whole[begins : len(whole) - len(framed.after)]
    return Reading(encoder.name, encoder.gist, (whole,), tokens, limit, cut, lost, begins)


def _chunked(encoder: Encoder, text: str, tokenizer: Any) -> Reading:
    chunks = [chunk for blend in blends(text) for chunk in blend.chunks]
    if tokenizer is None:
        sent = [" ".join(part.text for part in chunk) for chunk in chunks]
        return Reading(encoder.name, encoder.gist, tuple(sent), None, encoder.limit)
    room, count = encoder.limit - MARKS, counter(tokenizer)
    sent, tokens = [], 0
    for chunk in chunks:
        for window, used in windows(chunk, count, room):
            words = " ".join(part.text for part in window)
            sent += _pieces(words, room, tokenizer) if used > room else [words]
            tokens += used
    tokens += MARKS * len(sent)
    return Reading(encoder.name, encoder.gist, tuple(sent), tokens, encoder.limit)


def _pieces(word: str, room: int, tokenizer: Any) -> list[str]:
    """A word that no window holds, in the pieces that it is read in."""
    places = _unmarked(
        tokenizer(word, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
    )
    parts = [places[begin : begin + room] for begin in range(0, len(places), room)]
    return [word[part[0][0] : part[-1][1]] for part in parts]


def _unmarked(found: Any) -> list[tuple[int, int]]:
    """Where each token stands in the text, but for the marks that the tokenizer adds."""
    both: Iterable[tuple[tuple[int, int], int]] = zip(
        found.offset_mapping, found.special_tokens_mask, strict=True
    )
    return [place for place, added in both if not added]


def _in_short(one: Reading, text: str) -> dict[str, Any]:
    told: dict[str, Any] = {"encoder": one.encoder, "tokens": one.tokens, "limit": one.limit}
    told |= {"gist": True} if one.gist else {}
    told |= {"chunks": len(one.sent)} if len(one.sent) > 1 else {}
    told |= {"sent": list(one.sent)} if " ".join(one.sent) != text else {}
    return told | ({"cut": one.cut, "lost": one.lost} if one.cut else {})
