"""The broadcaster of live updates beside the page."""

import asyncio
from typing import Any, NoReturn, cast

import pytest
from starlette.requests import Request
from starlette.routing import Route

from asrwatch.web.bell import Bell
from asrwatch.web.live import Live


class Breaking(Live):
    """A broadcaster that can have no more threads to look in."""

    async def _look(self) -> NoReturn:
        msg = "can't start new thread"
        raise RuntimeError(msg)


def test_a_broadcaster_that_broke_ends_the_page() -> None:
    """Live updates that an unforeseen error ended do not stay away for good: the page ends, and is served anew."""
    live = Breaking(cast("Any", None), cast("Any", None), Bell())

    async def for_ever(*_: object) -> Any:
        await asyncio.sleep(3600)

    async def sent(_: object) -> None:
        """Somewhere."""

    async def visited() -> None:
        async with live.living():
            (route,) = live.routes()
            assert isinstance(route, Route)
            asked = Request({"type": "http", "headers": [], "query_string": b""})
            events = await route.endpoint(asked)
            await events(asked.scope, for_ever, sent)

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(visited())
    assert raised.value.subgroup(RuntimeError) is not None
