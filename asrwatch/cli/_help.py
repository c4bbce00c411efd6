"""Says Typer's help and complaints in the reader's language, at the moment they are written."""

import inspect
from collections.abc import Sequence
from io import StringIO
from typing import Any

import typer

from asrwatch.words import LANGUAGES, language, shown, use
from asrwatch.words.widths import cells, padded, wrapped

__all__ = ["Misuse", "complaint_of", "in_our_language", "taken_language"]

Misuse: type[Exception] = typer.BadParameter.__mro__[2]
"""ClickException, whichever package it lies in: what Typer raises for wrong usage."""


def taken_language(arguments: Sequence[str]) -> list[str]:
    """The arguments without `--lang en|zh`, which may stand anywhere; from now on that is spoken.

    Anything else after `--lang` comes first in the answer, where it is refused with the choices there are.
    """
    kept = list(arguments)
    end = kept.index("--") if "--" in kept else len(kept)
    for at, argument in enumerate(kept[:end]):
        name, equals, wish = argument.partition("=")
        if name != "--lang":
            continue
        length = 1 if equals else 2
        wish = wish if equals else "".join(kept[at + 1 : at + 2])
        rest = kept[:at] + kept[at + length :]
        for each in LANGUAGES:
            if wish == each:
                use(each)
                return rest
        return [*kept[at : at + length], *rest]
    return kept


def in_our_language(command: Any) -> Any:
    """The same command, whose help speaks as the reader does; nothing changes where that is English."""
    if language() != "en":
        context: Any = command.context_class
        formatter = type("Formatter", (_Formatter, context.formatter_class), {})
        command.context_class = type("Context", (context,), {"formatter_class": formatter})
    return command


def complaint_of(error: Any) -> str:
    """What Typer says of wrong usage."""
    said = StringIO()
    error.show(said)
    return shown(said.getvalue().rstrip("\n"))


class _Formatter:
    """Goes before click's own formatter: translates, and wraps by cells instead of by letters."""

    width: int
    current_indent: int
    write: Any

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write how the command is used."""
        said = f"{prefix or shown('Usage:')}{prog} "
        self._block(" ".join(map(shown, args.split())), first=said, rest=" " * cells(said))

    def write_heading(self, heading: str) -> None:
        """Write a section's name."""
        self.write(f"{' ' * self.current_indent}{shown(f'{heading}:')}\n")

    def write_text(self, text: str) -> None:
        """Write paragraphs."""
        indent = " " * self.current_indent
        for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
            if number:
                self.write("\n")
            self._block(shown(" ".join(paragraph.split())), first=indent, rest=indent)

    def write_dl(
        self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write what options, arguments and commands mean, in two columns."""
        widest = min(max(cells(first) for first, _ in rows), col_max) + col_spacing
        indent, rest = " " * self.current_indent, " " * (self.current_indent + widest)
        for first, second in rows:
            begun = f"{indent}{padded(first, widest)}"
            if cells(first) > widest - col_spacing:
                self.write(f"{indent}{first}\n")
                begun = rest
            self._block(shown(" ".join(second.split())), first=begun, rest=rest)

    def _block(self, text: str, *, first: str, rest: str) -> None:
        for number, line in enumerate(wrapped(text, max(self.width - cells(rest), 10))):
            self.write(f"{rest if number else first}{line}\n")
        if not text:
            self.write(f"{first.rstrip()}\n")
