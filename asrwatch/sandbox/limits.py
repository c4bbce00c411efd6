"""The service's rate limits: per minute, per second and growth, each answering in its own words."""

import math
from collections import defaultdict, deque
from enum import StrEnum
from typing import Final

__all__ = ["Limit", "Pace", "per_second_of"]

_MINUTE: Final = 60.0
# Requests sent exactly at the permitted pace arrive with some jitter; a real minute is no sharper.
_GRACE: Final = 0.05


class Limit(StrEnum):
    """Which limit was hit; the value is the native code (contract 7.3)."""

    RATE = "Throttling.RateQuota"
    BURST = "Throttling.BurstRate"


class Pace:
    """Counts requests per key (an account and a model, or an account and a kind of query).

    Time is handed in, in seconds of any monotonic clock.
    """

    def __init__(self) -> None:
        self._seen: defaultdict[str, deque[float]] = defaultdict(deque)

    def admit(
        self,
        key: str,
        now: float,
        *,
        per_minute: int | None = None,
        per_second: int | None = None,
        burst: int | None = None,
    ) -> Limit | None:
        """Count a request in, or say which limit it hits. What is refused does not count.

        Args:
            key: whose requests of which kind.
            now: the time.
            per_minute: requests within any 60 s.
            per_second: requests within any second.
            burst: requests within a second from idle; each second may have twice as many as the one before.
        """
        seen = self._seen[key]
        while seen and seen[0] <= now - _MINUTE + _GRACE:
            seen.popleft()
        last_second = sum(moment > now - 1 + _GRACE for moment in reversed(seen))
        if per_minute is not None and len(seen) >= per_minute:
            return Limit.RATE
        if per_second is not None and last_second >= per_second:
            return Limit.RATE
        if burst is not None:
            before = sum(now - 2 < moment <= now - 1 for moment in seen)
            if last_second >= max(burst, 2 * before):
                return Limit.BURST
        seen.append(now)
        return None


def per_second_of(per_minute: int) -> int:
    """The whole number of requests a second that a figure per minute allows (contract 7.3)."""
    return max(1, math.ceil(per_minute / _MINUTE))
