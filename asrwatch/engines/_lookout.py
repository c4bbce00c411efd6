"""Ask about many tasks with few requests: lists where they pay, one by one where they do not."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from asrwatch.cloud.desk import Visit
from asrwatch.cloud.tasks import Listed, Page
from asrwatch.errors import EngineError, EngineTrouble, RecordingError

__all__ = ["ENDED", "Lookout", "refuses_lists", "worth_listing"]

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "CANCELLED", "UNKNOWN"})
"""Statuses that no task leaves again; any other, also one we do not know, is under way."""

_UNDER_WAY = ("RUNNING", "PENDING")
"""Only these are listed: what is in neither list has ended, and its result needs a query of its own."""

_FEWEST = 3
"""Two tasks are asked about for less than two lists would cost if both have ended."""

_PAGE_SIZE = 100
"""The largest page is not documented; one the cloud refuses is given up for its default of 10."""


def worth_listing(*, unseen: int, pages: int) -> bool:
    """Whether so many list calls can spare more requests than they cost. Pure.

    Args:
        unseen: tasks not yet found in a list, each of which costs one query otherwise.
        pages: list calls still to make.
    """
    return pages < unseen


def refuses_lists(error: RecordingError | EngineError) -> bool:
    """Whether the trouble is with listing, as where a key may query tasks but not list them."""
    return isinstance(error, RecordingError) or error.trouble in {
        EngineTrouble.FORBIDDEN,
        EngineTrouble.DOWN,
    }


class Lookout:
    """Lists of one model's tasks. Remembers only which page size the cloud takes."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._page_size: int | None = _PAGE_SIZE

    def still_out(self, visit: Visit, tickets: Sequence[str]) -> dict[str, str]:
        """Which of these are certainly under way, with the cloud's word for it, as far as asking pays.

        Raises:
            TemporaryError: the cloud could not be asked.
            EngineError: the key is at fault.
        """
        out: dict[str, str] = {}
        unseen = set(tickets)
        if len(unseen) < _FEWEST:
            return out
        for status in _UNDER_WAY:
            if not worth_listing(unseen=len(unseen), pages=1):
                break
            for number, page in self._pages(visit, status):
                for listed in page.listed:
                    if listed.ticket in unseen:
                        unseen.discard(listed.ticket)
                        if listed.status not in ENDED:
                            out[listed.ticket] = listed.status
                if not worth_listing(unseen=len(unseen), pages=page.pages - number):
                    break
        return out

    def everything(self, visit: Visit) -> Iterator[Page]:
        """The tasks of the last 24 hours that may be this model's, whatever name the cloud lists it by.

        Raises:
            RecordingError: the cloud refuses to list.
            TemporaryError: the cloud could not be asked.
            EngineError: the key is at fault.
        """
        for _, page in self._pages(visit, None):
            yield replace(page, listed=tuple(filter(self._may_be_ours, page.listed)))

    def _may_be_ours(self, listed: Listed) -> bool:
        """A snapshot and its alias are one model: asked by one name, it may be listed by the other."""
        name = listed.model
        return name is None or name.startswith(self._model) or self._model.startswith(name)

    def _pages(self, visit: Visit, status: str | None) -> Iterator[tuple[int, Page]]:
        """Pages with their numbers, from 1; none where the cloud refuses this kind of list."""
        number = 1
        while True:
            try:
                page = self._page(visit, status, number)
            except (RecordingError, EngineError) as error:
                if status is None or not refuses_lists(error):
                    raise
                return  # only a saving is lost: every task is asked about by itself
            yield number, page
            if not page.listed or number >= page.pages:
                return
            number += 1

    def _page(self, visit: Visit, status: str | None, number: int) -> Page:
        # A list by status only saves questions; one that proves absence must not rest on a name.
        model = self._model if status is not None else None
        try:
            return visit.list(model, status=status, page=number, page_size=self._page_size)
        except RecordingError:
            if self._page_size is None or number > 1:
                raise
            self._page_size = None
            return visit.list(model, status=status, page=number, page_size=None)
