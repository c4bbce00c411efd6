"""Finds commands by the names of their files, importing only the one that is asked for."""

import ast
import gc
import importlib
import pkgutil
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from asrwatch.cli._help import in_our_language
from asrwatch.words import language, shown

__all__ = ["Commands", "names"]

_FOLDER = Path(__file__).parent
_ORDER = (
    "run",
    "once",
    "transcribe",
    "status",
    "log",
    "transcripts",
    "explain",
    "plan",
    "retry",
    "forget",
    "check",
    "notify",
    "unit",
    "parts",
    "demo",
    "sandbox",
    "version",
)
"""The most used first; other commands follow by name."""


class Commands(TyperGroup):
    """The group of all commands: names and help are read from the files, code is loaded when used."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": {name: TyperCommand(name) for name in names()}})

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with the first line of their docstrings."""
        self._summarise()
        super().format_commands(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """What a shell offers; some show what each command does."""
        self._summarise()
        return super().shell_complete(ctx, incomplete)

    def _summarise(self) -> None:
        for name, command in self.commands.items():
            command.help = _summary(name)
            if language() != "en":  # else its first words, as many as fit
                command.short_help = shown(command.help.partition(". ")[0].removesuffix(".") + ".")

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments name, and load it."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, (_load(name) if name else found), rest


def names() -> tuple[str, ...]:
    """Every command, in the order in which they are listed."""
    files = [module.name.replace("_", "-") for module in pkgutil.iter_modules([str(_FOLDER)])]
    others = [name for name in files if name not in _ORDER and _function(name) is not None]
    return (*(name for name in _ORDER if name in files), *sorted(others))


def _load(name: str) -> Any:
    function = name.replace("-", "_")
    # What is imported stays: to look through it for garbage would cost a tenth of the start, now and ever again.
    gc.disable()
    module = importlib.import_module(f"{__package__}.{function}")
    gc.freeze()
    gc.enable()
    alone = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    alone.command(name)(getattr(module, function))
    return in_our_language(typer.main.get_command(alone))


def _summary(name: str) -> str:
    """The first line of a command's docstring."""
    function = _function(name)
    return (ast.get_docstring(function) or "").partition("\n")[0] if function else ""


def _function(name: str) -> ast.FunctionDef | None:
    """A command's function as it is written, without running its module; None where there is none."""
    wanted = name.replace("-", "_")
    if wanted.startswith("_"):
        return None
    tree = ast.parse((_FOLDER / f"{wanted}.py").read_bytes())
    return next(
        (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == wanted),
        None,
    )
