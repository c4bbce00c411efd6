"""Looks at the status page's address and token, as `asrwatch check` does."""

from collections.abc import Iterator

from asrwatch.cli._finding import Finding, doubtful, good
from asrwatch.config import Settings
from asrwatch.desk.reports.status import Status
from asrwatch.errors import AsrwatchError

__all__ = ["page_findings"]


def page_findings(settings: Settings, status: Status | None) -> Iterator[Finding]:
    """Whether the page is served, or could be.

    Args:
        settings: say where.
        status: of the running daemon, None where none runs.
    """
    web = settings.web
    if web is None:
        yield good("page", "switched off (web: off)")
        return
    if status is not None:
        trouble = status.page_trouble
        if trouble is not None:
            yield doubtful("page", trouble.message, trouble.advice)
        elif status.page is not None:
            yield good("page", f"served at {status.page}")
        return
    from asrwatch.web.secret import token_of  # noqa: PLC0415 - only where there is a page
    from asrwatch.web.sockets import listening  # noqa: PLC0415 - same

    try:
        token_of(web)
        with listening(web.address):
            pass
    except AsrwatchError as error:
        yield doubtful("page", error.message, error.advice)
        return
    guarded = "for who has the token" if web.is_guarded else "for everybody on this machine"
    yield good("page", f"would be served at {web.address.url}, {guarded}")
