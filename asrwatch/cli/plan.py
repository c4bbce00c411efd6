"""`asrwatch plan`: what everything that waits would cost and where it would go."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from asrwatch.bootstrap import build_parts
from asrwatch.cli._house import absolute, consult, settings_for, with_inboxes
from asrwatch.cli._options import AsJson, ConfigFile, Folders
from asrwatch.cli._printing import Row, print_json, safe, say, show
from asrwatch.config import Settings
from asrwatch.desk import planning
from asrwatch.desk.planning import Planned, Totals
from asrwatch.desk.questions import AskBooked
from asrwatch.desk.reports.treatment import Booked
from asrwatch.values import (
    counted,
    format_duration,
    format_hours,
    format_money,
    format_size,
    printable,
)

__all__ = ["plan"]


def plan(folders: Folders, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Tell what everything that waits would cost.

    Looks through the inboxes, or folders of theirs, or other folders as if they were inboxes: where each file would go,
    about how many bytes would be sent, what that costs in each region, and which files would fail and why. Silent ones
    are not sent and cost nothing. Copies of the same content are paid for once, but counted each.
    """
    files: list[Planned] = []
    for one in _planned(config, folders):
        files.append(one)
        if not as_json:
            say(_line(one))
    summed = planning.totals(files)
    if as_json:
        print_json({"files": [_as_json(one) for one in files], "totals": _totals_as_json(summed)})
    else:
        show(_rows(summed))


def _planned(config: Path | None, folders: Sequence[Path]) -> Iterator[Planned]:
    """What lies in a configured inbox is planned as it will be treated there; other folders as `run DIR` would."""
    settings = settings_for(config)
    of_inboxes = [
        folder
        for folder in folders
        if any(planning.takes_folder(inbox, *absolute((folder,))) for inbox in settings.inboxes)
    ]
    others = [folder for folder in folders if folder not in of_inboxes]
    if of_inboxes or not others:
        yield from _through(with_inboxes(settings), absolute(of_inboxes))
    if others:
        yield from _through(settings_for(config, others), ())


def _through(settings: Settings, folders: Sequence[bytes]) -> Iterator[Planned]:
    routes = build_parts(settings).routes
    return planning.plan(settings.inboxes, routes, booked=_books(settings), folders=folders)


def _books(settings: Settings) -> Any:
    def booked(paths: Sequence[bytes]) -> tuple[bytes, ...]:
        return consult(settings, AskBooked(paths=tuple(paths)), Booked).paths

    return booked


def _line(one: Planned) -> str:
    length = format_duration(one.duration) if one.duration is not None else "unknown length"
    name = printable(one.path)
    if one.silent:
        return f"{name}: {length}, {safe(one.why)}"
    if one.engine is None:
        return f"{name}: would fail: {safe(one.why)}"
    sent = f"{format_size(one.size)} -> {format_size(one.sends)}"
    how = sent if one.sends != one.size else format_size(one.size)
    each = f", each of {one.channels} channels billed" if one.channels > 1 else ""
    pieces = f", about {one.pieces} pieces" if one.pieces > 1 else ""
    return f"{name}: {length}, {how}, {one.engine}{pieces}{each}"


def _rows(summed: Totals) -> list[Row]:
    currencies = planning.currencies()
    failing = f", {counted(summed.failing, 'file')} would fail" if summed.failing else ""
    silent = f", {counted(summed.silent, 'file')} silent and not sent" if summed.silent else ""
    rows = [
        ("files", f"{summed.files}{failing}{silent}"),
        ("audio", f"{format_hours(summed.billed)} to be paid for"),
        ("bytes", f"{format_size(summed.size)}, about {format_size(summed.sends)} would be sent"),
    ]
    rows += [(engine, counted(number, "file")) for engine, number in sorted(summed.engines.items())]
    rows += [
        (f"price in {region}", f"about {format_money(price, currencies[region])}")
        for region, price in summed.prices.items()
    ]
    return rows


def _as_json(one: Planned) -> dict[str, Any]:
    return {
        "path": one.path.decode("utf-8", "surrogateescape"),
        "inbox": one.inbox,
        "bytes": one.size,
        "seconds": one.duration.total_seconds() if one.duration is not None else None,
        "engine": one.engine,
        "preparation": one.preparation,
        "sends": one.sends,
        "billed_seconds": one.billed.total_seconds(),
        "billed_channels": one.channels,
        "pieces": one.pieces,
        "prices": {region: str(price) for region, price in one.prices.items()},
        "why": one.why,
        "silent": one.silent,
    }


def _totals_as_json(summed: Totals) -> dict[str, Any]:
    currencies = planning.currencies()
    return {
        "files": summed.files,
        "failing": summed.failing,
        "silent": summed.silent,
        "bytes": summed.size,
        "sends": summed.sends,
        "billed_seconds": summed.billed.total_seconds(),
        "engines": dict(summed.engines),
        "prices": {
            region: {"sum": str(price), "currency": currencies[region]}
            for region, price in summed.prices.items()
        },
    }
