"""Names for what goes wrong with a recording: the synchronous refusal and the code of a failed task."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

from asrwatch.sandbox.media import Why
from asrwatch.sandbox.models import Family, Model
from asrwatch.sandbox.recogniser import TooLong
from asrwatch.sandbox.refusals import Refusal

__all__ = [
    "DOWNLOAD_CODES",
    "INVALID_URL",
    "forced",
    "sync_too_long",
    "sync_unreachable",
    "sync_unreadable",
]

# Contract 6.1: the sentence both envelopes carry; the OpenAI path puts the inner code before it.
INVALID_URL: Final = (
    "The provided URL does not appear to be valid. Ensure it is correctly formatted."
)

# Contract 7.4.
DOWNLOAD_CODES: Final[Mapping[Why, str]] = {
    Why.NOT_A_URL: "REQUEST_INVALID_FILE_URL_VALUE",
    Why.NOT_BASE64: "REQUEST_INVALID_FILE_URL_VALUE",
    Why.REFUSED: "FILE_403_FORBIDDEN",
    Why.NOT_FOUND: "FILE_404_NOT_FOUND",
    Why.SERVER_ERROR: "FILE_SERVER_ERROR",
    Why.DOWNLOAD_FAILED: "FILE_DOWNLOAD_FAILED",
    Why.NO_LENGTH: "CONTENT_LENGTH_CHECK_FAILED",
    Why.WRONG_LENGTH: "CONTENT_LENGTH_CHECK_FAILED",
    Why.TOO_LARGE: "FILE_TOO_LARGE",
}


def invalid_url(*, compatible: bool) -> Refusal:
    """What a URL that is none, and an `oss://` one without the resolve header, are told."""
    prefix = "InternalError.Algo.InvalidParameter: " if compatible else ""
    return Refusal("InvalidParameter", prefix + INVALID_URL)


def sync_unreachable(why: Why, *, compatible: bool) -> Refusal:
    """The synchronous refusal for audio that could not be had (contract 7.3)."""
    match why:
        case Why.NOT_A_URL:
            return invalid_url(compatible=compatible)
        case Why.NOT_BASE64:
            return Refusal("InvalidParameter", "The audio format is illegal and cannot be opened.")
        case Why.NO_LENGTH:
            return Refusal("InternalError.Algo")
        case Why.TOO_LARGE:
            return Refusal("InvalidURL", "The input audio is larger than 10MB.")
        case _:
            return Refusal("InvalidParameter.DataInspection")


def sync_too_long(model: Model, problem: TooLong) -> Refusal:
    """The synchronous refusal for audio over the model's limit (contract 3)."""
    seconds = model.longest_seconds
    if model.family is Family.AUDIO_SYNC:
        milliseconds = problem.duration.total_seconds() * 1000
        return Refusal(
            "AUDIO_DURATION_TOO_LONG",
            f"audio duration ({milliseconds:.1f}ms) over service process ({seconds}s)",
        )
    return Refusal(
        "InvalidFile.AudioLengthError", f"Audio length must be between 1s and {seconds}s."
    )


def sync_unreadable() -> Refusal:
    """The synchronous refusal for what is not audio (contract 7.3)."""
    return Refusal("InvalidParameter", "The file format is illegal and cannot be opened.")


def forced(codes: Mapping[str, str], *candidates: str) -> str | None:
    """The code that the knobs force on a recording known by any of these names."""
    for pattern, code in codes.items():
        for candidate in candidates:
            if candidate and (candidate == pattern or fnmatchcase(candidate, pattern)):
                return code
    return None
