"""What a request names: a recording's number, no larger than numbers of the database can be."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

__all__ = ["LARGEST", "number_in", "recording_in"]

LARGEST: Final = 2**62
_DIGITS: Final = 19


def recording_in(request: Request) -> int:
    """The number in the path.

    Raises:
        HTTPException: 404, no recording has such a number.
    """
    number = number_in(request.path_params["id"])
    if number is None or number >= LARGEST:
        raise HTTPException(404, "There is no such recording.")
    return number


def number_in(written: str) -> int | None:
    """A number that was written into an address; None where it is none."""
    fits = written.isascii() and written.isdecimal() and len(written) <= _DIGITS
    return min(int(written), LARGEST) if fits else None
