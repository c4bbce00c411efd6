"""A moment in the past, as people write it: how long ago, or a date."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from asrwatch.clock import utc_now
from asrwatch.values import parse_duration

__all__ = ["Since", "moment_of"]

Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="WHEN",
        help="Only from then on: how long ago (90m, 12h, 7d) or a date (2026-03-01, 2026-03-01T14:30).",
        show_default=False,
    ),
]


def moment_of(written: str | None) -> datetime | None:
    """The moment that is meant; a date without a zone is one of this machine's clock.

    Raises:
        typer.BadParameter: it is none.
    """
    if written is None:
        return None
    try:
        return datetime.fromisoformat(written).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    try:
        return utc_now() - parse_duration(written)
    except (ValueError, OverflowError):
        msg = f"{written!r} is neither how long ago (90m, 12h, 7d) nor a date (2026-03-01, 2026-03-01T14:30)"
        raise typer.BadParameter(msg, param_hint="--since") from None
