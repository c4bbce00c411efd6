"""The bill: every piece of work that was accepted, by whom, for how long: the judge of paying twice."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

__all__ = ["Bill", "Outcome", "Work"]


class Outcome(StrEnum):
    """What became of a piece of work."""

    ACCEPTED = "accepted"
    BILLED = "billed"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, kw_only=True)
class Work:
    """One line of the bill.

    A synchronous piece of work is written when its recognition is done, before the answer leaves; a task
    when it is submitted. `ACCEPTED` and `BILLED` are paid for, `FAILED` and `CANCELED` are attempts.

    Args:
        number: from 1, in the order of acceptance.
        model: as asked for.
        account: whose money.
        key: which key.
        at: when it was accepted.
        request_id: of the accepting request.
        source: where the audio came from: a URL as sent, or `data:` for a data URI.
        sha256: of the audio; empty until it was fetched.
        task_id: of a task, else empty.
        seconds: billed seconds (each channel counts); 0 until known and for what failed.
        outcome: what became of it.
        code: why it failed.
    """

    number: int
    model: str
    account: str
    key: str
    at: datetime
    request_id: str
    source: str
    sha256: str = ""
    task_id: str = ""
    seconds: int = 0
    outcome: Outcome = Outcome.ACCEPTED
    code: str = ""

    @property
    def paid(self) -> bool:
        """Whether this line costs money."""
        return self.outcome in {Outcome.ACCEPTED, Outcome.BILLED}


class Bill:
    """All lines, in the order of acceptance. Safe to read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[Work] = []

    def __iter__(self) -> Iterator[Work]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def lines(self) -> tuple[Work, ...]:
        """Everything, attempts included."""
        with self._lock:
            return tuple(self._lines)

    @property
    def paid(self) -> tuple[Work, ...]:
        """What costs money: accepted and not failed."""
        return tuple(line for line in self.lines if line.paid)

    @property
    def attempts(self) -> tuple[Work, ...]:
        """What failed or was cancelled after it was accepted: costs nothing."""
        return tuple(line for line in self.lines if not line.paid)

    @property
    def seconds(self) -> int:
        """Billed seconds in all."""
        return sum(line.seconds for line in self.paid)

    def times_paid(self, sha256: str) -> int:
        """How many times the same audio was paid for."""
        return sum(line.sha256 == sha256 for line in self.paid)

    @property
    def paid_twice(self) -> tuple[str, ...]:
        """The sha256 of all audio that was paid for more than once."""
        seen = [line.sha256 for line in self.paid if line.sha256]
        return tuple(sorted({sha256 for sha256 in seen if seen.count(sha256) > 1}))

    def write(
        self,
        *,
        model: str,
        account: str,
        key: str,
        at: datetime,
        request_id: str,
        source: str,
        sha256: str = "",
        task_id: str = "",
        seconds: int = 0,
        outcome: Outcome = Outcome.ACCEPTED,
        code: str = "",
    ) -> Work:
        """Add a line."""
        with self._lock:
            line = Work(
                number=len(self._lines) + 1,
                model=model,
                account=account,
                key=key,
                at=at,
                request_id=request_id,
                source=source,
                sha256=sha256,
                task_id=task_id,
                seconds=seconds,
                outcome=outcome,
                code=code,
            )
            self._lines.append(line)
            return line

    def settle(
        self,
        line: Work,
        outcome: Outcome,
        *,
        seconds: int = 0,
        sha256: str = "",
        code: str = "",
    ) -> None:
        """Say what became of a line."""
        with self._lock:
            known = self._lines[line.number - 1]
            self._lines[line.number - 1] = replace(
                known,
                outcome=outcome,
                seconds=seconds,
                sha256=sha256 or known.sha256,
                code=code,
            )
