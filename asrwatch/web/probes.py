"""What machines ask: figures for Prometheus, and whether the daemon lives and is ready."""

import json
from collections.abc import Iterable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from asrwatch.metrics.measured import measure
from asrwatch.metrics.vitals import Checked
from asrwatch.web.rendering import Rendering
from asrwatch.web.sight import Sight

__all__ = ["PROBES", "routes"]

PROBES: Final = ("/healthz", "/readyz")
"""Answered without a token where only this machine can ask."""

_SHARE: Final = 0.01
"""Of a processor's time: figures of a very large database are taken the less often the more they cost."""

_FRESH_SECONDS: Final = 1.0
"""Whoever asks more often than that is told the same again."""


def routes(sight: Sight, rendering: Rendering) -> list[BaseRoute]:
    """What is served."""
    del rendering

    def metrics(_: Request) -> Response:
        from asrwatch.metrics.exposition import (  # noqa: PLC0415 - prometheus_client is for those who scrape
            CONTENT_TYPE,
            exposition,
        )

        def measured() -> bytes:
            health = sight.health()
            with sight.readers.one() as reader:
                return exposition(measure(reader, health, sight.settings), process=True)

        told = sight.remembering.recall_within("metrics", _SHARE, measured)
        return Response(told, headers={"content-type": CONTENT_TYPE})

    async def alive(_: Request) -> Response:
        # asks nobody, and waits for no thread: readers of long pages must not make the daemon look dead
        return _verdict(sight.vitals.alive())

    def ready(_: Request) -> Response:
        found = sight.remembering.recall("ready", _FRESH_SECONDS, sight.vitals.ready)
        return _verdict(found)

    return [
        Route("/metrics", metrics, methods=["GET"]),
        Route("/healthz", alive, methods=["GET"]),
        Route("/readyz", ready, methods=["GET"]),
    ]


def _verdict(found: Iterable[Checked]) -> Response:
    """200 where everything is well; 503 with what is not, for a person who looks why."""
    listed = list(found)
    well = all(each.is_well for each in listed)
    told = {
        "status": "ok" if well else "failing",
        "checks": [
            {"what": each.what, "ok": each.is_well, **({"why": each.wrong} if each.wrong else {})}
            for each in listed
        ],
    }
    return Response(
        json.dumps(told, indent=1) + "\n",
        status_code=200 if well else 503,
        media_type="application/json",
    )
