"""What a person wishes for: one frozen type with everything needed to paint the picture again.

Bounds, default and help stand here once; sliders, the REST schema and every check are derived from
them. It knows no model: what a model can do is on its card, and `catalog.settle` joins the two.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from studio.errors import Refused, field_sentence

Priority = Literal["urgent", "high", "normal", "low"]
Component = Literal["unet", "text_encoder"]
OutputFormat = Literal["png", "jpeg", "webp"]
Quality = Literal["draft", "balanced", "best"]
Upscale = Literal[1, 2, 4]
Expand = Literal["random", "all", "cycle", "no"]
Fit = Literal["cover", "contain"]
Precision = Literal["auto", "full", "fp32", "bf16", "fp16", "fp8", "int8", "nf4", "fp4"]

MAX_PROMPT = 32_768
MAX_SEED = 2**32 - 1  # JavaScript keeps integers to 2^53; the old systems stopped at 2^32 - 1
MAX_COUNT = 10  # OpenAI's bound
MAX_REFERENCES = 16


def _sound_text(text: str) -> str:
    if "\x00" in text:
        raise ValueError("the text holds a NUL character; remove it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half of a surrogate pair; remove it.") from None
    return text


Text = Annotated[str, AfterValidator(_sound_text)]
Word = Annotated[Text, Field(min_length=1, max_length=64)]
Weight = Annotated[float, Field(ge=-10, le=10)]
HASH = r"^[0-9a-f]{64}$"
PICTURE = r"^[0-9a-f]{32}$"  # its id in the history
ContentHash = Annotated[str, Field(pattern=HASH)]


class Part(BaseModel):
    """Frozen, strict, and closed to unknown fields: the manners of everything inside a request."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class LoraUse(Part):
    """`unet` is the network that paints, also where it is a transformer; `text_encoder` is all that
    read the prompt."""

    name: Word = Field(description="Name of the LoRA, as the studio lists it.")
    weight: Weight = Field(1.0, description="1 is as trained, 0 is off.")
    components: dict[Component, Weight] = Field(
        default_factory=dict,
        description="Weights of unet and text_encoder, where one shall have another.",
    )

    def weight_of(self, *, reading: bool) -> float:
        """In the text encoders, or in the network that paints."""
        return self.components.get("text_encoder" if reading else "unet", self.weight)

    @property
    def counts(self) -> bool:
        return any(self.weight_of(reading=reading) != 0 for reading in (True, False))


class InputPicture(Part):
    """A picture kept by the store, named by the SHA-256 of its content."""

    id: ContentHash = Field(description="SHA-256 of the picture, given when it was uploaded.")
    weight: float = Field(1.0, ge=0, le=2, description="How much this reference counts.")


