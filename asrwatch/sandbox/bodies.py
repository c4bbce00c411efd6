"""Reads request bodies: any size without quadratic work, what no limit allows without keeping it."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from asrwatch.sandbox.refusals import Refusal

__all__ = ["JsonObject", "header_enabled", "read_json"]

JsonObject = dict[str, Any]

# Strings of over 28,000,000 characters are refused whatever the model (contract 3); no valid body is longer.
_LARGEST_BODY: Final = 29_000_000


async def read_json(request: Request) -> JsonObject:
    """The request's JSON object.

    Raises:
        Refusal: it is not JSON, or not an object, or beyond every limit.
    """
    body = bytearray()
    size = 0
    async for chunk in _chunks(request):
        size += len(chunk)
        if size <= _LARGEST_BODY:
            body += chunk
    if size > _LARGEST_BODY:
        raise Refusal(
            "InvalidParameter",
            "String value length exceeds the maximum allowed (28000000).",
        )
    try:
        read = json.loads(body)
    except ValueError as error:
        raise Refusal("BadRequest.IllegalInput") from error
    if not isinstance(read, dict):
        raise Refusal("BadRequest.IllegalInput")
    return read


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise Refusal("ClientDisconnect") from error


def header_enabled(request: Request, name: str) -> bool:
    """Whether a switch like `X-DashScope-Async: enable` is on."""
    return request.headers.get(name, "").strip().lower() == "enable"
