"""The recordings that come with the sandbox, with every word that is said in them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["LONG_SAMPLE", "SAMPLES", "SHORT_SAMPLE", "Sample"]

_FOLDER: Final = Path(__file__).with_name("samples")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One recording of synthesised speech: 16 kHz, mono, FLAC.

    Args:
        name: its file's name.
        sentences: what is said, the way the sandbox writes it down.
        seconds: its length, rounded.
    """

    name: str
    sentences: tuple[str, ...]
    seconds: float

    @property
    def path(self) -> Path:
        """The file."""
        return _FOLDER / self.name

    @property
    def text(self) -> str:
        """Everything that is said."""
        return " ".join(self.sentences)


SHORT_SAMPLE: Final = Sample(
    name="welcome.flac",
    sentences=("Good morning and welcome.", "Please put your recordings in this folder."),
    seconds=6.7,
)
LONG_SAMPLE: Final = Sample(
    name="meeting.flac",
    sentences=(
        "We had a long meeting about the new house.",
        "The kitchen is small but the garden is very large.",
        "My sister wants to paint the door green.",
        "The price is higher than we had hoped.",
        "We will talk to the bank next week.",
        "If they agree we can move in the summer.",
        "The children are happy because the school is near.",
        "Please write everything down and send it to my wife.",
        "That is all for today.",
    ),
    seconds=32.0,
)
SAMPLES: Final = (SHORT_SAMPLE, LONG_SAMPLE)
