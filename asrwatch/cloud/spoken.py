"""Read the answer of a synchronous request, whole or streamed, in whichever dialect it came."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from pydantic import JsonValue

from asrwatch.cloud import loose, sse
from asrwatch.cloud.codes import Verdict, verdict
from asrwatch.cloud.envelopes import refused_in
from asrwatch.cloud.refusals import NoSpeech
from asrwatch.cloud.wire import Reply
from asrwatch.errors import AnswerLost, AsrwatchError, RecordingError
from asrwatch.journey.evidence import Answer
from asrwatch.journey.transcript import Sentence, Transcript

__all__ = ["billed", "complete", "lost", "transcript"]

_LAYERS: tuple[tuple[str, ...], ...] = ((), ("output",), ("output", "output"))
"""Where an answer may lie; the first that has it counts (contract section 2.3)."""


_STREAMED = re.compile(rb"(data|event|id|retry)?:")
"""How a line of a stream begins (text/event-stream)."""


def billed(raw: bytes) -> timedelta | None:
    """How much audio the answer says was billed; None where it does not say."""
    spans = [_billed_in(document) for document in _documents(raw)]
    return next((span for span in reversed(spans) if span is not None), None)


def complete(reply: Reply, *, refusal: Callable[[int, bytes], AsrwatchError]) -> bytes:
    """The answer as JSON, if it is all there; a stream comes as `{"stream": [...]}`.

    What is all there and yet no answer (a page, another document, one larger than any can be) comes as it
    is: it was paid for, so it is kept, fails when it is read, and is never asked for again by itself.

    Args:
        reply: to a synchronous request, with a good status.
        refusal: what an error inside a stream means, from its status and body.

    Raises:
        AnswerLost: it is not all there.
        AsrwatchError: the stream reports an error.
    """
    if loose.mapping(loose.parse(reply.body)):
        return reply.body
    stream = sse.read(reply.body)
    if (event := stream.error()) is not None:
        error = refusal(event.status or 400, event.data)
        if isinstance(error, NoSpeech):
            return event.data
        raise error
    ended = stream.done or any(_finish(event.document) for event in stream.events)
    if stream.events and ended:
        return stream.raw()
    if not stream.events and _is_something_else(reply):
        return reply.body
    raise lost(reply)


def _is_something_else(reply: Reply) -> bool:
    """Whether the whole of an answer came, and it is none; what merely broke off is not meant."""
    if reply.oversized:
        return True
    text = reply.body.strip()
    if not reply.whole or not text or _STREAMED.match(text):
        return False
    if text[:1] in b"{[":
        # bytes that are not UTF-8 spoil an answer, but do not cut it off
        return loose.parse(text.decode("utf-8", "replace").encode()) is not None
    return text[:1] == b"<" or loose.parse(text) is not None or not _is_text(text)


def _is_text(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def lost(reply: Reply) -> AnswerLost:
    """A good status, and yet no answer: what came instead."""
    came = "an answer that broke off" if reply.body else "nothing"
    if reply.body.lstrip()[:1] == b"<":
        came = "a page instead of an answer"
    return AnswerLost(
        f"The cloud said HTTP {reply.status} and sent {came}.",
        code="unreadable-answer",
        advice="Whether the request was accepted is unknown.",
    )


def transcript(answer: Answer) -> Transcript:
    """What the answer says. Pure.

    Raises:
        RecordingError: it holds no text where text should be (`unreadable-answer`), or the text was
            cut off (`cut-off`).
    """
    if _silent(answer.raw):
        return Transcript(text="", no_speech=True, billed=answer.billed)
    documents = _documents(answer.raw)
    texts = [_text(document) for document in documents]
    if all(text is None for text in texts):
        raise RecordingError(
            "The cloud's answer holds no transcript.",
            code="unreadable-answer",
            advice="It is kept as it came; `asrwatch retry` asks again, which is paid once more.",
        )
    text = "".join(text for text in texts if text is not None).strip()
    if any(_finish(document) == "length" for document in documents):
        raise RecordingError(
            "The model cut the transcript off before its end.",
            code="cut-off",
            advice="`asrwatch retry` asks another engine if the inbox leaves the choice (qwen3-asr-flash-filetrans "
            "takes long recordings), else the same one; either is paid once more.",
        )
    notes = [note for document in documents for note in _annotations(document)]
    language = _common(note.get("language") for note in notes)
    emotion = _common(note.get("emotion") for note in notes)
    duration = answer.billed
    if not text:
        return Transcript(
            text="", no_speech=True, language=language, billed=answer.billed, duration=duration
        )
    return Transcript(
        text=text,
        sentences=(Sentence(text=text, language=language, emotion=emotion),),
        language=language,
        emotion=emotion,
        billed=answer.billed,
        duration=duration,
    )


def _documents(raw: bytes) -> tuple[Mapping[str, JsonValue], ...]:
    document = loose.mapping(loose.parse(raw))
    chunks = loose.items(document.get("stream"))
    return tuple(loose.mapping(chunk) for chunk in chunks) or (document,)


def _silent(raw: bytes) -> bool:
    refused = refused_in(raw)
    rule = verdict(400, refused.code, refused.message) if refused else None
    return rule is not None and rule.verdict is Verdict.SILENT


def _choice(document: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    for layer in _LAYERS:
        if choices := loose.items(loose.field(document, *layer, "choices")):
            return loose.mapping(choices[0])
    return {}


def _message(document: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    choice = _choice(document)
    return loose.mapping(choice.get("message")) or loose.mapping(choice.get("delta"))


def _text(document: Mapping[str, JsonValue]) -> str | None:
    """The text of one document; None where it has no place for one."""
    if not _choice(document):
        return next(
            (
                text
                for layer in _LAYERS
                if (text := loose.text(loose.field(document, *layer, "text"))) is not None
            ),
            None,
        )
    message = _message(document)
    content = message.get("content")
    if isinstance(content, list):
        parts = [loose.text(part) or loose.text(loose.field(part, "text")) for part in content]
        return "".join(part for part in parts if part is not None)
    return loose.text(content) if content is not None else ("" if message else None)


def _finish(document: Mapping[str, JsonValue]) -> str | None:
    """Why the text ended; the native dialect writes the string "null" while it goes on."""
    reason = loose.text(_choice(document).get("finish_reason"))
    return reason if reason not in {"", "null"} else None


def _annotations(document: Mapping[str, JsonValue]) -> tuple[Mapping[str, JsonValue], ...]:
    notes = _message(document).get("annotations")
    return tuple(loose.mapping(note) for note in loose.items(notes))


def _common(values: Iterable[JsonValue]) -> str | None:
    found = [text for value in values if (text := loose.text(value))]
    return Counter(found).most_common(1)[0][0] if found else None


def _billed_in(document: Mapping[str, JsonValue]) -> timedelta | None:
    for layer in _LAYERS:
        usage = loose.field(document, *layer, "usage")
        for name in ("seconds", "duration"):
            if (span := loose.seconds(loose.field(usage, name))) is not None:
                return span
    return None
