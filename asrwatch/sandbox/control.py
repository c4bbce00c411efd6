"""The sandbox's own routes under `/sandbox`: the bill, the requests, the knobs, the faults. No key needed."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asrwatch.sandbox.bill import Work
from asrwatch.sandbox.bodies import read_json
from asrwatch.sandbox.faults import Fault
from asrwatch.sandbox.knobs import Knobs
from asrwatch.sandbox.refusals import Refusal
from asrwatch.sandbox.service import Service
from asrwatch.sandbox.traffic import Seen

__all__ = ["ControlRoutes"]

_KNOBS = TypeAdapter(Knobs)
_FAULT = TypeAdapter(Fault)
_FAULTS = TypeAdapter(tuple[Fault, ...])
_LINES = TypeAdapter(tuple[Work, ...])
_SEEN = TypeAdapter(tuple[Seen, ...])


@dataclass(frozen=True, kw_only=True)
class ControlRoutes:
    """What a person, a demo or a test in another process looks at and changes."""

    service: Service

    async def bill(self, _: Request) -> Response:
        """`GET /sandbox/bill`; keys are shown by their last four characters."""
        bill = self.service.bill
        lines: list[dict[str, Any]] = _LINES.dump_python(bill.lines, mode="json")
        for line in lines:
            line["key"] = _masked(line["key"])
        return JSONResponse(
            {
                "lines": lines,
                "paid": len(bill.paid),
                "seconds": bill.seconds,
                "paid_twice": bill.paid_twice,
            }
        )

    async def requests(self, _: Request) -> Response:
        """`GET /sandbox/requests`."""
        return JSONResponse(_SEEN.dump_python(self.service.traffic.seen, mode="json"))

    async def show_knobs(self, _: Request) -> Response:
        """`GET /sandbox/knobs`; keys are shown by their last four characters."""
        knobs: dict[str, Any] = _KNOBS.dump_python(self.service.knobs, mode="json")
        for name in ("keys", "key_errors"):
            knobs[name] = {_masked(key): value for key, value in knobs[name].items()}
        return JSONResponse(knobs)

    async def turn_knobs(self, request: Request) -> Response:
        """`PATCH /sandbox/knobs`: the knobs named in the body change, the others stay."""
        present = {name: getattr(self.service.knobs, name) for name in _names(Knobs)}
        try:
            knobs = _KNOBS.validate_python({**present, **await read_json(request)})
        except ValidationError as error:
            raise Refusal("InvalidParameter", str(error)) from error
        self.service.turn(knobs)
        return await self.show_knobs(request)

    async def show_faults(self, _: Request) -> Response:
        """`GET /sandbox/faults`: what would still strike."""
        return JSONResponse(_FAULTS.dump_python(self.service.faults.armed, mode="json"))

    async def add_fault(self, request: Request) -> Response:
        """`POST /sandbox/faults`: arm one."""
        try:
            fault = _FAULT.validate_python(await read_json(request))
        except ValidationError as error:
            raise Refusal("InvalidParameter", str(error)) from error
        self.service.faults.add(fault)
        return await self.show_faults(request)

    async def clear_faults(self, request: Request) -> Response:
        """`DELETE /sandbox/faults`: disarm all."""
        self.service.faults.clear()
        return await self.show_faults(request)


def _masked(key: str) -> str:
    return f"***{key[-4:]}"


def _names(settings: type[Knobs]) -> tuple[str, ...]:
    return tuple(settings.__dataclass_fields__)
