"""Request bodies of exactly known length that never hold more of a file than one chunk."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Protocol

from pydantic import JsonValue

from asrwatch.errors import SourceChanged, TemporaryError

__all__ = ["Body", "FileBody", "PlainBody", "data_uri_body", "encoded_size", "json_body"]

_CHUNK = 48 * 1024
"""Bytes of the file in memory at once: a multiple of 3, so that Base64 pieces join without padding."""


class Body(Protocol):
    """What is sent: its exact length in bytes, and its pieces in order, once."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...


class PlainBody:
    """A body that is small enough to be held."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[bytes]:
        if self._content:
            yield self._content


class FileBody:
    """A file between two pieces of text, as it is or in Base64; its pieces can be taken once.

    Args:
        before: bytes ahead of the file.
        stream: the file, open at its start.
        size: in bytes, as it was when the file settled.
        after: bytes behind the file.
        as_base64: encode the file.
    """

    def __init__(
        self, *, before: bytes, stream: BinaryIO, size: int, after: bytes, as_base64: bool
    ) -> None:
        self._before = before
        self._stream = stream
        self._size = size
        self._after = after
        self._as_base64 = as_base64

    def __len__(self) -> int:
        middle = encoded_size(self._size) if self._as_base64 else self._size
        return len(self._before) + middle + len(self._after)

    def __iter__(self) -> Iterator[bytes]:
        """The pieces.

        Raises:
            SourceChanged: the file is shorter or longer than `size`. The end of the body is then never
                handed out, so whoever receives it can tell that the request is not whole.
            TemporaryError: the file cannot be read just now.
        """
        yield self._before
        left = self._size
        while left:
            chunk = self._read(min(_CHUNK, left))
            left -= len(chunk)
            if not left and self._read_some(1):
                raise _changed("longer")
            yield base64.b64encode(chunk) if self._as_base64 else chunk
        if not self._size and self._read_some(1):
            raise _changed("longer")
        yield self._after

    def _read(self, wanted: int) -> bytes:
        chunk = self._read_some(wanted)
        while len(chunk) < wanted:
            more = self._read_some(wanted - len(chunk))
            if not more:
                raise _changed("shorter")
            chunk += more
        return chunk

    def _read_some(self, wanted: int) -> bytes:
        try:
            return self._stream.read(wanted) or b""
        except OSError as error:
            raise TemporaryError(
                f"The recording cannot be read: {error.strerror or type(error).__name__}.",
                code="source-unreadable",
                advice="Check the disk or the share it lies on.",
            ) from error


def encoded_size(size: int) -> int:
    """How many bytes `size` bytes are in Base64."""
    return (size + 2) // 3 * 4


def json_body(document: Mapping[str, JsonValue]) -> PlainBody:
    """A JSON document as a body."""
    return PlainBody(_dumped(document))


def data_uri_body(
    build: Callable[[str], Mapping[str, JsonValue]], *, stream: BinaryIO, size: int, mime: str
) -> FileBody:
    """The document `build` makes of a data URI, with the file streamed into its place.

    Args:
        build: makes the document from whatever stands for the audio.
        stream: the file, open at its start.
        size: in bytes.
        mime: of the container, such as `audio/wav` (contract section 2.1).
    """
    mark = "audio"
    while (whole := _dumped(build(mark))).count(_dumped(mark)) != 1:
        mark += "-"  # somebody's context holds the very word
    before, after = whole.split(_dumped(mark))
    opening = f"data:{mime};base64,".encode("ascii", "replace")
    return FileBody(
        before=before + b'"' + opening,
        stream=stream,
        size=size,
        after=b'"' + after,
        as_base64=True,
    )


def _dumped(value: Mapping[str, JsonValue] | str) -> bytes:
    held = value if isinstance(value, str) else dict(value)
    return json.dumps(held, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _changed(how: str) -> SourceChanged:
    return SourceChanged(
        f"The recording became {how} while it was being sent.",
        code="source-changed",
        advice="It is sent again when it has settled.",
    )
