"""Faults on the wire, by count: "the next three submits are accepted, then the connection drops"."""

import threading
from dataclasses import field
from datetime import timedelta
from enum import StrEnum

from pydantic.dataclasses import dataclass

from asrwatch.values import Duration

__all__ = ["Fault", "Faults", "Route", "Wire"]


class Route(StrEnum):
    """What a request is for."""

    CHAT = "chat"
    GENERATION = "generation"
    TRANSCRIPTION = "transcription"
    TASK = "task"
    TASKS = "tasks"
    CANCEL = "cancel"
    UPLOADS = "uploads"
    TOKENS = "tokens"
    OSS_UPLOAD = "oss-upload"
    RESULT = "result"
    CONTROL = "control"
    OTHER = "other"


class Wire(StrEnum):
    """What happens instead of, or to, the answer.

    `hang-up` closes the connection without an answer; `reset` does so as soon as the headers are there;
    `bad-gateway` is a proxy's HTML 502; `not-json` a 200 full of HTML; `redirect` a 307 to the same
    place; `endless` never ends; `huge` is `size` bytes long; `slow` is the real answer after `span`;
    `trickle` the real answer, a byte at a time, `span` apart; `truncated` half of the real one; `refuse`
    an error of the contract, `code`.
    """

    HANG_UP = "hang-up"
    RESET = "reset"
    BAD_GATEWAY = "bad-gateway"
    NOT_JSON = "not-json"
    REDIRECT = "redirect"
    ENDLESS = "endless"
    HUGE = "huge"
    SLOW = "slow"
    TRICKLE = "trickle"
    TRUNCATED = "truncated"
    REFUSE = "refuse"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault.

    Args:
        what: what happens.
        route: which requests it happens to; None for all of the cloud's and the object store's.
        times: how often; None until cleared.
        after_work: whether the request is worked on first (accepted, billed), its answer then spoilt.
            Always so for `slow`, `trickle` and `truncated`; never for `reset`.
        span: the time of `slow` and `trickle`.
        size: the bytes of `huge`.
        code: of `refuse`; the contract's status and text come with it.
        status: of `refuse`, if it is not the documented one.
        message: of `refuse`, if it is not the documented one.
    """

    what: Wire
    route: Route | None = None
    times: int | None = 1
    after_work: bool = False
    span: Duration = timedelta(seconds=1)
    size: int = 256 * 1024 * 1024
    code: str = "InternalError"
    status: int | None = None
    message: str | None = None

    @property
    def spoils_real_answer(self) -> bool:
        """Whether the request is worked on before the fault strikes."""
        if self.what is Wire.RESET:
            return False
        return self.after_work or self.what in {Wire.SLOW, Wire.TRICKLE, Wire.TRUNCATED}


@dataclass
class _Armed:
    fault: Fault
    left: int | None = field(default=None)


class Faults:
    """The faults that are armed. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []

    def add(self, fault: Fault) -> None:
        """Arm a fault; those armed first strike first."""
        with self._lock:
            self._armed.append(_Armed(fault=fault, left=fault.times))

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._armed.clear()

    @property
    def armed(self) -> tuple[Fault, ...]:
        """What would still strike."""
        with self._lock:
            return tuple(each.fault for each in self._armed)

    def take(self, route: Route) -> Fault | None:
        """The fault that strikes a request now, if any; counts it."""
        with self._lock:
            for each in self._armed:
                if each.fault.route is None or each.fault.route is route:
                    if each.left is not None:
                        each.left -= 1
                        if each.left <= 0:
                            self._armed.remove(each)
                    return each.fault
        return None
