"""Hands out as many steps as there are free workers."""

import time
from collections.abc import Collection, Sequence
from datetime import datetime

from asrwatch.journey.book import Book
from asrwatch.journey.crowd import Crowd
from asrwatch.journey.next_step import NextStep, Step
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.suspects import step_of
from asrwatch.journey.turns import Turns

__all__ = ["HandingOut"]


class HandingOut:
    """See the module. What is suspected of having killed asrwatch is handed out alone."""

    def __init__(self, book: Book, *, turns: Turns, next_step: NextStep) -> None:
        self._store = book.store
        self._suspects = book.suspects
        self._turns = turns
        self._next = next_step

    def hand_out(
        self,
        states: Collection[State],
        *,
        limit: int,
        under_way: Collection[int],
        now: datetime,
        barred_inboxes: Collection[str] = (),
        crowd: Crowd | None = None,
    ) -> list[Step]:
        """The next steps of recordings in these states, for at most `limit` free workers.

        Requests are announced, and saved, here. `crowd` says how many slots one inbox may have.
        """
        steps: list[Step] = []
        crowd = crowd or Crowd()
        passed_over: set[int] = set()
        states = self._turns.may_begin(states, time.monotonic())
        while (wanted := limit - len(steps)) > 0:
            chosen = self._turns.whose(
                states,
                wanted,
                under_way=(*under_way, *passed_over, *self._suspects.ids),
                barred_inboxes={*barred_inboxes, *crowd.full},
                now=now,
            )
            for recording in chosen:
                if recording.inbox in crowd.full:
                    continue
                passed_over.add(recording.id)
                step = self._next.begin(recording, now, barred_inboxes)
                if step is not None:
                    crowd.take(recording.inbox)
                    passed_over.add(step[0].id)  # a probe is of another recording than its turn was
                    steps.append(step)
                    self._turns.served(states, recording)
            if len(chosen) < wanted:
                break
        return steps

    def trial(
        self,
        states: Collection[State],
        *,
        under_way: Collection[int],
        now: datetime,
        barred_inboxes: Collection[str] = (),
    ) -> list[Step] | None:
        """The step of a suspect in these states, which is taken alone; None where others may go on."""
        if not self._suspects.ids:
            return None
        if self._suspects.in_trial(under_way):
            return [] if self._suspects.others_wait(under_way, now) else None
        ready = self._turns.suspect(states, self._suspects.ids, barred_inboxes, now)
        if ready is None:
            return self._poll_that_waits(now)
        given_up = self._suspects.is_poison(ready)
        if under_way and not given_up and self._suspects.waits(ready.id, now):
            return []  # what is under way ends first, or a death would tell nothing
        step = self._next.begin(ready, now, barred_inboxes)
        if step is None:
            return None
        self._suspects.begins(step[0].id, now)
        return [step]

    def _poll_that_waits(self, now: datetime) -> list[Step] | None:
        """Others wait while a grave suspect's task is about to be asked about, which is no worker's step."""
        for one in self._suspects.of_polling(self._store.outstanding()):
            if one.due <= now and self._suspects.is_grave(one.id):
                return [] if self._suspects.waits(one.id, now) else None
        return None

    def round_of(
        self, batch: Sequence[Recording], *, under_way: Collection[int], now: datetime
    ) -> tuple[Recording, ...]:
        """Which of these tasks to ask about, written down as begun: a suspect alone, none during another's trial."""
        if self._suspects.in_trial(under_way) and self._suspects.others_wait(under_way, now):
            return ()
        suspected = self._suspects.of_polling(batch)
        poison = [one for one in suspected if self._suspects.is_poison(one)]
        for one in poison:
            self._next.give_up(one, now)
        chosen = tuple(one for one in batch if one not in poison)
        tried = next((one for one in suspected if one not in poison), None)
        if tried is not None:
            grave = self._suspects.is_grave(tried.id)
            if grave and under_way and self._suspects.waits(tried.id, now):
                return ()  # what is under way ends first, or a death would tell nothing
            self._suspects.begins(tried.id, now)
            chosen = (tried,)
        for one in chosen:
            self._store.begin_try(one.id, step_of(one))
        return chosen
