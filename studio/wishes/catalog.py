"""Which models and looks there are, by name, and how a wish is made whole for its model.

`Catalog.settle` joins a wish with its card: it draws the seed, fills steps and guidance, refuses
what is impossible and names what has no effect. It knows neither weights nor devices.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from studio.canvas import Input
from studio.errors import Refused
from studio.formats.prompt import blends, inert_syntax
from studio.models import enlarge
from studio.models.card import Brought, ModelCard
from studio.models.loras import Lora, check, taken, triggers_of
from studio.models.precision import check_precision, settled_precision
from studio.models.upscalers import Upscaler, UpscalerCard
from studio.models.vocabulary import unknown_words
from studio.request import MAX_SEED, ImageRequest, read_request
from studio.wishes import enlarging
from studio.wishes.filling import (
    MAX_FINISHED,
    beyond_of,
    guidance_of,
    sampler_of,
    size_of,
    steps_of,
    unheard_for,
    upscale_of,
    upscaler_of,
)
from studio.wishes.looks import Dressed, Look, dress, unknown_sentences
from studio.wishes.starts import begin

# Fields whose engine is not built yet. They are refused in words, never swallowed.
NOT_YET = {
    "upload_urls": "sending pictures to upload URLs",
}
SPENT = {"aspect", "look", "nth"}  # by settling
MAX_WEIGHTED = 100
MOST_NAMED = 20  # models in a sentence


@dataclass(frozen=True, slots=True)
class Settled:
    """A wish made whole. `request` paints the same picture wherever and whenever it is painted."""

    wish: ImageRequest
    request: ImageRequest
    card: ModelCard
    warnings: tuple[str, ...]
    unheard: str = ""  # why a negative prompt is not
    unknown: tuple[str, ...] = ()  # words that the model was never taught


class Catalog:
    """The cards of the presets, and those of what was brought, which is looked for each time."""

    def __init__(
        self,
        cards: list[ModelCard],
        looks: list[Look],
        upscalers: Sequence[UpscalerCard] = (),
        brought: Callable[[], Sequence[Brought]] = tuple,
        own_looks: Callable[[], Mapping[str, Look]] = dict,
    ) -> None:
        self.presets, self.brought = tuple(cards), brought
        self._looks, self._own_looks = {look.name: look for look in looks}, own_looks
        self.upscalers = tuple(upscalers)
        self.default = next((card for card in cards if card.default), cards[0])
        self._by_name = {card.name: card for card in cards}
        self._seen: dict[str, ModelCard] = {}  # of what was brought
        self._by_alias = {alias: card for card in cards for alias in (card.name, *card.aliases)}
        self.enlarging = ModelCard.model_validate(enlarge.CARD)  # no page offers it as a model
        self._by_alias[self.enlarging.name] = self.enlarging

    @property
    def looks(self) -> dict[str, Look]:
        """Those that came along, and the user's own, which stand before them."""
        return {**self._looks, **self._own_looks()}

    @property
    def cards(self) -> dict[str, ModelCard]:
        self._seen = {one.name: one.card for one in self.brought() if one.card}
        return self._by_name | self._seen

    def card(self, name: str) -> ModelCard | None:
        """By the name in a settled request, as it was last seen: the line asks for each job."""
        if name == self.enlarging.name:
            return self.enlarging
        return self._by_name.get(name) or self._seen.get(name) or self.cards.get(name)

    def find(self, name: str) -> ModelCard:
        if not name:
            return self.default
        card = self._by_alias.get(name) or self._by_alias.get(name.lower())
        if card:
            return card
        brought = self.brought()
        for one in brought:
            aliases = one.card.aliases if one.card else ()
            if name in (one.path.name, one.path.stem, *aliases) or name.lower() == one.name:
                if one.card:
                    return one.card
                raise Refused(
                    f"model: {one.path.name} cannot be used: {one.refused}.", field="model"
                )
        names = [*self._by_alias, *(one.name for one in brought if one.card)]
        near = get_close_matches(name, names, n=1)
        known = tuple(dict.fromkeys((self.default.name, *self.cards)))
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {_some(known)}."
        raise Refused(f"model: there is no model {name[:60]!r}. {hint}", field="model")

    def dress(self, wish: ImageRequest) -> Dressed:
        """The wish with its looks put on."""
        return dress(wish, self.looks if wish.look else {}, lambda name: self.find(name).words)

    def guides(self, model: str) -> bool:
        """By a second pass for each step. Those without it take guidance as a number, if at all."""
        card = self.card(model)
        return card is not None and "negative" in card.can

    def settle(
        self,
        wish: ImageRequest,
        loras: Sequence[Lora] = (),
        inputs: Mapping[str, Input] | None = None,
        upscalers: Sequence[Upscaler] | None = None,
        worn: Sequence[Look] = (),
    ) -> Settled:
        """The wish made whole for its card. Settling what is settled changes nothing.

        `loras` and `upscalers` are those of this machine, `inputs` the pictures of the wish, by
        their hashes. Without `upscalers` nobody chooses one. `worn` are looks that it wears
        already. Choices in its words are made before; here they are text.
        """
        card, inputs = self.find(wish.model), inputs or {}
        _refuse_what_is_not_built(wish)
        if card is self.enlarging:
            whole, said = enlarging.settle(wish, card, inputs, upscalers, MAX_FINISHED)
            return Settled(wish, read_request(whole), card, tuple(said))
        asked, dressed = wish, self.dress(wish)
        wish, looks = dressed.wish, (*worn, *dressed.worn)
        card = self.find(wish.model)
        if wish.enlarged_from:
            raise Refused(
                f"enlarged_from: only the model {enlarge.NAME!r} enlarges alone. Leave it out.",
                field="enlarged_from",
            )
        check_precision(wish.precision, card.title, card.stored)
        width, height = size_of(wish, card, inputs)
        steps = steps_of(wish, card)
        start, warnings = begin(wish, card, inputs, (width, height), steps)
        warnings = [*dressed.said, *beyond_of(card, width, height), *warnings]
        guidance, unguided = guidance_of(wish, card)
        warnings += unguided
        negative = wish.negative_prompt
        prompt, uses, said = taken(wish.prompt, wish.loras)
        warnings += said
        unheard = unheard_for(card, guidance)
        if negative and unheard:
            warnings.append(f"The negative prompt has no effect: {unheard}")
        for field, text in (("prompt", prompt), ("negative_prompt", negative)):
            if "weighting" in card.can:
                _refuse_too_many_weights(field, text)
            warnings += inert_syntax(text, weighting="weighting" in card.can)
        if uses and "loras" not in card.can:
            field = "loras" if wish.loras else "prompt"
            raise Refused(f"{field}: {card.title} takes no LoRAs. Take them off.", field=field)
        sampler, said = sampler_of(wish, card, steps, loras=bool(uses))
        warnings += said
        warnings += check(uses, loras, card.title, card.lora_base, prompt)
        known = (card.known | triggers_of(uses, loras)) if card.words else ()
        unknown = unknown_words((prompt, "" if unheard else negative), known) if known else ()
        if unknown:
            warnings += unknown_sentences(card.title, unknown, looks)
        if wish.quality and wish.steps is None and wish.quality not in card.quality:
            warnings.append(f"{card.title} has one quality; {wish.quality!r} changes nothing.")
        times = upscale_of(wish, card, max(width, height))
        upscaler, said = upscaler_of(wish, card, times, upscalers)
        warnings += said
        whole = wish.model_dump(exclude=SPENT, exclude_defaults=True) | {
            "model": card.name,
            "width": width,
            "height": height,
            "prompt": prompt,
            "negative_prompt": negative,
            "loras": [use.model_dump() for use in uses],
            "expand": "no",
            "seed": secrets.randbelow(MAX_SEED + 1) if wish.seed is None else wish.seed,
            "steps": steps,
            "guidance": guidance,
            "precision": settled_precision(wish.precision, wish.quality, card.stored),
            "upscale": times,
            "upscaler": upscaler,
            "sampler": sampler,
            **start,
        }
        once = tuple(dict.fromkeys(warnings))
        return Settled(asked, read_request(whole), card, once, unheard, tuple(unknown))


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join([*names[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _refuse_too_many_weights(field: str, text: str) -> None:
    """Each costs passes of the text encoders, which no cancel interrupts."""
    parts = blends(text)
    weighted = sum(part.weight != 1 for blend in parts for chunk in blend.chunks for part in chunk)
    weighted += len(parts) - 1
    if weighted > MAX_WEIGHTED:
        raise Refused(
            f"{field}: {weighted} weighted parts are too many; the most is {MAX_WEIGHTED}.",
            field=field,
        )


def _refuse_what_is_not_built(wish: ImageRequest) -> None:
    for field, what in NOT_YET.items():
        if getattr(wish, field) != ImageRequest.model_fields[field].default:
            raise Refused(
                f"{field}: this version does not do {what} yet. Leave it out.", field=field
            )
