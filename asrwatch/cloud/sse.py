"""Take an event stream apart into its JSON documents (contract sections 2.1 and 2.2)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from asrwatch.cloud import loose

__all__ = ["Event", "Stream", "read"]

_STATUS = re.compile(rb":\s*HTTP_STATUS/(\d{3})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event: its name, the HTTP status its comment carries, its data as it came and as JSON."""

    name: str
    status: int | None
    data: bytes
    document: Mapping[str, JsonValue]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """What came before the stream ended; `done` is whether `data: [DONE]` closed it."""

    events: tuple[Event, ...]
    done: bool

    def error(self) -> Event | None:
        """The event that reports an error, if one does, in either dialect."""
        return next((event for event in self.events if _is_error(event)), None)

    def raw(self) -> bytes:
        """The documents as they came, as one JSON object: `{"stream": [...]}`."""
        return b'{"stream": [' + b", ".join(event.data for event in self.events) + b"]}"


def read(body: bytes) -> Stream:
    """The complete events of a stream; one that broke off in the middle is left out."""
    events: list[Event] = []
    for block in _blocks(body):
        data = b"\n".join(_values(block, b"data"))
        if data.strip() == b"[DONE]":
            return Stream(events=tuple(events), done=True)
        document = loose.mapping(loose.parse(data))
        if document:
            names = [name.decode("utf-8", "replace") for name in _values(block, b"event")]
            status = next((int(hit[1]) for line in block if (hit := _STATUS.match(line))), None)
            events.append(
                Event(name=names[-1] if names else "", status=status, data=data, document=document)
            )
    return Stream(events=tuple(events), done=False)


def _blocks(body: bytes) -> Iterator[list[bytes]]:
    """Lines between blank lines. Only CR and LF end a line: a transcript may hold U+2028."""
    block: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", body):
        if line:
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _values(block: list[bytes], name: bytes) -> list[bytes]:
    prefix = name + b":"
    return [line[len(prefix) :].removeprefix(b" ") for line in block if line.startswith(prefix)]


def _is_error(event: Event) -> bool:
    if event.name == "error" or loose.mapping(event.document.get("error")):
        return True
    code = event.document.get("code")
    return bool(code) and not event.document.get("output") and not event.document.get("choices")
