"""The paid request: the audio in hand or its URL, sent once, and whose it is."""

import os
import random
import socket
import time
from datetime import datetime, timedelta
from typing import Any, assert_never

from asrwatch.audio.containers import mime_of
from asrwatch.engines import Ask, Engine, Heard, LocalAudio, Pending, RemoteAudio
from asrwatch.errors import SourceChanged
from asrwatch.heartbeats import vital
from asrwatch.journey import source
from asrwatch.journey.evidence import Staging, Task, proven
from asrwatch.journey.plan import Prepared, Wishes
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.route import Route
from asrwatch.journey.watched import Watched

__all__ = ["WHO", "answered", "awaits_its_answer", "is_ours", "send", "uptime"]

WHO = f"{socket.gethostname()}/{os.getpid()}/{random.getrandbits(32):08x}"
"""Names this run of this process, so that a row left by another is known for one."""


def is_ours(recording: Recording) -> bool:
    """Whether the request was announced by this run, and not by one that ended."""
    return recording.asking is not None and recording.asking.who == WHO


def awaits_its_answer(recording: Recording) -> bool:
    """Whether its paid request was made by this run, and nothing was heard of it yet, not even that it is lost."""
    trouble = recording.trouble
    told = trouble is not None and trouble.lost_at == recording.attempts
    return recording.state is State.ASKING and is_ours(recording) and not told


def send(recording: Recording, route: Route) -> Heard | Pending:
    """Send the request that costs money, and nothing else.

    Raises:
        AnswerLost: it may have been accepted; every other error says that it was not.
    """
    reading, staging = proven(recording.reading), proven(recording.staging)
    engine = route.engine_of(recording)
    if staging.url is not None:
        return _start(engine, staging, RemoteAudio(url=staging.url), route.wishes_for(recording))
    if staging.prepared is not None:
        return _send_prepared(recording, route, staging.prepared)
    with source.opened(recording, route.care, fingerprint=recording.fingerprint) as stream:
        watched = Watched(stream)
        local = LocalAudio(
            stream=watched,
            size=recording.fingerprint.size,
            mime=mime_of(reading.facts.container, recording.path),
        )
        heard = _start(engine, staging, local, route.wishes_for(recording))
        if watched.all_read and watched.digest != reading.sha256:
            raise SourceChanged(
                "The file changed while it was being sent; what was answered is not about it.",
                code="changed-while-sent",
                advice="It is taken up again once it has settled.",
            )
    return heard


def _send_prepared(recording: Recording, route: Route, prepared: Prepared) -> Heard | Pending:
    """Send the copy, provided that the recording is still the one that it was made of."""
    with (
        source.opened(recording, route.care, fingerprint=recording.fingerprint),
        proven(route.preparer).open(prepared) as stream,
    ):
        local = LocalAudio(
            stream=stream,
            size=prepared.size,
            mime=mime_of(prepared.container, os.fsencode(prepared.name)),
        )
        return _start(
            route.engine_of(recording),
            proven(recording.staging),
            local,
            route.wishes_for(recording),
        )


def _start(
    engine: Engine[Any], staging: Staging, audio: LocalAudio | RemoteAudio, wishes: Wishes
) -> Heard | Pending:
    with vital():
        return engine.start(Ask(id=staging.ask_id, audio=audio, wishes=wishes))


def answered(recording: Recording, outcome: Heard | Pending, *, now: datetime) -> Recording:
    """What is true once the request came back: heard, or accepted as a task."""
    match outcome:
        case Heard(answer=answer):
            return recording.hear(answer, now=now)
        case Pending(ticket=ticket, wait=wait):
            task = Task(ticket=ticket, submitted_at=now)
            return recording.submit(task, now=now, due=now + wait)
        case _:
            assert_never(outcome)


def uptime() -> timedelta:
    """How long the machine runs, by its own clock, which nobody sets."""
    return timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))
