"""Every error code of the contract becomes the exception that says what the daemon does."""

import json

import pytest

from asrwatch.cloud.refusals import NoSpeech, Where, refusal, task_refusal
from asrwatch.errors import (
    AsrwatchError,
    BillUnknown,
    DoesNotFit,
    EngineError,
    EngineTrouble,
    RecordingError,
    TemporaryError,
    TicketLost,
    UrlExpired,
)

KEY, MONEY = EngineTrouble.KEY, EngineTrouble.MONEY
FORBIDDEN, THROTTLED = EngineTrouble.FORBIDDEN, EngineTrouble.THROTTLED

Meaning = EngineTrouble | type[AsrwatchError]

# status, code, message, what it means: contract section 7.2
ACCOUNT: list[tuple[int, str, str, Meaning]] = [
    (401, "InvalidApiKey", "Invalid API-key provided.", KEY),
    (401, "InvalidApiKey", "No API-key provided.", KEY),
    (401, "invalid_api_key", "Incorrect API key provided. For details, see: ...", KEY),
    (401, "NOT AUTHORIZED", "", KEY),
    (403, "AccessDenied", "Access denied.", FORBIDDEN),
    (403, "AccessDenied.Unpurchased", "Access to model denied.", MONEY),
    (403, "Model.AccessDenied", "Model access denied.", FORBIDDEN),
    (403, "Workspace.AccessDenied", "Workspace access denied.", FORBIDDEN),
    (403, "AllocationQuota.FreeTierOnly", "The free tier of the model has been exhausted.", MONEY),
    (
        400,
        "Arrearage",
        "Access denied, please make sure your account is in good standing.",
        MONEY,
    ),
    (403, "Arrearage", "Access denied.", MONEY),
    (429, "CommodityNotPurchased", "Commodity has not purchased yet.", MONEY),
    (429, "PrepaidBillOverdue", "The prepaid bill is overdue.", MONEY),
    (429, "PostpaidBillOverdue", "The postpaid bill is overdue.", MONEY),
    (404, "ModelNotFound", "Model can not be found.", FORBIDDEN),
    (404, "model_not_found", "The model does not exist.", FORBIDDEN),
    (
        404,
        "model_not_supported",
        "Unsupported model x for OpenAI compatibility mode.",
        FORBIDDEN,
    ),
    (404, "WorkSpaceNotFound", "WorkSpace can not be found.", FORBIDDEN),
    (404, "NotFound", "Not found!", FORBIDDEN),
]

