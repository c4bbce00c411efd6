"""One paid request that is answered at once, for the engines that send the audio with it."""

from collections.abc import Callable, Mapping

from pydantic import JsonValue

from asrwatch.cloud import Cloud, spoken
from asrwatch.cloud.bodies import Body, data_uri_body, encoded_size, json_body
from asrwatch.cloud.wire import Reply
from asrwatch.engines import Ask, EngineOptions, Heard, LocalAudio
from asrwatch.errors import DoesNotFit
from asrwatch.journey.evidence import Answer
from asrwatch.values import format_size

__all__ = ["answered_at_once", "recalled_at_once"]

_RESOLVE = "X-DashScope-OssResourceResolve"


def answered_at_once(
    ask: Ask,
    *,
    cloud: Cloud,
    path: str,
    build: Callable[[str], Mapping[str, JsonValue]],
    options: EngineOptions,
    headers: Mapping[str, str],
) -> Heard:
    """Send the recording as a data URI, or its URL as it is, and wait for the text.

    Args:
        ask: what is asked.
        cloud: whom.
        path: of the dialect.
        build: makes the request from whatever stands for the audio.
        options: the engine's.
        headers: the dialect's own.

    Raises:
        DoesNotFit: the recording is larger than the engine takes; nothing was sent.
        AsrwatchError: as `Engine.start` says.
    """
    body: Body
    sent = dict(headers)
    if isinstance(ask.audio, LocalAudio):
        if (size := encoded_size(ask.audio.size)) > options.largest:
            raise DoesNotFit(
                f"The recording is {format_size(size)} in Base64; {options.model} takes "
                f"{format_size(options.largest)}.",
                code="too-large",
                advice="An engine for long files takes it by URL.",
            )
        body = data_uri_body(
            build, stream=ask.audio.stream, size=ask.audio.size, mime=ask.audio.mime
        )
    else:
        body = json_body(build(ask.audio.url))
        if ask.audio.url.startswith("oss://"):
            sent[_RESOLVE] = "enable"
    reply = cloud.ask(path, body, ask_id=ask.id, read_timeout=options.read_timeout, headers=sent)
    return _heard(reply, cloud)


def recalled_at_once(ask_id: str, *, cloud: Cloud) -> Heard | None:
    """The same from the answer that was kept; None where none was."""
    reply = cloud.recall(ask_id)
    return _heard(reply, cloud) if reply is not None else None


def _heard(reply: Reply, cloud: Cloud) -> Heard:
    raw = spoken.complete(reply, refusal=cloud.refusal)
    return Heard(answer=Answer(raw=raw, received_at=cloud.now(), billed=spoken.billed(raw)))
