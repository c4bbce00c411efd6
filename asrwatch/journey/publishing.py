"""Puts a recording, or a copy of it, where the cloud can fetch it."""

import os
import time
from dataclasses import replace
from datetime import timedelta

from asrwatch import logs
from asrwatch.audio.containers import extension_of, mime_of
from asrwatch.audio.orders import Codec
from asrwatch.errors import AsrwatchError
from asrwatch.journey import copies, source
from asrwatch.journey.evidence import Staging, proven
from asrwatch.journey.plan import Prepared
from asrwatch.journey.recording import Recording
from asrwatch.journey.route import Route
from asrwatch.journey.watched import Watched
from asrwatch.storages import Published, Source
from asrwatch.values import printable

__all__ = ["as_it_is", "copy", "copy_kept", "growing_copy"]

log = logs.get("journey")


def as_it_is(recording: Recording, route: Route, staging: Staging) -> Staging:
    """Upload the recording as it lies there.

    Raises:
        TooLargeToUpload: the storage takes no file of its size.
        SourceChanged: it is not what was read any more.
        TemporaryError, EngineError: it cannot be uploaded now.
    """
    reading = proven(recording.reading)
    with source.opened(recording, route.care, fingerprint=recording.fingerprint) as stream:
        watched = Watched(stream)
        published = _timed_publish(
            route,
            Source(
                path=recording.path,
                stream=watched,
                size=recording.fingerprint.size,
                extension=extension_of(reading.facts.container, recording.path),
                mime=mime_of(reading.facts.container, recording.path),
            ),
            ask_id=staging.ask_id,
            model=reading.plan.model,
        )
        source.check_sent(watched, stream, recording, route.care)
    return replace(staging, url=published.url, url_expires=published.expires)


def copy(recording: Recording, route: Route, ask_id: str, prepared: Prepared) -> Staging:
    """Upload the copy, and remove it: afterwards nobody needs it here. Raises what `as_it_is` raises."""
    try:
        return copy_kept(recording, route, ask_id, prepared)
    finally:
        proven(route.preparer).discard(prepared)


def copy_kept(recording: Recording, route: Route, ask_id: str, prepared: Prepared) -> Staging:
    """Upload the copy; it stays in the spool, too. Raises what `as_it_is` raises."""
    with proven(route.preparer).open(prepared) as stream:
        published = _timed_publish(
            route,
            Source(
                path=recording.path,
                stream=stream,
                size=prepared.size,
                extension=extension_of(prepared.container, os.fsencode(prepared.name)),
                mime=mime_of(prepared.container, os.fsencode(prepared.name)),
            ),
            ask_id=ask_id,
            model=proven(recording.reading).plan.model,
        )
    return Staging(
        ask_id=ask_id, prepared=prepared, url=published.url, url_expires=published.expires
    )


def growing_copy(recording: Recording, route: Route, ask_id: str, codec: Codec) -> Staging | None:
    """Upload a copy while it is being made; None where it cannot be made. Raises what `as_it_is` raises."""
    reading, preparer = proven(recording.reading), proven(route.preparer)
    begun = time.monotonic()
    with source.opened(recording, route.care, fingerprint=recording.fingerprint) as stream:
        kept = copies.channels_kept(recording, route)
        with preparer.growing(stream, reading.facts, channels=kept, codec=codec) as growing:
            try:
                published = route.storage.publish_stream(
                    growing,
                    extension=codec.extension,
                    mime=mime_of(codec.container, os.fsencode(f"a.{codec.extension}")),
                    ask_id=ask_id,
                    model=reading.plan.model,
                )
            except AsrwatchError:
                failure = growing.failure
                if failure is None or failure.code == "no-such-channel":
                    raise
                log.info("no-smaller-copy", file=printable(recording.path), reason=failure.message)
                return None
            took = timedelta(seconds=time.monotonic() - begun - growing.waited)
            preparer.meter.uploaded(growing.size, took=took)
            name = f"{ask_id}.{codec.extension}"
            prepared = preparer.grown(growing, reading.facts, name, codec)
        copies.check(stream, recording, route, (prepared,))
    return Staging(
        ask_id=ask_id, prepared=prepared, url=published.url, url_expires=published.expires
    )


def _timed_publish(route: Route, file: Source, *, ask_id: str, model: str) -> Published:
    """Publish, and learn how quick the uplink is where something is uploaded."""
    begun = time.monotonic()
    published = route.storage.publish(file, ask_id=ask_id, model=model)
    if route.storage.copies and route.preparer is not None:
        took = timedelta(seconds=time.monotonic() - begun)
        route.preparer.meter.uploaded(file.size, took=took)
    return published
