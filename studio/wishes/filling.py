"""What a card fills in where a wish leaves it open, and refuses where the wish asks too much.

`Catalog.settle` puts it together; here stands one function for each field.
"""

from collections.abc import Mapping, Sequence

from studio.canvas import Input
from studio.errors import Refused
from studio.models.card import ModelCard
from studio.models.upscalers import Upscaler, choose, say
from studio.request import ImageRequest
from studio.wishes.starts import shape

MAX_FINISHED = 8192  # pixels a side of an enlarged picture


def size_of(wish: ImageRequest, card: ModelCard, inputs: Mapping[str, Input]) -> tuple[int, int]:
    if wish.width is not None and wish.height is not None:
        objection = card.size_objection(wish.width, wish.height)
        if objection:
            field, sentence = objection
            raise Refused(f"{field}: {sentence} That is what {card.title} paints.", field=field)
        return wish.width, wish.height
    name = wish.aspect or shape(wish, card, inputs)
    size = card.sizes.get(name)
    if size is None:
        offered = ", ".join(card.sizes)
        raise Refused(
            f"aspect: {card.title} has no shape {name!r}. It has: {offered}.", field="aspect"
        )
    return size.width, size.height


def beyond_of(card: ModelCard, width: int, height: int) -> list[str]:
    """What to expect of a picture of more than twice the pixels that it was taught."""
    taught = card.taught_side**2
    if not taught or width * height <= 2 * taught:
        return []
    return [
        f"{card.title} was taught pictures of up to {card.taught_side}x{card.taught_side}; at "
        f"{width}x{height} things may come twice or fall apart, and each step takes more than "
        f"{width * height // taught} times as long. A smaller one enlarged is mostly better."
    ]


def steps_of(wish: ImageRequest, card: ModelCard) -> int:
    steps = wish.steps or card.quality.get(wish.quality or "balanced", card.steps)
    if steps > card.max_steps:
        raise Refused(
            f"steps: {steps} is too many for {card.title}; the most is {card.max_steps}.",
            field="steps",
        )
    least = 1 + sum(part.share > 0 for part in card.parts.values())
    if steps < least:
        raise Refused(
            f"steps: {steps} is too few for {card.title}; the least is {least}.", field="steps"
        )
    return steps


def sampler_of(
    wish: ImageRequest, card: ModelCard, steps: int, *, loras: bool
) -> tuple[str, list[str]]:
    """Its name, and what it wants that the wish does not give it."""
    sampler = card.sampler(wish.sampler) if wish.sampler else card.samplers[0]
    if steps > sampler.max_steps:
        raise Refused(
            f"steps: {steps} is too many for {sampler.name}; the most is {sampler.max_steps}.",
            field="steps",
        )
    if sampler.distilled and not loras:
        sentence = f"{sampler.name} paints well only with a LoRA distilled for it; none is worn."
        return sampler.name, [sentence]
    return sampler.name, []


def guidance_of(wish: ImageRequest, card: ModelCard) -> tuple[float, list[str]]:
    if wish.guidance is None:
        return card.guidance, []
    if "guidance" not in card.can and wish.guidance not in (card.guidance, 0.0, 1.0):
        sentence = f"{card.title} paints without guidance; {wish.guidance:g} has no effect."
        return card.guidance, [sentence]
    return wish.guidance, []


def unheard_for(card: ModelCard, guidance: float) -> str:
    """Why a negative prompt has no effect, or nothing if it has one."""
    if "negative" not in card.can:
        return f"{card.title} paints without one."
    return "" if guidance > 1 else f"{card.title} needs guidance above 1."


def upscale_of(wish: ImageRequest, card: ModelCard, side: int) -> int:
    times = wish.upscale or card.upscale
    if side * times > MAX_FINISHED:
        raise Refused(
            f"upscale: {side} pixels enlarged {times} times are {side * times}; "
            f"the most is {MAX_FINISHED}.",
            field="upscale",
        )
    return times


def upscaler_of(
    wish: ImageRequest, card: ModelCard, times: int, known: Sequence[Upscaler] | None
) -> tuple[str, list[str]]:
    """Which one enlarges, and what it does that was not asked of it."""
    if times == 1:
        unused = f"The upscaler {wish.upscaler!r} has no effect: nothing is enlarged."
        return "", [unused] if wish.upscaler else []
    if known is None:
        return wish.upscaler, []
    chosen = choose(wish.upscaler, card.upscaler, times, known)
    return chosen.card.name, say(chosen.card, times)
