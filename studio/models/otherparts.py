"""A component of a model that lies elsewhere than in the model's own folder."""

from typing import Self

from pydantic import Field, model_validator

from studio.request import Part


class OtherPart(Part):
    """Such as a distilled UNet in another repository, or what a checkpoint holds, which is a file
    of the model folder. One that the model's folder knows nothing of has a configuration too."""

    repo: str = Field(description="Hub repository or a local folder; empty: the model folder.")
    file: str
    config: str = Field("", description="What says its shape; in the folder that the file is in.")
    share: float = Field(0, ge=0, lt=1, description="How much of the steps is this part's.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.config) != bool(self.share):
            raise ValueError("config and share go together: a second network has both.")
        if self.config.rpartition("/")[0] != self.file.rpartition("/")[0] and self.config:
            raise ValueError("config: it lies in the folder that the file is in.")
        return self
