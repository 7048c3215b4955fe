"""What a picture of the history is called when it leaves: as its asker wished, or by a template."""

import re

from studio.formats.filename import ENDINGS, render, safe_name, values_of
from studio.store.rows import Picture
from studio.store.store import Store

_ENDING = re.compile(r"\.(png|jpe?g|webp)$", re.I)


def stem_of(store: Store, picture: Picture, template: str = "", counter: int = 1) -> str:
    """Without an ending. Folders come from a template alone."""
    request = picture.recipe.get("request", {})
    if not template:
        wished = _ENDING.sub("", str(request.get("filename") or "")).strip(" .")
        stem = safe_name(wished or f"{picture.model}-{picture.seed}")
        return stem if picture.index == 0 else f"{stem}-{picture.index}"
    return render(
        template,
        values_of(
            request,
            picture.recipe.get("wish", {}),
            at=picture.created_at,
            job=picture.job,
            index=picture.index,
            counter=counter,
            group=store.group_of(picture.job) if "{group}" in template else "",
            model=picture.model,
            seed=picture.seed,
            width=picture.width,
            height=picture.height,
        ),
    )


def ending_of(picture: Picture) -> str:
    return ENDINGS[picture.format]
