"""Reads the upload form as it arrives: fields first, the file last and straight to disk."""

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from io import BufferedWriter
from pathlib import Path
from typing import Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from asrwatch.sandbox.refusals import OssRefusal

__all__ = ["Received", "receive_form"]

_LARGEST_FIELD: Final = 64 * 1024
_BOUNDARY: Final = re.compile(r"multipart/form-data\s*;\s*boundary=([^\s;\"]+)\s*", re.IGNORECASE)
_NAME: Final = re.compile(r';\s*name="([^"]*)"')


@dataclass(frozen=True, kw_only=True)
class Received:
    """A complete form: its fields and what became of its file."""

    fields: Mapping[str, str]
    sha256: str
    size: int


async def receive_form(
    content_type: str,
    chunks: AsyncIterator[bytes],
    *,
    check: Callable[[Mapping[str, str]], int],
    target: Path,
) -> Received:
    """Read a form; the file's bytes go to `target`, never all into memory.

    Args:
        content_type: the request's.
        chunks: the request's body.
        check: called with the fields when the file begins; returns the largest size allowed.
        target: where the file goes; the caller removes it after a failure.

    Raises:
        OssRefusal: the form is malformed (contract 6.1), or `check` refused, or the file is too large.
    """
    boundary = _BOUNDARY.fullmatch(content_type)
    if boundary is None:
        raise _malformed("The Content-Type must be multipart/form-data with an unquoted boundary.")
    with target.open("wb") as file:
        form = _Form(check=check, file=file)
        parser = MultipartParser(
            boundary[1].encode("latin-1"),
            {
                "on_part_begin": form.on_part_begin,
                "on_header_field": form.on_header_field,
                "on_header_value": form.on_header_value,
                "on_header_end": form.on_header_end,
                "on_headers_finished": form.on_headers_finished,
                "on_part_data": form.on_part_data,
                "on_part_end": form.on_part_end,
                "on_end": form.on_end,
            },
        )
        try:
            async for chunk in chunks:
                # Everything after the file is ignored by OSS, malformed or not.
                if chunk and not form.file_complete:
                    parser.write(chunk)
        except MultipartParseError as error:
            raise _malformed(str(error)) from error
    if not form.file_complete:
        raise _malformed("The form ended before its file.")
    return Received(fields=form.fields, sha256=form.digest.hexdigest(), size=form.size)


@dataclass(kw_only=True)
class _Form:
    """The parser's callbacks."""

    check: Callable[[Mapping[str, str]], int]
    file: BufferedWriter
    fields: dict[str, str] = field(default_factory=dict)
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    size: int = 0
    largest: int = 0
    file_complete: bool = False
    _headers: list[tuple[str, str]] = field(default_factory=list)
    _header_name: bytearray = field(default_factory=bytearray)
    _header_value: bytearray = field(default_factory=bytearray)
    _name: str = ""
    _value: bytearray = field(default_factory=bytearray)

    def on_part_begin(self) -> None:
        self._headers.clear()
        self._name = ""
        self._value.clear()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        self._headers.append(
            (
                self._header_name.decode("latin-1").lower(),
                self._header_value.decode("utf-8", "replace"),
            )
        )
        self._header_name.clear()
        self._header_value.clear()

    def on_headers_finished(self) -> None:
        if self.file_complete:
            return
        names = [name for name, _ in self._headers]
        if not names or names[0] != "content-disposition":
            raise _malformed("Content-Disposition has to come first in each part.")
        found = _NAME.search(self._headers[0][1])
        if found is None:
            raise _malformed("The field's name has to be quoted.")
        self._name = found[1]
        if self._name == "file":
            self.largest = self.check(self.fields)

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self.file_complete:
            return
        piece = data[start:end]
        if self._name != "file":
            self._value += piece
            if len(self._value) > _LARGEST_FIELD:
                raise OssRefusal(
                    400, "FieldItemTooLong", "Your post policy field item is too long."
                )
            return
        self.size += len(piece)
        if self.size > self.largest:
            raise OssRefusal(
                400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size."
            )
        self.digest.update(piece)
        self.file.write(piece)

    def on_part_end(self) -> None:
        if self.file_complete:
            return
        if self._name == "file":
            self.file_complete = True
        else:
            self.fields[self._name] = self._value.decode("utf-8", "replace")

    def on_end(self) -> None:
        """The closing boundary; nothing depends on it."""


def _malformed(why: str) -> OssRefusal:
    return OssRefusal(
        400,
        "MalformedPOSTRequest",
        f"The body of your POST request is not well-formed multipart/form-data. {why}",
    )
