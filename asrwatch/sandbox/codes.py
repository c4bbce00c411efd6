"""The documented errors: code, status, name in the OpenAI dialect, usual text (contract 7.2, 7.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One documented error: its status, its name in the OpenAI dialect and its usual text."""

    status: int
    compatible: str
    message: str


# Contract 7.2 and 7.3. Where no name in the OpenAI dialect is documented, the native one is used.
KINDS: Final[Mapping[str, Kind]] = {
    code: Kind(status=status, compatible=compatible or code, message=message)
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
