"""What a clock that was set means for recordings: dates move with it, so that every wait stays as long as it was.

Pure. A date belongs to the clock it was read from: one far from what that clock said was read from another
(the right one, before or after), and stays.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from asrwatch.clock import EARLIEST, Step, is_set
from asrwatch.errors import EngineTrouble
from asrwatch.journey.recording import Recording
from asrwatch.journey.store import EVERY_ENGINE, Hold

__all__ = ["ERA", "carried_over", "moved", "moved_hold", "pulled_in", "unset"]

ERA = timedelta(days=40)
"""Nothing is waited for longer: the next month's budget is the farthest date there is."""


def moved(recording: Recording, step: Step) -> Recording:
    """The recording by the clock as it is set now; time that the machine slept strains nobody's patience."""
    trouble, asking, task, staging = (
        recording.trouble,
        recording.asking,
        recording.task,
        recording.staging,
    )
    if trouble is not None:
        trouble = replace(trouble, since=_moved(trouble.since, step) + step.slept)
    if asking is not None:
        asking = replace(asking, asked_at=_moved(asking.asked_at, step))
    if task is not None:
        task = replace(task, submitted_at=_moved(task.submitted_at, step))
    if staging is not None and staging.url_expires is not None:
        staging = replace(staging, url_expires=_moved(staging.url_expires, step))
    due = _moved(recording.due, step)
    now = step.was + step.by
    if is_set(now) and due > now + ERA:
        due = now
    return replace(recording, due=due, trouble=trouble, asking=asking, task=task, staging=staging)


def moved_hold(hold: Hold, step: Step) -> Hold:
    """The same for a hold."""
    since, until = _moved(hold.since, step), _moved(hold.until, step)
    now = step.was + step.by
    if is_set(now) and until > now + ERA:
        since = until = now
    return replace(hold, since=since, until=until)


def carried_over(before: Recording, now: Recording, after: Recording) -> Recording:
    """What a step made of `before`, where the clock was set meanwhile, which made `now` of `before`."""
    same = {
        name: getattr(now, name)
        for name in ("trouble", "asking", "task", "staging")
        if getattr(after, name) == getattr(before, name)
    }
    return replace(after, **same)


def pulled_in(recording: Recording, now: datetime) -> Recording:
    """After a start with a clock that is behind what was written: nothing waits for dates that were wrong."""
    trouble, task = recording.trouble, recording.task
    if trouble is not None:
        trouble = replace(trouble, since=min(trouble.since, now))
    if task is not None:
        task = replace(task, submitted_at=min(task.submitted_at, now))
    # an ask keeps its date: how old it is nobody knows, and it is looked for accordingly
    return replace(recording, due=min(recording.due, now), trouble=trouble, task=task)


def unset(now: datetime) -> Hold | None:
    """Why nothing is asked of the cloud while the clock has not been set; None once it has."""
    if is_set(now):
        return None
    return Hold(
        scope=EVERY_ENGINE,
        since=now,
        until=EARLIEST,
        count=1,
        trouble=EngineTrouble.DOWN,
        code="clock-not-set",
        message=f"This machine's clock says {now:%Y-%m-%d}, which cannot be.",
        advice="Set it (timedatectl set-ntp true): certificates and dates need the time. It goes on by itself.",
    )


def _moved(date: datetime, step: Step) -> datetime:
    return date + step.by if abs(date - step.was) <= ERA else date
