"""The command line: finds commands by their files, and turns every error into one clear message.

To add a command, add one file: `my_command.py` holds a function `my_command` and is used as `my-command`;
its docstring is its help. Files without such a function are helpers.
"""

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from asrwatch import __version__
from asrwatch.cli._commands import Commands
from asrwatch.errors import AsrwatchError, ConfigError, NeedsPerson, OurBug, OutOfOrder

__all__ = ["main"]

BAD_CONFIG = 78
"""EX_CONFIG of sysexits.h; systemd prints it as CONFIG, and does not start the service again."""
OUT_OF_ORDER = 75
"""EX_TEMPFAIL of sysexits.h: systemd starts the service again, and that reads what is true."""
FAILED = 1
INTERRUPTED = 130

_app = typer.Typer(
    name="asrwatch",
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@_app.callback()
def asrwatch(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Turn recordings that appear in folders into transcripts, through Alibaba Cloud's Qwen ASR."""
    del version


def main() -> None:
    """Run the command that the arguments name; ends the process.

    Exit codes: 0 fine, 1 some recording failed or waits or asrwatch could not start (another one uses the
    same state), 2 wrong usage, 75 the state folder's disk is out of order, 78 unusable configuration or a
    state folder that a person must see to.
    """
    try:
        typer.main.get_command(_app).main(prog_name="asrwatch")
    except OurBug:
        raise
    except AsrwatchError as error:
        _complain(error)
        if isinstance(error, OutOfOrder):
            # Not a byte more: closing the database would sync again what could not be synced.
            _flush()
            os._exit(OUT_OF_ORDER)
        sys.exit(BAD_CONFIG if isinstance(error, ConfigError | NeedsPerson) else FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        _flush()


def _complain(error: AsrwatchError) -> None:
    with suppress(OSError):
        typer.echo(f"asrwatch: {error.message}", err=True)
        if error.advice:
            typer.echo(error.advice, err=True)


def _flush() -> None:
    """Write out what is left; if nobody reads it any more (`asrwatch status | head`), say nothing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
