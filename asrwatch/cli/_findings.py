"""Looks at everything the daemon needs: each look is one function that yields findings."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from asrwatch.audio.studio import INSTALL_CODECS, WITHOUT_CODECS, has_codecs
from asrwatch.bootstrap import Parts, build_notifiers
from asrwatch.cli._finding import Finding, bad, doubtful, good
from asrwatch.cli._folders import (
    inbox_findings,
    metrics_findings,
    space_findings,
    state_findings,
)
from asrwatch.cli._needs import folder_needs
from asrwatch.cli._page import page_findings
from asrwatch.cli._service import properties_of_service, service_findings
from asrwatch.config import Settings
from asrwatch.control import NobodyThere, ask_daemon
from asrwatch.desk.questions import AskStatus
from asrwatch.desk.reports.status import Status
from asrwatch.errors import AsrwatchError, EngineError
from asrwatch.journey.dispatch import Question
from asrwatch.journey.plan import AudioFacts
from asrwatch.journey.planning import plan_for
from asrwatch.journey.route import Route

__all__ = ["codecs_finding", "findings"]

_SPEECH_PER_SECOND: Final = 8000
"""Bytes of the example recordings: speech as MP3 of 64 kbit/s."""


def findings(settings: Settings, built: Parts, *, online: bool) -> Iterator[Finding]:
    """Everything, in the order in which it would stop a recording."""
    file = settings.source
    yield good("config", "no file; the defaults" if file == "the command line" else file)
    yield from _key(built)
    if online:
        yield _answers(built)
    if not settings.inboxes:
        yield bad(
            "inboxes",
            "none configured, so `asrwatch run` will not start",
            "List some in the configuration (inboxes: [{path: ~/Recordings}]), "
            "or name folders: `asrwatch run DIR`, `asrwatch check DIR`.",
        )
    yield from inbox_findings(settings)
    yield codecs_finding(present=has_codecs())
    for route in built.routes.values():
        yield _dispatch(route)
    yield from notifier_findings(settings)
    yield from state_findings(settings)
    yield from metrics_findings(settings)
    yield from space_findings(settings)
    status = _running(settings)
    yield _daemon(status)
    yield from page_findings(settings, status if isinstance(status, Status) else None)
    yield from service_findings(properties_of_service(), folder_needs(settings))


def _key(built: Parts) -> Iterator[Finding]:
    keys = built.cloud.keys
    try:
        keys.key()
    except EngineError as error:
        yield bad("key", error.message, error.advice)
        return
    yield good("key", f"found in {keys.source()}")


def notifier_findings(settings: Settings) -> Iterator[Finding]:
    """Whether each notifier could be reached: address, secret, program. Nothing is sent."""
    notifiers, _ = build_notifiers(settings)
    for notifier in notifiers.values():
        about = f"notifier {notifier.label}"
        try:
            yield good(about, notifier.check())
        except AsrwatchError as error:
            yield doubtful(about, error.message, error.advice)


def codecs_finding(*, present: bool) -> Finding:
    """Whether recordings can be decoded and re-encoded here."""
    if present:
        return good("codecs", "recordings can be decoded and re-encoded")
    return doubtful(
        "codecs",
        WITHOUT_CODECS,
        INSTALL_CODECS,
    )


def _answers(built: Parts) -> Finding:
    """Ask the cloud one question that costs nothing."""
    try:
        built.cloud.probe()
    except AsrwatchError as error:
        return bad("cloud", f"{built.cloud.base_url}: {error.message}", error.advice)
    return good("cloud", f"{built.cloud.base_url} answers and accepts the key")


def _dispatch(route: Route) -> Finding:
    """Where a minute and an hour of speech would go: wishes no engine grants here show at once."""
    about = f"engine {route.inbox}"
    try:
        short, long = (_engine_for(route, timedelta(minutes=minutes)) for minutes in (1, 60))
    except AsrwatchError as error:
        return bad(about, error.message, error.advice)
    return good(about, f"a minute of speech goes to {short}, an hour to {long}")


def _engine_for(route: Route, duration: timedelta) -> str:
    wishes = route.wishes
    channels = 2 if wishes.split else max(wishes.channels) + 1
    question = Question(
        facts=AudioFacts(container="mp3", codec="mp3", duration=duration, channels=channels),
        size=round(duration.total_seconds() * _SPEECH_PER_SECOND),
        wishes=wishes,
        region=route.region,
        engine=route.engine,
        cut=route.cut,
    )
    return plan_for(question, route).engine


def _running(settings: Settings) -> Status | AsrwatchError | None:
    """How the running daemon is; None where none runs."""
    try:
        return ask_daemon(settings.state_dir, AskStatus(), Status)
    except NobodyThere:
        return None
    except AsrwatchError as error:
        return error


def _daemon(status: Status | AsrwatchError | None) -> Finding:
    match status:
        case None:
            return good("daemon", "not running")
        case AsrwatchError():
            return doubtful("daemon", status.message, status.advice)
        case _:
            return good("daemon", f"running (process {status.process})")
