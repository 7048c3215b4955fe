"""Every setting, once: name, default, help. The only file that reads the environment.

A setting is `DARKROOM_<NAME>`; a few also answer to the names people know from older systems. The
command line wins over the environment. Paths reach the rooms through this object, never otherwise.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from studio.errors import CannotStart, field_sentence

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = ("127.0.0.1", "localhost", "::1")
Words = Annotated[tuple[str, ...], NoDecode]
Attention = Literal[
    "auto", "native", "math", "flash", "efficient", "cudnn",
    "flash-attn", "flash-attn-3", "sage", "xformers",
]  # fmt: skip


def _also(name: str, *known: str) -> AliasChoices:
    return AliasChoices(f"DARKROOM_{name}", *known)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="DARKROOM_", frozen=True, extra="forbid", populate_by_name=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(
        7860,
        ge=0,
        le=65535,
        validation_alias=_also("PORT", "PORT"),
        description="Port to listen on.",
    )
    gpus: str = Field(
        "all",
        pattern=r"^(all|none|\d+(,\d+)*)$",
        validation_alias=_also("GPUS", "CUDA_VISIBLE_DEVICES"),
        description="Which GPUs to paint on: all, none, or numbers such as 0,2.",
    )
    cluster: str = Field(
        "",
        pattern=r"^(auto|(ray://)?[\w.-]+:\d+)?$",
        description="A Ray cluster to paint on: auto or the head's HOST:PORT for one this machine "
        "is in, ray://HOST:PORT from outside.",
    )
    lease_seconds: float = Field(
        120, gt=0, description="A cluster's GPU is given back after so long without work."
    )
    slots: int = Field(
        1, ge=1, le=64, description="Workers on a machine without GPUs; threads are split."
    )
    data: Path = Field(ROOT / "outputs", description="Folder of the pictures and the database.")
    presets: Path = Field(ROOT / "presets", description="Folder of model cards, looks and sizes.")
    models: Path | None = Field(
        None,
        description="Folder of models, loras and upscalers; default: models in the data folder.",
    )
    wildcards: Path | None = Field(
        None, description="Folder of your own wildcards; default: wildcards in the data folder."
    )
    database: str = Field(
        "", description="SQLAlchemy URL; empty: SQLite in the data folder. PostgreSQL works too."
    )
    share: bool = Field(False, description="Open a public share link through gradio.live.")
    insecure: bool = Field(
        False, description="Allow listening beyond this machine although there are no accounts yet."
    )
    hosts: Words = Field((), description="Further host names the studio answers to, with commas.")
    origins: Words = Field((), description="Other sites whose pages may call the API, with commas.")
    hf_token: str = Field(
        "",
        validation_alias=_also("HF_TOKEN", "HF_TOKEN", "HUGGING_FACE_TOKEN"),
        description="Hugging Face token, for `app.py models pull` and `add`.",
        repr=False,
    )
    precision: Literal["auto", "full", "fp32", "bf16", "fp16", "fp8", "int8", "nf4"] = Field(
        "auto",
        validation_alias=_also("PRECISION", "QUANTIZATION"),
        description="Number format when a request says auto; none means auto.",
    )
    compile: bool = Field(
        False,
        description="Compile the blocks of a model with its first picture: faster from then on.",
    )
    attention: Attention = Field(
        "auto",
        description="What computes attention: auto or native (torch's choice), its math, flash, "
        "efficient or cudnn, or flash-attn, flash-attn-3, sage or xformers.",
    )
    safety: Literal["auto", "off", "blur", "refuse"] = Field(
        "auto",
        description="What is done with unsafe pictures: off, blur or refuse; auto: blur when "
        "there is a share link, else off.",
    )
    safety_checker: str = Field(
        "falconsai", description="What says which are unsafe: a file in presets/checkers."
    )
    default_model: str = Field(
        "", description="The model that paints when none is named; empty: as its card says."
    )
    preload: Words = Field(
        (),
        validation_alias=_also("PRELOAD", "PRELOAD_MODELS"),
        description="Models to load before the first wish, with commas.",
    )
    reserve: str = Field(
        "",
        pattern=r"^([\w.-]+=\d+(,\d+)*(;|$))*$",
        description="GPUs kept for models, as in sdxl=0,1;realvis-fast=2; these paint only there.",
    )
    max_waiting: int = Field(10_000, ge=1, description="Jobs that may wait; more are refused.")
    max_waiting_each: int | None = Field(
        None, ge=1, description="Jobs of one owner that may wait; more are refused."
    )
    max_running: int | None = Field(
        None, ge=1, description="Jobs of one owner that may be painted at once; more wait."
    )
    file_name: str = Field(
        "{date}/{time}-{model}-{seed}-{job}",
        description="File names, from date, time, model, seed and others: docs/files.md.",
    )
    metadata: Literal["all", "parameters", "none"] = Field(
        "all",
        description="What a picture says of itself when it is given out: all, parameters (the text "
        "that other tools read), or none. The file in the data folder keeps all.",
    )
    previews: bool = Field(True, description="Show the picture while it develops.")
    keep_days: float = Field(
        0, ge=0, description="Pictures nobody marked go to the trash after so many days; 0: never."
    )
    keep_gb: float = Field(
        0, ge=0, description="Beyond so much, the oldest that nobody marked go there; 0: no limit."
    )
    keep_jobs_days: float = Field(
        0, ge=0, description="Ended jobs without pictures are forgotten then; 0: never."
    )
    trash_days: int = Field(
        30, ge=0, description="Pictures in the trash end for good after so many days; 0: never."
    )
    input_days: float = Field(
        30,
        ge=0,
        description="Pictures that were handed in and that nothing names go after so many days; "
        "0: never.",
    )
    input_gb: float = Field(
        20, gt=0, description="Pictures that were handed in may take so much; more are refused."
    )
    load_seconds: float = Field(900, gt=0, description="A worker may take this long to load.")
    step_seconds: float = Field(300, gt=0, description="A worker may take this long for one step.")
    drain_seconds: float = Field(20, ge=0, description="Running jobs get this long at shutdown.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias=_also("LOG_LEVEL", "LOG_LEVEL"), description="How much is logged."
    )

    @field_validator("hosts", "origins", "preload", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value

    @field_validator("precision", "log_level", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        plain = value.lower() if isinstance(value, str) else value
        return "auto" if plain in ("none", "") else plain

    @field_validator("gpus", mode="before")
    @classmethod
    def _no_gpus(cls, value: Any) -> Any:
        return "none" if value in ("", "-1") else value  # CUDA's own words for "hide them all"

    @model_validator(mode="after")
    def _closed_door(self) -> Self:
        if (self.share or self.host not in LOOPBACK) and not self.insecure:
            raise ValueError(
                "there are no accounts yet, so anyone who reaches this address could paint and "
                "look. Listen on 127.0.0.1, or add --insecure if the network is yours."
            )
        return self

    @property
    def safety_mode(self) -> Literal["off", "blur", "refuse"]:
        if self.safety == "auto":
            return "blur" if self.share else "off"
        return self.safety

    @property
    def reserved(self) -> dict[str, frozenset[str]]:
        """Slots by the model they are kept for."""
        pairs = (pair.split("=") for pair in self.reserve.split(";") if pair)
        return {model: frozenset(f"gpu{gpu}" for gpu in gpus.split(",")) for model, gpus in pairs}

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{(self.data / 'darkroom.db').as_posix()}"

    @property
    def wildcard_folder(self) -> Path:
        return self.wildcards or self.data / "wildcards"

    @property
    def look_folder(self) -> Path:
        return self.data / "looks"

    @property
    def model_folder(self) -> Path:
        return self.models or self.data / "models"


def load_settings(**given: object) -> Settings:
    """Settings from the environment, with what the command line gave on top."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        name, sentence = field_sentence(error)
        if error.errors()[0]["type"] == "string_pattern_mismatch":  # its help says it in words
            help_ = Settings.model_fields[name.lower().removeprefix("darkroom_")].description
            sentence = f"{sentence.partition(' does not look like ')[0]} will not do. {help_}"
        raise CannotStart(f"Setting {sentence}") from None
