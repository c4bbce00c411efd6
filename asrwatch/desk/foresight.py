"""Says what would happen to a file asrwatch does not know, and why: without paying and without state."""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace

from asrwatch.audio.facts import probe
from asrwatch.config import InboxSettings, Settings
from asrwatch.desk.hearing import completed, looked_into, sound_of
from asrwatch.desk.reports.explanation import Foresight
from asrwatch.desk.reports.lines import SoundLine
from asrwatch.desk.scene import is_below
from asrwatch.errors import AsrwatchError, Incomplete
from asrwatch.files import open_recording
from asrwatch.files.oserrors import kind_of
from asrwatch.journey import silence
from asrwatch.journey.listening import facts_of
from asrwatch.journey.plan import AudioFacts
from asrwatch.journey.planning import plan_for
from asrwatch.journey.preparing import Preparer
from asrwatch.journey.route import Route
from asrwatch.journey.source import check_arrived
from asrwatch.values import format_duration, printable

__all__ = ["foresee"]


def foresee(
    path: bytes,
    settings: Settings,
    routes: Callable[[], Mapping[str, Route]],
    *,
    forgotten: bool = False,
) -> Foresight:
    """What would become of a file.

    Args:
        path: absolute.
        settings: what the inboxes are.
        routes: by inbox; asked for only if the file would be taken up.
        forgotten: whether a person had it forgotten.
    """
    told = _foreseen(path, settings, routes)
    return _as_forgotten(told) if forgotten and told.taken else told


def _as_forgotten(told: Foresight) -> Foresight:
    """Nothing happens by itself; what would happen is what `retry` would do."""
    then = told.verdict
    if told.engine is not None:
        then = (
            f"Then it would go to {told.engine}; if the same was asked about this content before, "
            "that answer is delivered, which costs nothing."
        )
    return replace(
        told,
        taken=False,
        verdict="It is left alone until it changes, or `asrwatch retry` names it.",
        engine=None,
        model=None,
        options={},
        reasons=(),
        left_out=(),
        advice=f"{then} {told.advice}".rstrip(),
    )


def _foreseen(
    path: bytes, settings: Settings, routes: Callable[[], Mapping[str, Route]]
) -> Foresight:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return _left_alone("There is no such file, and asrwatch knows of none that was there.")
    except OSError as error:
        return _left_alone(f"It cannot be looked at: {error.strerror}.")
    if stat.S_ISDIR(status.st_mode):
        return _folder(path, settings)
    if not stat.S_ISREG(status.st_mode):
        kind = kind_of(status.st_mode)
        return _left_alone(f"It is a {kind}; only regular files are recordings.")
    inbox = _inbox_of(path, settings)
    if inbox is None:
        preparer = next((route.preparer for route in routes().values()), None)
        return _with_sound(_in_no_inbox(settings), path, preparer)
    reason = _why_ignored(path, inbox)
    if reason:
        return _left_alone(f"It is left alone: {reason}.", inbox=inbox.name)
    if not status.st_size:
        return Foresight(
            taken=True,
            inbox=inbox.name,
            verdict="It has no bytes yet; it is taken up when it has some and has settled.",
        )
    marker = inbox.ignore_rule().marker
    if marker is not None and not marker.is_there(path):
        name = marker.of(os.fsdecode(os.path.basename(path)))  # noqa: PTH119 - bytes, which pathlib cannot hold
        return Foresight(
            taken=True,
            inbox=inbox.name,
            verdict=f"It waits for its marker, {printable(name)}.",
        )
    return _planned(path, status.st_size, routes()[inbox.name])


def _folder(path: bytes, settings: Settings) -> Foresight:
    for root in settings.inboxes:
        if path == root.root:
            return _left_alone(f"It is the inbox {root.name!r}.", inbox=root.name)
    inbox = _inbox_of(path, settings)
    if inbox is None:
        return _in_no_inbox(settings)
    reason = _why_ignored(path + b"/any.wav", inbox)
    if reason:
        return _left_alone(f"What lies in it is left alone: {reason}.", inbox=inbox.name)
    return _left_alone(
        f"It is a folder of the inbox {inbox.name!r}; recordings in it are taken up.",
        inbox=inbox.name,
    )


def _inbox_of(path: bytes, settings: Settings) -> InboxSettings | None:
    return next((each for each in settings.inboxes if is_below(path, each.root)), None)


def _in_no_inbox(settings: Settings) -> Foresight:
    there_are = ", ".join(printable(str(inbox.path)) for inbox in settings.inboxes)
    return _left_alone(
        f"It lies in no inbox; there are: {there_are}." if there_are else "No inbox is configured.",
        advice="`asrwatch transcribe FILE` transcribes a single file.",
    )


def _with_sound(told: Foresight, path: bytes, preparer: Preparer | None) -> Foresight:
    """Nothing happens to it, but what it is can be said."""
    facts = looked_into(path, preparer)
    return told if facts is None else replace(told, sound=sound_of(facts))


def _why_ignored(path: bytes, inbox: InboxSettings) -> str:
    if not inbox.recursive and os.path.dirname(path) != inbox.root.rstrip(b"/"):  # noqa: PTH120 - bytes, which pathlib cannot hold
        return f"the inbox {inbox.name!r} is not recursive"
    return inbox.ignore_rule().why_not(path) or ""


def _planned(path: bytes, size: int, route: Route) -> Foresight:
    """Read the file's headers and dispatch it, as its first step would."""
    facts = AudioFacts()
    sound: SoundLine | None = None
    try:
        care = route.care
        with open_recording(path, root=care.root if care else None) as stream:
            check_arrived(stream, path, care)
            facts = probe(stream, path, whole=True)  # what it is, even if it cannot be decoded
            facts = facts_of(stream, path, route)
            sound = sound_of(completed(stream, facts, route.preparer))
        plan = plan_for(route.question(facts, size), route)
    except AsrwatchError as error:
        waits = isinstance(error, Incomplete)
        rest = format_duration(route.rest_within)
        return Foresight(
            taken=True,
            inbox=route.inbox,
            verdict=f"It would wait for its rest, for {rest} at most, then fail: {error.message}"
            if waits
            else f"It would fail: {error.message}",
            container=facts.container,
            codec=facts.codec,
            duration=facts.duration,
            channels=facts.channels,
            advice=error.advice,
            sound=sound or (sound_of(facts) if facts.container else None),
        )
    except OSError as error:
        return _left_alone(f"It cannot be read: {error.strerror}.", inbox=route.inbox)
    return Foresight(
        taken=True,
        inbox=route.inbox,
        verdict=(
            "Once it has settled it would be delivered as an empty transcript (the inbox's `send_silence`)."
            if silence.is_planned(plan)
            else f"Once it has settled it would go to {plan.engine}."
        ),
        container=facts.container,
        codec=facts.codec,
        duration=facts.duration,
        channels=facts.channels,
        engine=plan.engine,
        model=plan.model,
        options=dict(plan.options),
        reasons=plan.reasons,
        left_out=plan.left_out,
        sound=sound,
    )


def _left_alone(verdict: str, *, inbox: str | None = None, advice: str = "") -> Foresight:
    return Foresight(taken=False, verdict=verdict, inbox=inbox, advice=advice)