class ImageRequest(Part):
    version: Literal[1] = Field(1, description="Version of this form.")
    prompt: Text = Field(
        max_length=MAX_PROMPT,
        description="What should it show? May be empty where a picture is given.",
    )
    negative_prompt: Text = Field(
        "", max_length=MAX_PROMPT, description="What should not be in it. Not every model can."
    )
    model: Text = Field("", max_length=128, description="Name or alias of a model; empty: default.")
    aspect: Text | None = Field(
        None, max_length=32, description="A shape by name, in the model's own size for it."
    )
    width: int | None = Field(None, ge=1, le=4096, description="Width in pixels, with height.")
    height: int | None = Field(None, ge=1, le=4096, description="Height in pixels, with width.")
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="Same seed, same picture. Empty: a new one is drawn."
    )
    steps: int | None = Field(None, ge=1, le=200, description="More steps: slower, often finer.")
    guidance: float | None = Field(
        None, ge=0, le=30, description="How closely the picture follows the words."
    )
    sampler: Text | None = Field(None, max_length=32, description="How noise is removed.")
    count: int = Field(
        1, ge=1, le=MAX_COUNT, description="How many pictures; seeds go up by one each."
    )
    loras: tuple[LoraUse, ...] = Field(
        (), max_length=8, strict=False, description="LoRAs with their weights."
    )
    look: Text | None = Field(
        None,
        max_length=512,
        description="A preset that dresses the prompt; several with commas, the later count more.",
    )
    expand: Expand = Field(
        "random",
        description="What becomes of choices such as {a|b} and __name__ in the prompts: random "
        "draws each picture's by its seed, all paints every text there is, cycle goes through "
        "them in turn, no paints them as they are written.",
    )
    nth: int | None = Field(
        None, ge=0, le=10**15, description="With all or cycle: only this one, counted from 0."
    )
    references: tuple[InputPicture, ...] = Field(
        (),
        max_length=MAX_REFERENCES,
        strict=False,
        description="Pictures to take content or style from, in their order.",
    )
    start_image: ContentHash | None = Field(None, description="Picture to begin from.")
    mask: ContentHash | None = Field(
        None, description="White where the start image may change, of its shape."
    )
    strength: float | None = Field(
        None, ge=0, le=1, description="How far from the start image: 0 keeps it, 1 forgets it."
    )
    fit: Fit | None = Field(
        None,
        description="Where the start image has another shape than the picture: cover cuts what "
        "is too much, contain keeps all of it and paints what is missing around it.",
    )
    upscale: Upscale | None = Field(
        None, description="Enlarge the finished picture; empty: as the model's card says."
    )
    upscaler: Text = Field(
        "",
        max_length=128,
        description="What enlarges it, by name; empty: what the model's card says, or the best.",
    )
    enlarged_from: Annotated[str, Field(pattern=PICTURE)] | None = Field(
        None, description="The picture of the history that the start image is, to enlarge it."
    )
    output_format: OutputFormat = Field("png", description="Kind of file.")
    quality: Quality | None = Field(
        None, description="Speed or finish, as the card measures it; steps override it."
    )
    precision: Precision = Field(
        "auto",
        description="Number format of the weights; full: as made, never stored in fewer bits.",
    )
    tags: tuple[Word, ...] = Field(
        (), max_length=32, strict=False, description="Your own words to find the picture by."
    )
    filename: Text | None = Field(
        None, min_length=1, max_length=120, description="A name for the download."
    )
    owner: Word = Field("local", description="Whose picture this is.")
    priority: Priority = Field("normal", description="Class in the line.")
    upload_urls: tuple[Annotated[Text, Field(max_length=4096)], ...] = Field(
        (), max_length=MAX_COUNT, strict=False, description="Where to send each picture."
    )

    @model_validator(mode="after")
    def _whole_size(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height go together; give both, or an aspect.")
        if self.width is not None and self.aspect is not None:
            raise ValueError("give either an aspect or width and height, not both.")
        if not (self.prompt.strip() or self.start_image or self.references):
            raise ValueError("the prompt is empty; say what the picture should show.")
        return self

    def pictures(self) -> Iterator[tuple[str, str]]:
        """Field and hash of each picture that it is painted from."""
        if self.start_image:
            yield "start_image", self.start_image
        if self.mask:
            yield "mask", self.mask
        for place, reference in enumerate(self.references):
            yield f"references.{place}.id", reference.id

    def steps_taken(self) -> int:
        return steps_taken(
            {name: getattr(self, name) for name in ("steps", "strength", "start_image")}
        )

    def seeds(self) -> list[int]:
        """The seed of each picture. Only a settled request has one."""
        if self.seed is None:
            raise ValueError("an unsettled request has no seeds")
        return [(self.seed + index) % (MAX_SEED + 1) for index in range(self.count)]


def read_request(fields: dict[str, object]) -> ImageRequest:
    """A request from loose fields, or a refusal that names the field, the value and the limit."""
    try:
        return ImageRequest.model_validate(fields)
    except ValidationError as error:
        path, sentence = field_sentence(error)
        raise Refused(sentence, field=path or None) from None


def steps_taken(request: Mapping[str, Any]) -> int:
    """Of a settled request in JSON. From a start image it is a shorter way."""
    steps = int(request["steps"])
    if request.get("start_image") is None:
        return steps
    return int(steps * float(request["strength"]) + 1e-6)  # 0.29 * 100 is a little less than 29


def canonical(request: ImageRequest) -> str:
    """One JSON text for one request, for hashes and for the recipe."""
    return json.dumps(request.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
