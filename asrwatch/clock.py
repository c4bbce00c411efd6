"""The time: what the wall says, and what goes on whatever the wall is set to."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

__all__ = ["EARLIEST", "SYSTEM", "Clock", "Offset", "Steady", "Step", "is_set", "utc_now"]

EARLIEST = datetime(2026, 9, 1, tzinfo=UTC)
"""No asrwatch that knows this constant ran before it: a clock that says otherwise has not been set yet."""

NOTICED = timedelta(seconds=1)
"""A difference between two clocks that is more than the time between reading one and the other."""


def utc_now() -> datetime:
    """The wall clock, aware."""
    return datetime.now(tz=UTC)


def is_set(now: datetime) -> bool:
    """Whether the wall clock can be right; before a machine without a battery has asked for the time, it is not."""
    return now >= EARLIEST


def _boottime() -> float:
    with suppress(AttributeError, OSError):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _boot_id() -> str:
    with suppress(OSError, ValueError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """Where the time is read; tests have clocks of their own.

    `now` is the wall's, aware, UTC, and may be set at any moment. `monotonic` are seconds that stop while the
    machine sleeps, `boottime` seconds that do not; `boot_id` names the boot they count from.
    """

    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic
    boottime: Callable[[], float] = _boottime
    boot_id: Callable[[], str] = _boot_id


SYSTEM = Clock()


@dataclass(frozen=True, kw_only=True, slots=True)
class Offset:
    """When, by the wall's clock, a boot began: it changes only when the clock is set."""

    boot_id: str
    booted: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What happened to the time between two glances.

    `by` is how far the wall clock was set, `was` what it would say had it been left alone; `slept` is for how
    long the machine slept.
    """

    by: timedelta
    was: datetime
    slept: timedelta


class Steady:
    """Notices that the wall clock was set or that the machine slept.

    Args:
        clock: to read.
        before: the offset at the end of an earlier run; it tells nothing after a reboot.
    """

    def __init__(self, clock: Clock, before: Offset | None = None) -> None:
        self._clock = clock
        self._boot_id = clock.boot_id()
        self._booted, self._asleep = self._glance()
        if before is not None and before.boot_id and before.boot_id == self._boot_id:
            self._booted = before.booted

    @property
    def offset(self) -> Offset:
        """To be kept for the next run."""
        return Offset(boot_id=self._boot_id, booted=self._booted)

    def look(self) -> Step | None:
        """What happened since the last look; None if nothing did."""
        booted, asleep = self._glance()
        by, slept = booted - self._booted, asleep - self._asleep
        if abs(by) <= NOTICED and slept <= NOTICED:
            return None
        self._booted, self._asleep = booted, asleep
        by = by if abs(by) > NOTICED else timedelta(0)
        return Step(by=by, was=self._clock.now() - by, slept=max(slept, timedelta(0)))

    def _glance(self) -> tuple[datetime, timedelta]:
        boottime = timedelta(seconds=self._clock.boottime())
        monotonic = timedelta(seconds=self._clock.monotonic())
        return self._clock.now() - boottime, boottime - monotonic
