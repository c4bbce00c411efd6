"""What the pages may look at, and whom they may ask."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from asrwatch.config import Settings
from asrwatch.daemon import Daemon
from asrwatch.desk.questions import AskHealth, Question
from asrwatch.desk.reports import Report
from asrwatch.desk.reports.status import Health
from asrwatch.engines import Engine
from asrwatch.errors import OurBug
from asrwatch.journey.route import Route
from asrwatch.journey.store import Readers
from asrwatch.metrics.vitals import Vitals
from asrwatch.web.notices import Notices
from asrwatch.web.remembering import Remembering

__all__ = ["Sight"]

ReportT = TypeVar("ReportT")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """The daemon's surroundings, for any thread.

    `readers` read the database, `ask` has the daemon's own thread answer a question; `remembering` keeps what
    is too dear to be worked out for every visitor, `vitals` say how the daemon is without asking it, `notices` what is
    told once after a form.
    """

    settings: Settings
    readers: Readers
    ask: Callable[[Question], Report]
    routes: Mapping[str, Route]
    engines: Mapping[str, Engine[Any]]
    clock: Callable[[], datetime]
    vitals: Vitals
    remembering: Remembering = field(default_factory=Remembering)
    notices: Notices = field(default_factory=Notices)

    @classmethod
    def of(cls, settings: Settings, daemon: Daemon, ask: Callable[[Question], Report]) -> "Sight":
        """Of a daemon that runs."""
        readers = Readers(daemon.house.store.state_dir)
        return cls(
            settings=settings,
            readers=readers,
            ask=ask,
            routes=daemon.house.routes,
            engines=daemon.house.engines,
            clock=daemon.clock.now,
            vitals=Vitals(
                late=lambda: daemon.supervision.late,
                inboxes=tuple(daemon.house.lookouts),
                snapshots=lambda: [each.snapshot() for each in list(daemon.lookouts.values())],
                readers=readers,
                keys=daemon.house.keys,
                ending=lambda: daemon.stopping,
                trouble=lambda: daemon.trouble,
                unwatched=lambda: daemon.supervision.has_died,
                standstills=lambda: daemon.standstills,
                engines={name: route.choices for name, route in daemon.house.routes.items()},
            ),
        )

    def asked(self, question: Question, kind: type[ReportT]) -> ReportT:
        """What the daemon's thread answers.

        Raises:
            AsrwatchError: what came instead of an answer.
        """
        report = self.ask(question)
        if not isinstance(report, kind):
            raise OurBug(f"{question} was answered with a {type(report).__name__}")
        return report

    def health(self) -> Health:
        """How the daemon is doing, at most a second ago."""
        return self.remembering.recall("health", 1.0, lambda: self.asked(AskHealth(), Health))
