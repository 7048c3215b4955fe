"""A finished picture held up: what is looked up for it, on Create and in the Gallery alike."""

from collections.abc import Mapping
from typing import get_args

from studio.errors import DarkroomError
from studio.jobs.studio import Studio
from studio.jobs.view import View
from studio.models.upscalers import find_upscalers
from studio.request import Upscale
from studio.store.rows import Picture
from studio.web.drawing import still
from studio.web.frame import WAYS, Frame
from studio.wishes.filling import MAX_FINISHED


def held_up(
    studio: Studio, view: View, one: Picture, *, back: bool, words: Mapping[str, str] = WAYS
) -> Frame:
    """`words` name the ways to another like it."""
    title, larger = title_of(studio, view.job.model), _larger(studio, one)
    return still(view, one, title, back=back, enlarge=larger, words=words)


def title_of(studio: Studio, model: str) -> str:
    try:
        return studio.catalog.find(model).title
    except DarkroomError:  # it is no longer in the presets
        return model


def _larger(studio: Studio, picture: Picture) -> list[int]:
    """How many times it can be enlarged."""
    folder, cards = studio.settings.model_folder, studio.catalog.upscalers
    if not any(one.usable for one in find_upscalers(cards, folder)):
        return []
    side = max(picture.width, picture.height)
    return [times for times in get_args(Upscale) if 1 < times <= MAX_FINISHED // side]
