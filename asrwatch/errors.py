"""Every way to fail, named by what the daemon does about it.

An exception's class says what happens next; its text says what a person should know: what happened,
to which file, and what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

__all__ = [
    "UNPAID",
    "AnswerLost",
    "AsrwatchError",
    "BillUnknown",
    "ConfigError",
    "DoesNotFit",
    "EngineError",
    "EngineTrouble",
    "NeedsPerson",
    "OurBug",
    "OutOfOrder",
    "Problem",
    "RecordingError",
    "SourceChanged",
    "StartupError",
    "TaskOutstanding",
    "TemporaryError",
    "TicketLost",
    "TooLargeToUpload",
    "UrlExpired",
    "UsageError",
    "Vanished",
]

UNPAID = "Nothing was sent or paid."
"""What many an advice begins with."""


class AsrwatchError(Exception):
    """The family of everything asrwatch raises on purpose.

    Args:
        message: what happened, and to what.
        code: short and stable, for logs, tables and tests; the cloud's own code where there is one.
        advice: what a person can do next; empty where nothing is to be done.
    """

    def __init__(self, message: str, *, code: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()


class OurBug(AsrwatchError):
    """Something that cannot happen happened: an illegal move, a broken invariant. Never caught."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="our-bug", advice="Please report this with the log.")


class StartupError(AsrwatchError):
    """The daemon or command cannot start here (locked, unusable state folder, no key): nothing was touched."""


class NeedsPerson(StartupError):
    """What lies in the state folder must be seen to by a person: starting again would not mend it (exit code 78)."""


class OutOfOrder(StartupError):
    """The state folder's disk is out of order, and what is on it not known any more (exit code 75).

    Nothing is written from here on: the process ends, and a new one reads again what is true.
    """


class UsageError(AsrwatchError):
    """What was asked of asrwatch cannot be done as it was put: nothing was touched or sent (exit code 2)."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with the configuration.

    `where` is the path of keys (`inboxes[0].settle`), `line` the line in the file, from 1, if known.
    """

    where: str
    what: str
    line: int | None = None

    def __str__(self) -> str:
        at = f" (line {self.line})" if self.line is not None else ""
        return f"{self.where or 'configuration'}{at}: {self.what}"


class ConfigError(AsrwatchError):
    """The configuration cannot be used; carries every problem at once (exit code 78)."""

    def __init__(self, problems: Sequence[Problem], *, source: str) -> None:
        self.problems = tuple(problems)
        self.source = source
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(
            f"{source} cannot be used:\n{lines}",
            code="bad-config",
            advice="",
        )


class RecordingError(AsrwatchError):
    """This recording fails and waits for a person; the others go on."""


class DoesNotFit(RecordingError):
    """The engine refused this recording for its length or size: another engine may take it, once."""


class TooLargeToUpload(RecordingError):
    """The storage takes no file of this size: a smaller copy may do.

    Args:
        largest: how many bytes it takes.
    """

    def __init__(self, message: str, *, largest: int, code: str, advice: str = "") -> None:
        super().__init__(message, code=code, advice=advice)
        self.largest = largest


class Vanished(RecordingError):
    """The file went away before anything was paid for it."""


class Skipped(RecordingError):
    """A person wants its folder left alone: unless it was asked about already, it is no recording any more."""


class Incomplete(RecordingError):
    """A part that the file itself promises is missing: it may still be on its way, for a while."""


class Superseded(RecordingError):
    """The file holds other content than what was paid for: that is a recording of its own."""


class SourceChanged(AsrwatchError):
    """The file is no longer the one that settled: it has to settle again before anything is sent."""


class TemporaryError(AsrwatchError):
    """Nothing was paid and trying the same step again later may work.

    Args:
        retry_after: how long the other side asked us to wait, if it did.
    """

    def __init__(
        self, message: str, *, code: str, advice: str = "", retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message, code=code, advice=advice)
        self.retry_after = retry_after


class BillUnknown(TemporaryError):
    """The cloud answered a paid request with an error of its own: not accepted, but nobody says it is not billed."""


class UrlExpired(TemporaryError):
    """The cloud could not fetch the audio from its URL: publish it afresh, then ask again."""


class EngineTrouble(StrEnum):
    """Why an engine has to wait, and so what ends the wait."""

    THROTTLED = "throttled"
    DOWN = "down"
    KEY = "key"
    MONEY = "money"
    FORBIDDEN = "forbidden"
    UNANSWERED = "unanswered"
    BUDGET = "budget"


class EngineError(AsrwatchError):
    """No recording would get through now: hold the engine, keep its recordings where they are.

    Args:
        trouble: why; `KEY` and `MONEY` hold every engine that uses the same key.
        retry_after: how long the cloud asked us to wait, if it did.
        key_digest: of the key that the refused request was sent with, where that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        trouble: EngineTrouble,
        advice: str = "",
        retry_after: timedelta | None = None,
        key_digest: str | None = None,
    ) -> None:
        super().__init__(message, code=code, advice=advice)
        self.trouble = trouble
        self.retry_after = retry_after
        self.key_digest = key_digest


class AnswerLost(AsrwatchError):
    """A paid request left, and no complete answer came back: whether it was accepted is unknown."""


class TicketLost(AsrwatchError):
    """The cloud no longer knows a task it accepted: what was paid for it is unknown."""


class TaskOutstanding(AsrwatchError):
    """A task was accepted, and its answer is not in hand: it can be collected later, for nothing.

    Args:
        task_id: the cloud's id for it.
        status: the cloud's last word for how far it is.
    """

    def __init__(
        self, message: str, *, code: str, task_id: str, status: str, advice: str = ""
    ) -> None:
        super().__init__(message, code=code, advice=advice)
        self.task_id = task_id
        self.status = status
