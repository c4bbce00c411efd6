"""Tells which engines may be asked now: not held, within the budget, with the clock set."""

from collections.abc import Callable, Mapping
from datetime import datetime

from asrwatch import logs
from asrwatch.clock import is_set
from asrwatch.errors import AnswerLost, AsrwatchError, BillUnknown, EngineError, EngineTrouble
from asrwatch.journey import timeshift, trouble
from asrwatch.journey.book import Book
from asrwatch.journey.gate import Gate
from asrwatch.journey.recording import Recording
from asrwatch.journey.request import awaits_its_answer
from asrwatch.journey.route import Route
from asrwatch.journey.store import Hold

__all__ = ["Permission"]

log = logs.get("journey")

_FOR_A_PERSON = frozenset({EngineTrouble.KEY, EngineTrouble.MONEY, EngineTrouble.FORBIDDEN})


class Permission:
    """The gate, the fuse and the clock, as one answer."""

    def __init__(
        self,
        book: Book,
        gate: Gate,
        routes: Mapping[str, Route],
        key_digest: Callable[[], str | None],
    ) -> None:
        self._book = book
        self._gate = gate
        self._routes = routes
        self._key_digest = key_digest
        self._budget_told: datetime | None = None
        book.remembers(gate)

    def waiting(self, now: datetime) -> frozenset[str]:
        """The engines that may not be asked at this moment."""
        if not is_set(now) or self.is_spent(now):
            return self._gate.engines
        return self._gate.waiting(now)

    def opens(self, now: datetime) -> datetime | None:
        """The next date on which an engine may be asked that may not now."""
        blown = self._book.fuse.blown(now)
        return blown.until if blown else self._gate.opens(now)

    def holds(self, now: datetime) -> tuple[Hold, ...]:
        """Everything that keeps engines from being asked: refusals, and a budget that is spent."""
        others = (self._book.fuse.blown(now), timeshift.unset(now))
        return (*self._gate.holds, *(hold for hold in others if hold))

    def is_spent(self, now: datetime) -> bool:
        """Whether the budget is; said once for each day or month."""
        blown = self._book.fuse.blown(now)
        if blown is not None and self._budget_told != blown.until:
            self._budget_told = blown.until
            log.error(
                "budget-spent",
                code=blown.code,
                error=blown.message,
                advice=blown.advice,
                until=blown.until.isoformat(timespec="seconds"),
            )
        return blown is not None

    def request_ended(self, engine: str, before: Recording, now: datetime) -> None:
        """A request was answered: its engine may be asked again."""
        if not awaits_its_answer(before):
            return  # what became of a request that was lost says nothing of the next one
        asked_at = before.asking.asked_at if before.asking else None
        for hold in self._gate.succeed(engine, now=now, asked_at=asked_at):
            self._book.store.release(hold.scope)
            log.info("hold-lifted", scope=hold.scope, code=hold.code)

    def engine_suffered(self, before: Recording, error: Exception, now: datetime) -> None:
        """What a request that was refused, or whose answer was lost, says of its engine."""
        engine = before.reading.plan.engine if before.reading else ""
        asked_at = before.asking.asked_at if before.asking else None
        match error:
            case EngineError():
                digest = error.key_digest or self._key_digest()
                hold = self._gate.refuse(
                    engine, error, now=now, asked_at=asked_at, key_digest=digest
                )
            case AsrwatchError() if not isinstance(error, AnswerLost | BillUnknown):
                if error.code not in trouble.NEVER_LEFT:
                    self._gate.heard_from(engine)
                self._gate.give_up_probe(engine)
                return
            case _:
                hold = self._gate.lose(engine, str(error), now=now, asked_at=asked_at)
        if hold is None:
            return
        self._book.store.hold(hold)
        first = hold.count == 1
        (log.error if first else log.warning)(
            "engine-held",
            scope=hold.scope,
            trouble=hold.trouble.value,
            code=hold.code,
            error=hold.message,
            advice=hold.advice,
            until=hold.until.isoformat(timespec="seconds"),
        )

    def key_glanced(self, *, now: datetime) -> None:
        """Lift the holds of a key that has changed since."""
        for hold in self._gate.key_changed(self._key_digest()):
            self._book.store.release(hold.scope)
            log.info(
                "hold-lifted",
                scope=hold.scope,
                code=hold.code,
                reason="the key changed",
                at=now.isoformat(),
            )

    def nothing_left(self, now: datetime) -> bool:
        """Whether nothing is left to do, or all that is left waits for a key, money, a permission or a budget."""
        if self._book.store.left_to_do(self._routes) == 0:
            return True
        held = self.held_for_a_person(now)
        return bool(held) and self._book.store.left_besides(self._routes, held) == 0

    def held_for_a_person(self, now: datetime) -> frozenset[str]:
        """What is held until somebody sees to a key, money or a permission, or until there is a budget again."""
        held = {hold.scope for hold in self._gate.holds if hold.trouble in _FOR_A_PERSON}
        if self._book.fuse.blown(now) is not None:
            held |= self._gate.engines
        return frozenset(held)
