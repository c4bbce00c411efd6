"""Prints what people read (labelled rows, aligned; bold labels only on a terminal) and what machines read."""

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self

import typer

from asrwatch.values import printable
from asrwatch.words import shown
from asrwatch.words.widths import cells, padded

__all__ = ["Named", "Row", "grid_of", "local", "print_json", "safe", "say", "show"]


class Named(str):
    """A line that begins with a name that people gave, which is shown as it is: an inbox may be called "inbox"."""

    __slots__ = ("name",)
    name: str

    def __new__(cls, name: str, rest: str = "") -> Self:
        """`name` as people wrote it, `rest` in English."""
        line = super().__new__(cls, name + rest)
        line.name = name
        return line


Row = tuple[str, str]
"""A label, empty where it is that of the row above, and one line of text."""


def say(text: str = "", *, err: bool = False) -> None:
    """Print sentences of ours in the reader's language; `typer.echo` is for what is printed as it is."""
    typer.echo(shown(text), err=err)


def show(rows: Iterable[Row]) -> None:
    """Print rows in the reader's language; long lines are wrapped on a terminal and left alone elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - a tenth of a second that pipes need not pay

        Console(highlight=False).print(grid_of(rows))
        return
    listed = _shown(rows)
    width = max((cells(label) for label, _ in listed), default=0) + 2
    for label, text in listed:
        typer.echo(f"{padded(label, width)}{text}")


def grid_of(rows: Iterable[Row]) -> Any:
    """Rows as Rich draws them: in the reader's language, with bold labels."""
    from rich.table import Table  # noqa: PLC0415 - a tenth of a second that pipes need not pay
    from rich.text import Text  # noqa: PLC0415 - same

    table = Table.grid(padding=(0, 2))
    for label, text in _shown(rows):
        table.add_row(Text(label, style="bold"), Text(text, overflow="fold"))
    return table


def _shown(rows: Iterable[Row]) -> list[Row]:
    return [(shown(label), _line(text)) for label, text in rows]


def _line(text: str) -> str:
    if isinstance(text, Named):
        return safe(text.name) + shown(safe(text.removeprefix(text.name)))
    return shown(safe(text))


def print_json(value: Any) -> None:
    """Print JSON in ASCII, so that no name in it can steer a terminal."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=True))


def local(moment: datetime) -> str:
    """A date as people at this machine write it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def safe(text: str) -> str:
    """Text that may hold foreign words, on one line that steers nothing."""
    return printable(text)
