"""What all routes share: the knobs of the moment, the clock, the bill, the buckets, the recogniser."""

import asyncio
import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.requests import Request

from asrwatch.sandbox.bill import Bill
from asrwatch.sandbox.clock import Clock, utc_now
from asrwatch.sandbox.faults import Faults
from asrwatch.sandbox.knobs import Knobs
from asrwatch.sandbox.limits import Limit, Pace, per_second_of
from asrwatch.sandbox.media import Media
from asrwatch.sandbox.models import Model
from asrwatch.sandbox.recogniser import Listening, Recogniser, Sound
from asrwatch.sandbox.refusals import Refusal
from asrwatch.sandbox.results import Results
from asrwatch.sandbox.signing import Signer
from asrwatch.sandbox.traffic import Traffic
from asrwatch.sandbox.uploads import Uploads

__all__ = ["Caller", "Service", "caller_of", "new_request_id"]


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whose key a request carries."""

    key: str
    account: str


def caller_of(request: Request) -> Caller:
    """The caller that the gate let in."""
    caller = request.scope["asrwatch.caller"]
    assert isinstance(caller, Caller)  # noqa: S101 - the gate put it there
    return caller


def new_request_id() -> str:
    """An id as the service gives every request."""
    return str(uuid.uuid4())


@dataclass(kw_only=True)
class Service:
    """One running sandbox, seen from inside its event loop.

    Args:
        folder: where uploads, results and temporary audio live.
        recogniser: who listens.
        knobs: the first setting; `turn` changes it.
        url: the sandbox's own base URL, without a slash at its end.
        clock: the time of day, before `clock_offset`.
    """

    folder: Path
    recogniser: Recogniser
    knobs: Knobs
    url: str
    clock: Clock = utc_now
    bill: Bill = field(default_factory=Bill)
    faults: Faults = field(default_factory=Faults)
    traffic: Traffic = field(default_factory=Traffic)
    pace: Pace = field(default_factory=Pace)
    signer: Signer = field(default_factory=Signer)
    tokens: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("uploads", "results", "audio"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.uploads = Uploads(folder=self.folder / "uploads", signer=self.signer)
        self.results = Results(folder=self.folder / "results", signer=self.signer)
        self.media = Media(
            folder=self.folder / "audio",
            uploads=self.uploads,
            knobs=lambda: self.knobs,
            now=self.now,
        )
        self._turned = asyncio.Event()
        self._working: set[asyncio.Task[None]] = set()

    def now(self) -> datetime:
        """The sandbox's time of day, UTC."""
        return self.clock() + self.knobs.clock_offset

    def turn(self, knobs: Knobs) -> None:
        """Change the knobs; what is waiting looks at them again. Call it in the event loop."""
        self.knobs = knobs
        self._turned.set()
        self._turned = asyncio.Event()

    async def wait(self, name: str) -> None:
        """Wait as long as the knob of that name says, and notice when it is turned meanwhile."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            span: timedelta = getattr(self.knobs, name)
            left = begun + span.total_seconds() - loop.time()
            if left <= 0:
                return
            turned = self._turned
            try:
                await asyncio.wait_for(turned.wait(), left)
            except TimeoutError:
                continue

    async def listen(
        self, sound: Sound, *, channels: Sequence[int] | None, longest: timedelta
    ) -> Listening:
        """As the recogniser's own, and no quicker than the knob `recogniser_speed` says."""
        begun = asyncio.get_running_loop().time()
        listening = await self.recogniser.listen(sound, channels=channels, longest=longest)
        speed = self.knobs.recogniser_speed
        if speed is not None:
            took = asyncio.get_running_loop().time() - begun
            await asyncio.sleep(max(listening.duration.total_seconds() / speed - took, 0))
        return listening

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Work on something after its request was answered."""
        task = asyncio.get_running_loop().create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def stop(self) -> None:
        """Give up all work under way."""
        working = list(self._working)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    def account_of(self, key: str) -> str | None:
        """The account of an accepted key or of a temporary token that has not expired."""
        if key in self.knobs.keys:
            return self.knobs.keys[key]
        account, expires = self.tokens.get(key, ("", None))
        return account if expires is not None and self.now() < expires else None

    async def limit(self, caller: Caller, model: Model, wait_timeout: str | None) -> None:
        """Count a paid request against its model's limits (contract 7.3).

        Args:
            caller: whose account; all its keys count together.
            model: which model.
            wait_timeout: the header `X-DashScope-Wait-Timeout`, which queues bursts.

        Raises:
            Refusal: 429.
        """
        knobs = self.knobs
        if not knobs.rate_limits:
            return
        loop = asyncio.get_running_loop()
        patience = float(wait_timeout) if wait_timeout and wait_timeout.isdecimal() else 0.0
        deadline = loop.time() + patience
        per_minute = knobs.requests_per_minute.get(model.name, model.requests_per_minute)
        while True:
            limit = self.pace.admit(
                f"{caller.account}/{model.name}",
                loop.time(),
                per_minute=per_minute,
                per_second=per_second_of(per_minute) if knobs.per_second else None,
                burst=knobs.burst,
            )
            if limit is None:
                return
            if limit is not Limit.BURST or loop.time() >= deadline:
                raise self.throttled(limit)
            await asyncio.sleep(0.05)

    def limit_queries(self, caller: Caller, kind: str, per_second: int) -> None:
        """Count an unpaid request against its limit per second.

        Raises:
            Refusal: 429.
        """
        if not self.knobs.rate_limits:
            return
        now = asyncio.get_running_loop().time()
        limit = self.pace.admit(f"{caller.account}/{kind}", now, per_second=per_second)
        if limit is not None:
            raise self.throttled(limit)

    def throttled(self, limit: Limit) -> Refusal:
        """A 429, with Retry-After only if the knob says so."""
        after = self.knobs.retry_after
        seconds = "" if after is None else f"{max(1, round(after.total_seconds()))}"
        return Refusal(limit.value, headers={"Retry-After": seconds} if seconds else None)
