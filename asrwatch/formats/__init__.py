"""What a format is: one file per transcript format, found by its name, which is also the file's ending."""

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from asrwatch.journey.transcript import Provenance, Transcript

__all__ = ["Format", "FormatOptions"]


class FormatOptions(BaseModel):
    """Options of a format; a format's own `Options` add to them."""

    model_config = ConfigDict(frozen=True, extra="forbid")


OptionsT = TypeVar("OptionsT", bound=FormatOptions)


class Format(ABC, Generic[OptionsT]):
    """One transcript format.

    Class variables:
        Options: the format's options with their defaults.
        timestamps: it cannot be written without times, so the dispatcher needs an engine that gives them.
    """

    Options: ClassVar[type[FormatOptions]] = FormatOptions
    timestamps: ClassVar[bool] = False

    def __init__(self, options: OptionsT) -> None:
        self.options = options

    @property
    def name(self) -> str:
        """The name it is used by and the ending of its files: its file's name."""
        return type(self).__module__.rpartition(".")[2].replace("_", "-")

    @abstractmethod
    def render(self, transcript: Transcript, provenance: Provenance) -> str:
        """The whole text of the file, ending with a line break. Pure."""
