"""Every refusal the sandbox answers with: the contract's codes, statuses and three envelopes."""

import html
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from starlette.responses import JSONResponse, Response

from asrwatch.sandbox.codes import KINDS, Kind

__all__ = ["Envelope", "OssRefusal", "Refusal", "envelope_of", "refused"]


class Envelope(StrEnum):
    """Which shape an error takes (contract 7.1); it follows from the path."""

    NATIVE = "native"
    COMPATIBLE = "compatible"
    OSS = "oss"


_BAD_REQUEST: Final = 400
_THROTTLED: Final = 429


def envelope_of(path: str) -> Envelope:
    """Which dialect a path speaks; errors before routing need it too."""
    if path.startswith("/compatible-mode/"):
        return Envelope.COMPATIBLE
    return Envelope.OSS if path.startswith("/oss/") else Envelope.NATIVE


class Refusal(Exception):
    """A DashScope error answer.

    Args:
        code: the native code (contract 7.2, 7.3); unknown ones are allowed and answer 400.
        message: the text; the documented one if left out.
        status: the HTTP status; the documented one if left out.
        compatible: the code on the OpenAI path; the documented one if left out.
        headers: further response headers.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        status: int | None = None,
        compatible: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        kind = KINDS.get(code, Kind(status=_BAD_REQUEST, compatible=code, message=code))
        self.code = code
        self.message = kind.message if message is None else message
        self.status = kind.status if status is None else status
        self.compatible = kind.compatible if compatible is None else compatible
        self.headers = dict(headers or {})
        super().__init__(f"{self.status} {code}: {self.message}")

    @property
    def error_type(self) -> str:
        """`error.type` of the OpenAI dialect; equals the code for a 429 (contract 7.3)."""
        if self.status == _THROTTLED:
            return self.compatible
        return "invalid_request_error" if self.status < 500 else "server_error"  # noqa: PLR2004 - HTTP classes


def refused(refusal: Refusal, envelope: Envelope, request_id: str) -> Response:
    """The refusal as an HTTP answer in the given envelope."""
    flat = {"code": refusal.code, "message": refusal.message, "request_id": request_id}
    nested = {
        "error": {
            "message": refusal.message,
            "type": refusal.error_type,
            "param": None,
            "code": refusal.compatible,
        },
        "request_id": request_id,
    }
    # A success whose body holds a code is flat on every path (contract 7.1).
    compatible = envelope is Envelope.COMPATIBLE and refusal.status != HTTPStatus.OK
    body = nested if compatible else flat
    return JSONResponse(body, status_code=refusal.status, headers=refusal.headers)


class OssRefusal(Exception):
    """An error of the object store: XML, not DashScope's JSON (contract 6.1)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        super().__init__(f"{status} {code}: {message}")

    def response(self, request_id: str, host: str) -> Response:
        """The error as OSS writes it."""
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n'
            f"  <Code>{html.escape(self.code)}</Code>\n"
            f"  <Message>{html.escape(self.message)}</Message>\n"
            f"  <RequestId>{request_id}</RequestId>\n  <HostId>{html.escape(host)}</HostId>\n</Error>\n"
        )
        return Response(
            body,
            status_code=self.status,
            media_type="application/xml",
            headers={"x-oss-request-id": request_id, "server": "AliyunOSS"},
        )
