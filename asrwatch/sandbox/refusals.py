"""Every refusal the sandbox answers with: the contract's codes, statuses and three envelopes."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from starlette.responses import JSONResponse, Response

__all__ = ["Envelope", "OssRefusal", "Refusal", "envelope_of", "refused"]


class Envelope(StrEnum):
    """Which shape an error takes (contract 7.1); it follows from the path."""

    NATIVE = "native"
    COMPATIBLE = "compatible"
    OSS = "oss"


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """One documented error: its status, its name in the OpenAI dialect and its usual text."""

    status: int
    compatible: str
    message: str


# Contract 7.2 and 7.3. Where no name in the OpenAI dialect is documented, the native one is used.
_KINDS: Final[Mapping[str, _Kind]] = {
    code: _Kind(status=status, compatible=compatible or code, message=message)
    for code, status, compatible, message in (
        ("InvalidApiKey", 401, "invalid_api_key", "Invalid API-key provided."),
        ("NOT AUTHORIZED", 401, "", "Workspace is not authorized."),
        ("AccessDenied", 403, "", "Access denied."),
        ("AccessDenied.Unpurchased", 403, "", "Access to model denied. Please activate it first."),
        ("Model.AccessDenied", 403, "", "Model access denied."),
        ("Workspace.AccessDenied", 403, "", "Workspace access denied."),
        (
            "AllocationQuota.FreeTierOnly",
            403,
            "",
            "The free tier of the model has been exhausted. Turn off the use-free-tier-only mode.",
        ),
        (
            "Arrearage",
            400,
            "",
            "Access denied, please make sure your account is in good standing.",
        ),
        ("CommodityNotPurchased", 429, "", "Commodity has not been purchased yet."),
        ("PrepaidBillOverdue", 429, "", "The prepaid bill is overdue."),
        ("PostpaidBillOverdue", 429, "", "The postpaid bill is overdue."),
        ("ModelNotFound", 404, "model_not_found", "Model not exist."),
        (
            "model_not_supported",
            404,
            "model_not_supported",
            "Unsupported model for OpenAI compatibility mode.",
        ),
        ("WorkSpaceNotFound", 404, "", "Workspace not found."),
        ("NotFound", 404, "", "Not found."),
        ("InvalidParameter", 400, "invalid_parameter_error", "Required parameter missing."),
        (
            "BadRequest.IllegalInput",
            400,
            "invalid_request_error",
            "The input parameter requires json format.",
        ),
        ("BadRequest.EmptyInput", 400, "invalid_parameter_error", "Required input is missing."),
        ("BadRequest.EmptyModel", 400, "invalid_parameter_error", "Required model is missing."),
        ("BadRequest.EmptyParameters", 400, "", "Required parameters are missing."),
        ("BadRequest.TooLarge", 400, "", "Payload too large."),
        (
            "InvalidFile.AudioLengthError",
            400,
            "",
            "Audio length must be between 1s and 300s.",
        ),
        ("AUDIO_DURATION_TOO_LONG", 400, "", "audio duration over service process (300s)"),
        (
            "InvalidParameter.DataInspection",
            400,
            "",
            "Unable to download the media resource during the data inspection process.",
        ),
        ("BadRequest.InputDownloadFailed", 400, "", "Failed to download the input file."),
        ("InvalidFile.DownloadFailed", 400, "", "The audio file cannot be downloaded."),
        ("InvalidURL.Timeout", 400, "", "Download timeout, please check network."),
        ("InvalidURL.ConnectionRefused", 400, "", "Connection refused, please provide available."),
        ("InvalidURL", 400, "", "Invalid URL provided in your request."),
        ("BadRequest.UnsupportedFileFormat", 400, "", "File format unsupported."),
        (
            "DataInspectionFailed",
            400,
            "data_inspection_failed",
            "Input data may contain inappropriate content.",
        ),
        ("UnsupportedOperation", 400, "", "The operation is unsupported."),
        (
            "ServiceUnavailableError",
            400,
            "",
            "Role must be user or assistant and Content length must be greater than 0.",
        ),
        ("ClientDisconnect", 400, "", "Client disconnected before task finished!"),
        ("ASR_RESPONSE_HAVE_NO_WORDS", 400, "", "ASR_RESPONSE_HAVE_NO_WORDS"),
        ("Conflict", 409, "", "Model instance already exists."),
        ("Throttling", 429, "limit_requests", "Requests throttling triggered."),
        (
            "Throttling.RateQuota",
            429,
            "limit_requests",
            "You have exceeded your current request limit. Please try again later.",
        ),
        (
            "LimitRequests",
            429,
            "limit_requests",
            "You have exceeded your current request limit. Please try again later.",
        ),
        (
            "Throttling.BurstRate",
            429,
            "limit_burst_rate",
            "Request rate increased too quickly. Please raise it smoothly.",
        ),
        (
            "Throttling.AllocationQuota",
            429,
            "insufficient_quota",
            "Allocated quota exceeded, please increase your quota limit.",
        ),
        ("InternalError", 500, "internal_error", "An internal error has occurred."),
        ("InternalError.Algo", 500, "", "Missing Content-Length of multimodal url."),
        ("InternalError.FileUpload", 500, "", "Failed to upload the result to OSS."),
        ("InternalError.Upload", 500, "", "Failed to upload the result."),
        ("SystemError", 500, "", "An system error has occurred, please try again later."),
        ("ModelServiceFailed", 500, "", "Failed to request the model service."),
        ("InternalError.Timeout", 500, "", "The task had no result in time."),
        ("RequestTimeOut", 500, "", "Request timed out, please try again later."),
        ("ResponseTimeout", 500, "", "Response timed out."),
        ("ModelServingError", 503, "", "Too many requests. Your requests are being throttled."),
        ("ModelUnavailable", 503, "", "Model is unavailable, please try again later."),
    )
}
_BAD_REQUEST: Final = 400
_THROTTLED: Final = 429


def envelope_of(path: str) -> Envelope:
    """Which dialect a path speaks; errors before routing need it too."""
    if path.startswith("/compatible-mode/"):
        return Envelope.COMPATIBLE
    return Envelope.OSS if path.startswith("/oss/") else Envelope.NATIVE


class Refusal(Exception):  # noqa: N818 - it is an answer, not an error of the sandbox
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
        kind = _KINDS.get(code, _Kind(status=_BAD_REQUEST, compatible=code, message=code))
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
    body = nested if envelope is Envelope.COMPATIBLE else flat
    return JSONResponse(body, status_code=refusal.status, headers=refusal.headers)


class OssRefusal(Exception):  # noqa: N818 - it is an answer, not an error of the sandbox
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