# contract section 7.3
REQUEST: list[tuple[int, str, str, Meaning]] = [
    (400, "InvalidParameter", "Required parameter missing.", RecordingError),
    (400, "invalid_parameter_error", "The voice property is required.", RecordingError),
    (400, "invalid_request_error", "Bad request.", RecordingError),
    (400, "invalid_value", "Bad value.", RecordingError),
    (400, "BadRequest.EmptyInput", "Required input parameter missing.", RecordingError),
    (400, "BadRequest.EmptyModel", "Required parameter model missing.", RecordingError),
    (400, "BadRequest.EmptyParameters", "Required parameter missing.", RecordingError),
    (
        400,
        "BadRequest.IllegalInput",
        "The input parameter requires json format.",
        RecordingError,
    ),
    (
        400,
        "ServiceUnavailableError",
        "Role must be user or assistant and Content length must be greater than 0.",
        RecordingError,
    ),
    (400, "APIConnectionError", "Connection error.", TemporaryError),
    (
        400,
        "BadRequest.TooLarge",
        "Exceeded limit on max bytes per data-uri item : 10485760",
        DoesNotFit,
    ),
    (
        400,
        "InvalidFile.AudioLengthError",
        "Audio length must be between 1s and 300s.",
        DoesNotFit,
    ),
    (
        400,
        "AUDIO_DURATION_TOO_LONG",
        "audio duration (301008.0ms) over service process (300s)",
        DoesNotFit,
    ),
    (
        400,
        "InvalidParameter.DataInspection",
        "Unable to download the media resource during the data inspection process.",
        UrlExpired,
    ),
    (400, "BadRequest.InputDownloadFailed", "Failed to download the input file: x", UrlExpired),
    (400, "InvalidFile.DownloadFailed", "The audio file cannot be downloaded.", UrlExpired),
    (400, "InvalidURL.Timeout", "Download x timeout, please check.", UrlExpired),
    (400, "InvalidURL.ConnectionRefused", "Connection refused.", UrlExpired),
    (400, "InvalidURL", "Invalid URL provided in your request.", RecordingError),
    (400, "InvalidURL", "The input audio is longer than 300s.", DoesNotFit),
    (
        400,
        "InvalidParameter",
        "The file format is illegal and cannot be opened",
        RecordingError,
    ),
    (400, "InvalidParameter", "The audio format is illegal and cannot be opened", RecordingError),
    (
        400,
        "InvalidParameter.DataInspection",
        "The media format is not supported or incorrect for the data inspection.",
        RecordingError,
    ),
    (400, "InvalidParameter", "The audio is empty", RecordingError),
    (400, "BadRequest.UnsupportedFileFormat", "Unsupported file format.", RecordingError),
    (400, "DataInspectionFailed", "Input data may contain inappropriate content.", RecordingError),
    (400, "data_inspection_failed", "Input data may contain inappropriate.", RecordingError),
    (400, "UnsupportedOperation", "Failed to cancel the task.", RecordingError),
    (400, "InvalidParameter", "url error, please check url！", FORBIDDEN),  # noqa: RUF001 - the cloud's own mark
    (400, "InvalidParameter", "input must contain file_urls", FORBIDDEN),
    (400, "ClientDisconnect", "Client disconnected.", TemporaryError),
    (
        403,
        "AccessDenied",
        "current user api does not support asynchronous calls.",
        FORBIDDEN,
    ),
    (403, "AccessDenied", "current user api does not support synchronous calls", FORBIDDEN),
    (409, "Conflict", "Name already exists.", RecordingError),
    (429, "Throttling", "Requests throttling triggered.", THROTTLED),
    (429, "Throttling.RateQuota", "Requests rate limit exceeded.", THROTTLED),
    (429, "LimitRequests", "You exceeded your current request limit.", THROTTLED),
    (429, "limit_requests", "You have exceeded your current request limit.", THROTTLED),
    (429, "Throttling.BurstRate", "Request rate increased too quickly.", THROTTLED),
    (429, "limit_burst_rate", "Request rate increased too quickly.", THROTTLED),
    (429, "Throttling.AllocationQuota", "Allocated quota exceeded, please try.", THROTTLED),
    (429, "insufficient_quota", "Allocated quota exceeded, please increase.", THROTTLED),
    (429, "Throttling.AllocationQuota", "Free allocated quota exceeded.", MONEY),
    (429, "insufficient_quota", "Free allocated quota exceeded.", MONEY),
    (400, "Throttling.AllocationQuota", "Too many vocabularies.", RecordingError),
    (400, "Audio.DecoderError", "Decoder error.", RecordingError),
    (430, "Audio.AudioSilentError", "Audio is silent.", RecordingError),
    (500, "InternalError", "An internal error has occured.", BillUnknown),
    (500, "internal_error", "An internal error has occured.", BillUnknown),
    (500, "InternalError.Algo", "Inference internal error.", BillUnknown),
    (
        400,
        "invalid_parameter_error",
        "InternalError.Algo.InvalidParameter: The provided URL does not appear to be valid",
        RecordingError,
    ),
    (500, "InternalError.Algo", "InvalidParameter: wrong.", RecordingError),
    (500, "InternalError.Algo", "Missing Content-Length of multimodal url.", RecordingError),
    (500, "InternalError.FileUpload", "oss upload error.", BillUnknown),
    (500, "InternalError.Upload", "Failed to upload result.", BillUnknown),
    (500, "InternalError.Timeout", "No result in 3 hours.", BillUnknown),
    (500, "SystemError", "An system error has occured.", BillUnknown),
    (500, "ModelServiceFailed", "Failed to request model service.", BillUnknown),
    (500, "RequestTimeOut", "Request timed out, please try again later.", BillUnknown),
    (500, "ResponseTimeout", "Response timeout.", BillUnknown),
    (500, "ModelServingError", "Too many requests. Your requests are queued.", BillUnknown),
    (503, "ModelServingError", "Too many requests.", BillUnknown),
    (503, "ModelUnavailable", "Model is unavailable, please try again later.", BillUnknown),
]

