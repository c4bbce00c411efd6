"""What the recordings of an inbox need on their way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asrwatch.audio.diet import Diet
from asrwatch.engines import Engine
from asrwatch.formats import Format
from asrwatch.inbox.presence import Presence
from asrwatch.journey import channels, delivery, source
from asrwatch.journey.dispatch import Question
from asrwatch.journey.evidence import proven
from asrwatch.journey.plan import AudioFacts, Wishes
from asrwatch.journey.preparing import Preparer
from asrwatch.journey.recording import Recording
from asrwatch.storages import Storage

__all__ = ["Clock", "Route"]

Clock = Callable[[], datetime]
"""Tells the date; aware, UTC."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """Everything an inbox's recordings need on their way, as objects.

    `engine` is None for automatic choice; `park_unknown` parks a sync answer lost in a crash instead of
    asking again; without a `preparer` recordings are sent as they are or not at all, and nobody knows
    which are silent; those are sent only with `send_silence`. `diet` says whether smaller copies are uploaded.
    `presence` tells a file that is gone from one whose share is away. `care` is None for files a person names
    himself; `rest_within` is how long a file that is not whole may wait for its rest; `cut` is the length of the
    pieces that recordings are to be cut into, None cuts only what is too long. What is longer than `longest` is
    refused. With `error_notes` a note lies where a transcript is missing; a folder that holds `skip_marker` is
    left alone.
    """

    inbox: str
    region: str
    wishes: Wishes
    engine: str | None
    engines: Mapping[str, Engine[Any]]
    storage: Storage[Any]
    formats: Mapping[str, Format[Any]]
    rules: delivery.Rules
    patience: timedelta
    park_unknown: bool
    preparer: Preparer | None = None
    send_silence: bool = True
    diet: Diet = Diet.OFF
    presence: Presence | None = None
    care: source.Care | None = None
    error_notes: bool = False
    skip_marker: str | None = None
    rest_within: timedelta = timedelta(hours=1)
    longest: timedelta | None = None
    cut: timedelta | None = None

    @property
    def choices(self) -> frozenset[str]:
        """The engines that its recordings may be given to."""
        if self.engine is not None:
            return frozenset({self.engine})
        return frozenset(
            name
            for name, engine in self.engines.items()
            if engine.automatic and (not engine.regions or self.region in engine.regions)
        )

    def question(
        self,
        facts: AudioFacts,
        size: int | None,
        *,
        engine: str | None = None,
        refused: tuple[str, ...] = (),
    ) -> Question:
        """What the dispatcher is asked about audio with these facts and bytes.

        Args:
            facts: as far as they are known.
            size: in bytes; None where nobody has measured them.
            engine: the one that is meant, instead of the inbox's own choice.
            refused: engines that refused this audio before.
        """
        return Question(
            facts=facts,
            size=size,
            wishes=self.wishes,
            region=self.region,
            engine=engine or self.engine,
            refused=refused,
            cut=self.cut,
        )

    @property
    def can_encode(self) -> bool:
        """Whether recordings can be decoded, re-encoded and cut."""
        return self.preparer is not None and self.preparer.can_encode

    def engine_of(self, recording: Recording) -> Engine[Any]:
        """The engine that a recording's plan chose."""
        return self.engines[proven(recording.reading).plan.engine]

    def needs_url(self, recording: Recording) -> bool:
        """Whether the engine of a recording's plan takes no bytes."""
        return not self.engine_of(recording).takes_bytes

    def wishes_for(self, recording: Recording) -> Wishes:
        """What is wanted of this recording: of its channels, those that its plan chose."""
        return channels.wished(self.wishes, proven(recording.reading).plan)
