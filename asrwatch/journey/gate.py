"""When an engine may be asked: its pace, and the holds that refusals put on it.

Pace turns requests per minute into dates (contract section 8: limits are enforced per second too, so starts
are evenly spaced); after throttling it grows back slowly. A hold ends on a date with a single request as its
probe, when a request succeeds, or, if the key was at fault, when the key changes. Holds are in the store, so a
restart does not forget them. An engine that loses one answer after the other is held, too: each may be paid.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from asrwatch.clock import Step
from asrwatch.errors import EngineError, EngineTrouble
from asrwatch.journey.store import EVERY_ENGINE, Hold
from asrwatch.journey.timeshift import moved_hold
from asrwatch.values import counted

__all__ = ["Gate"]

_FIRST = {
    EngineTrouble.THROTTLED: timedelta(seconds=2),
    EngineTrouble.DOWN: timedelta(seconds=10),
    EngineTrouble.KEY: timedelta(seconds=15),
    EngineTrouble.MONEY: timedelta(minutes=1),
    EngineTrouble.FORBIDDEN: timedelta(minutes=1),
    EngineTrouble.UNANSWERED: timedelta(seconds=30),
    EngineTrouble.BUDGET: timedelta(hours=1),
}
_LONGEST = {
    EngineTrouble.THROTTLED: timedelta(minutes=2),
    EngineTrouble.DOWN: timedelta(minutes=5),
    EngineTrouble.KEY: timedelta(minutes=10),
    EngineTrouble.MONEY: timedelta(hours=1),
    EngineTrouble.FORBIDDEN: timedelta(hours=1),
    EngineTrouble.UNANSWERED: timedelta(hours=1),
    EngineTrouble.BUDGET: timedelta(days=1),
}
_TOGETHER = timedelta(milliseconds=20)
"""Requests whose dates lie this close start together: one turn of the daemon hands them all out."""
_SHARED = frozenset({EngineTrouble.KEY, EngineTrouble.MONEY})
"""Trouble of the key or the account, which every engine shares."""
_OF_THE_KEY = _SHARED | {EngineTrouble.FORBIDDEN}
"""Trouble that another key may not have."""
_SLOWED = 8.0
"""After throttling, requests start this many times further apart than the pace allows."""
_HALVED_EVERY = timedelta(seconds=10)
"""How long it takes until the distance is half of that, and half of that again, down to the pace."""


class Gate:
    """Knows for every engine whether a request may start now. All times are aware, UTC.

    Args:
        requests_per_minute: by engine.
        holds: as they were when the last daemon ended.
        chance: for jitter, from 0 up to 1.
        lost_in_a_row: by engine, after how many lost answers in a row it is held; left out, it never is.
        lost: by engine, how many there were when the last daemon ended.
    """

    def __init__(
        self,
        requests_per_minute: Mapping[str, int],
        holds: Iterable[Hold],
        *,
        chance: Callable[[], float],
        lost_in_a_row: Mapping[str, int] | None = None,
        lost: Mapping[str, int] | None = None,
    ) -> None:
        self._lost_in_a_row = dict(lost_in_a_row or {})
        self._lost: Counter[str] = Counter(lost)
        self._slowed_at: dict[str, datetime] = {}
        self._spacing = {
            engine: timedelta(minutes=1) / number for engine, number in requests_per_minute.items()
        }
        self._next: dict[str, datetime] = {}
        self._holds = {hold.scope: hold for hold in holds}
        self._probing: set[str] = set()
        self._chance = chance
        self._kept: dict[str, Any] = {}
        self.keep()

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Every hold there is."""
        return tuple(self._holds.values())

    @property
    def engines(self) -> frozenset[str]:
        """Every engine it knows."""
        return frozenset(self._spacing)

    def waiting(self, now: datetime) -> frozenset[str]:
        """The engines that may not be asked at this moment."""
        return frozenset(engine for engine in self._spacing if not self.is_open(engine, now))

    def is_open(self, engine: str, now: datetime) -> bool:
        """Whether a request to this engine may start now."""
        if self._next.get(engine, now) > now + _TOGETHER:
            return False
        return all(
            hold.until <= now and hold.scope not in self._probing for hold in self._over(engine)
        )

    def opens(self, now: datetime) -> datetime | None:
        """The next date after `now` on which an engine may be asked that may not now."""
        dates = [date - _TOGETHER for date in self._next.values() if date > now + _TOGETHER]
        dates += [hold.until for hold in self._holds.values() if hold.until > now]
        return min(dates, default=None)

    def take(self, engine: str, now: datetime) -> None:
        """A request starts: the next one has to keep its distance, and a held engine is being probed."""
        spacing = self._spacing[engine] * self._slowness(engine, now)
        self._next[engine] = max(self._next.get(engine, now), now) + spacing
        self._probing.update(hold.scope for hold in self._over(engine))

    def refuse(
        self,
        engine: str,
        error: EngineError,
        *,
        now: datetime,
        asked_at: datetime | None,
        key_digest: str | None,
    ) -> Hold | None:
        """An engine refused: hold it, longer each time. None: the request was older than the hold there is."""
        self._lost.pop(engine, None)
        return self._hold(engine, error, now=now, asked_at=asked_at, key_digest=key_digest)

    def lose(
        self,
        engine: str,
        why: str,
        *,
        now: datetime,
        asked_at: datetime | None,
    ) -> Hold | None:
        """An answer was lost, or its bill is unknown: one too many in a row holds the engine, a probe longer."""
        self._lost[engine] += 1
        probed = [
            hold
            for hold in self._over(engine)
            if hold.scope in self._probing and (asked_at is None or asked_at >= hold.since)
        ]
        for hold in probed:  # of at most two, the wider one comes last
            self._probing.discard(hold.scope)
            waited = self._wait(hold.trouble, hold.count + 1)
            self._holds[hold.scope] = replace(hold, until=now + waited, count=hold.count + 1)
        if probed:
            return self._holds[probed[-1].scope]
        most = self._lost_in_a_row.get(engine)
        if most is None or self._lost[engine] < most:
            return None
        held = EngineError(
            f"{counted(self._lost[engine], 'answer')} of {engine} in a row were lost, or errors of the cloud's own, "
            f"each of them perhaps paid for. The last: {why}",
            code="answers-lost",
            trouble=EngineTrouble.UNANSWERED,
            advice="Check the network, cloud.proxy and whether something cuts long connections off. asrwatch "
            "tries a single request, the shortest, from time to time.",
        )
        return self._hold(engine, held, now=now, asked_at=None, key_digest=None)

    def _hold(
        self,
        engine: str,
        error: EngineError,
        *,
        now: datetime,
        asked_at: datetime | None,
        key_digest: str | None,
    ) -> Hold | None:
        scope = EVERY_ENGINE if error.trouble in _SHARED else engine
        before = self._holds.get(scope)
        was_probe = scope in self._probing
        # whatever it was refused for: of the other hold over this engine, too, it was the probe
        self._probing.difference_update(
            hold.scope for hold in self._over(engine) if asked_at is None or asked_at >= hold.since
        )
        if before is not None and asked_at is not None and asked_at < before.since:
            return None
        if before is not None and before.until > now and not was_probe:
            return None
        count = before.count + 1 if before else 1
        hold = Hold(
            scope=scope,
            since=before.since if before else now,
            until=now + self._wait(error.trouble, count, error.retry_after),
            count=count,
            trouble=error.trouble,
            code=error.code,
            message=error.message,
            advice=error.advice,
            # a key that could not be read this time is no other key than the one refused before
            key_digest=key_digest or (before.key_digest if before else None),
        )
        self._holds[scope] = hold
        return hold

    def succeed(self, engine: str, *, now: datetime, asked_at: datetime | None) -> tuple[Hold, ...]:
        """A request went through: every hold over this engine that is older than it is lifted and returned."""
        self._lost.pop(engine, None)
        lifted = tuple(
            self._lift(hold)
            for hold in self._over(engine)
            if asked_at is None or asked_at >= hold.since
        )
        if any(hold.trouble is EngineTrouble.THROTTLED for hold in lifted):
            self._slowed_at[engine] = now
        return lifted

    def heard_from(self, engine: str) -> None:
        """An answer came, whatever it says: the lost ones before it were not in a row with the next."""
        self._lost.pop(engine, None)

    def probes(self, engine: str) -> frozenset[str]:
        """The engines of which one request, the next, is the probe; none where this engine is not held."""
        held = self._over(engine)
        if any(hold.scope == EVERY_ENGINE for hold in held):
            return frozenset(self._spacing)
        return frozenset({engine}) if held else frozenset()

    def give_up_probe(self, engine: str) -> None:
        """The probe ended without telling anything of the engine: another may follow."""
        self._probing.difference_update(hold.scope for hold in self._over(engine))

    def keep(self) -> None:
        """What is known now was saved: `go_back` leads here."""
        self._kept = {
            name: copy(value)
            for name, value in vars(self).items()
            if name != "_kept" and isinstance(value, dict | set)
        }

    def go_back(self) -> None:
        """What happened since the last `keep` was not saved, and so did not happen."""
        for name, value in self._kept.items():
            setattr(self, name, copy(value))

    def key_changed(self, key_digest: str | None) -> tuple[Hold, ...]:
        """Lift the holds that another key was the reason for; None is a key that cannot be read now: they stay."""
        if key_digest is None:
            return ()
        return tuple(
            self._lift(hold)
            for hold in self.holds
            if hold.trouble in _OF_THE_KEY and hold.key_digest != key_digest
        )

    def open_now(self, now: datetime) -> None:
        """Let the next request through at once, as a probe (a person asked for a retry)."""
        for scope, hold in self._holds.items():
            self._holds[scope] = replace(hold, until=now)

    def clock_set(self, step: Step) -> tuple[Hold, ...]:
        """Every wait stays as long as it was; returns the holds, to be saved."""
        self._next = {engine: date + step.by for engine, date in self._next.items()}
        self._holds = {scope: moved_hold(hold, step) for scope, hold in self._holds.items()}
        return self.holds

    def _over(self, engine: str) -> list[Hold]:
        return [self._holds[scope] for scope in (engine, EVERY_ENGINE) if scope in self._holds]

    def _lift(self, hold: Hold) -> Hold:
        self._probing.discard(hold.scope)
        return self._holds.pop(hold.scope)

    def _slowness(self, engine: str, now: datetime) -> float:
        """How many times further apart than the pace allows: many after throttling, then fewer, then 1."""
        since = self._slowed_at.get(engine)
        if since is None:
            return 1.0
        slowness = _SLOWED * 2.0 ** -(max(now - since, timedelta(0)) / _HALVED_EVERY)
        if slowness <= 1.0:
            del self._slowed_at[engine]
            return 1.0
        return float(slowness)

    def _wait(
        self, trouble: EngineTrouble, count: int, retry_after: timedelta | None = None
    ) -> timedelta:
        longest = _LONGEST[trouble]
        doubled = _FIRST[trouble].total_seconds() * 2.0 ** min(count - 1, 20)
        wait = min(timedelta(seconds=doubled), longest) * (0.75 + self._chance() / 2)
        return min(max(wait, retry_after or wait), longest * 2)