# contract section 7.4, and what 6.1 and 2.5 say of silence
TASK: list[tuple[str, Meaning]] = [
    ("SUCCESS_WITH_NO_VALID_FRAGMENT", NoSpeech),
    ("ASR_RESPONSE_HAVE_NO_WORDS", NoSpeech),
    ("NO_VALID_AUDIO_ERROR", RecordingError),
    ("NO_INPUT_AUDIO_ERROR", RecordingError),
    ("FILE_DOWNLOAD_FAILED", UrlExpired),
    ("InvalidFile.DownloadFailed", UrlExpired),
    ("FILE_SERVER_ERROR", UrlExpired),
    ("FILE_403_FORBIDDEN", UrlExpired),
    ("FILE_404_NOT_FOUND", UrlExpired),
    ("REQUEST_INVALID_FILE_URL_VALUE", RecordingError),
    ("CONTENT_LENGTH_CHECK_FAILED", RecordingError),
    ("FILE_TOO_LARGE", DoesNotFit),
    ("AUDIO_DURATION_TOO_LONG", DoesNotFit),
    ("FILE_CHECK_FAILED", RecordingError),
    ("FILE_PARSE_FAILED", RecordingError),
    ("FILE_NORMALIZE_FAILED", RecordingError),
    ("MKV_PARSE_FAILED", RecordingError),
    ("DECODE_ERROR", RecordingError),
    ("UNSUPPORTED_FORMAT", RecordingError),
    ("DataInspectionFailed", RecordingError),
    ("InternalError.Timeout", TemporaryError),
    ("FILE_TRANS_TASK_EXPIRED", TicketLost),
    ("SOMETHING_NEW", RecordingError),
]

# contract section 6.1, in XML
UPLOAD: list[tuple[int, str, str, type[AsrwatchError]]] = [
    (403, "AccessDenied", "Invalid according to Policy: Policy expired.", TemporaryError),
    (400, "MalformedPOSTRequest", "The body of your POST request is not good.", RecordingError),
    (400, "EntityTooLarge", "Your proposed upload exceeds the maximum.", RecordingError),
    (409, "FileAlreadyExists", "The object you specified already exists.", TemporaryError),
    (403, "RequestTimeTooSkewed", "The difference is too large.", TemporaryError),
    (403, "SignatureDoesNotMatch", "The signature does not match.", TemporaryError),
    (500, "InternalError", "Please try again later.", TemporaryError),
]


def check(error: AsrwatchError, meaning: Meaning) -> None:
    """The error is exactly of this kind."""
    if isinstance(meaning, EngineTrouble):
        assert isinstance(error, EngineError)
        assert error.trouble is meaning
    else:
        assert type(error) is meaning
    assert error.message.isprintable()


@pytest.mark.parametrize(("status", "code", "message", "meaning"), ACCOUNT + REQUEST)
@pytest.mark.parametrize("envelope", ["native", "compat"])
def test_documented_code_in_either_envelope(
    status: int, code: str, message: str, meaning: Meaning, envelope: str
) -> None:
    """Each documented code means the same in both envelopes, and stays visible to people."""
    native = {"code": code, "message": message, "request_id": "r-1"}
    compat = {
        "error": {"message": message, "type": code, "param": None, "code": code},
        "request_id": "r-1",
    }
    body = json.dumps(native if envelope == "native" else compat).encode()
    error = refusal(status, {}, body, where=Where.ASK)
    check(error, meaning)
    assert error.code == code
    assert code in error.message
    assert "r-1" in error.message


@pytest.mark.parametrize(("code", "meaning"), TASK)
def test_documented_task_code(code: str, meaning: Meaning) -> None:
    """Each code of a finished task means what section 7.4 says; the message often repeats the code."""
    error = task_refusal(code, code)
    check(error, meaning)
    assert error.code == code


@pytest.mark.parametrize(("status", "code", "message", "meaning"), UPLOAD)
def test_documented_upload_code(
    status: int, code: str, message: str, meaning: type[AsrwatchError]
) -> None:
    """The temporary space answers in XML; trouble there never holds an engine."""
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n  <Code>{code}</Code>\n'
        f"  <Message>{message}</Message>\n  <RequestId>5C3D9175</RequestId>\n</Error>"
    )
    error = refusal(status, {}, body.encode(), where=Where.UPLOAD)
    check(error, meaning)
    assert error.code == code


@pytest.mark.parametrize("code", ["Arrearage", "InvalidApiKey", "Throttling.RateQuota"])
def test_an_account_trouble_of_a_finished_task_is_that_tasks_only(code: str) -> None:
    """A task that ended for the account's trouble is over; the next request meets the trouble itself."""
    assert type(task_refusal(code, "")) is TemporaryError


def test_every_trouble_a_person_must_mend_says_how() -> None:
    """Key, money and permission errors carry advice."""
    for status, code, message, meaning in ACCOUNT:
        body = json.dumps({"code": code, "message": message}).encode()
        assert refusal(status, {}, body, where=Where.ASK).advice, (code, meaning)
