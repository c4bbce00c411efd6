"""The command line: finds commands by their files, and turns every error into one clear message.

To add a command, add one file: `my_command.py` holds a function `my_command` and is used as `my-command`;
its docstring is its help. Files without such a function are helpers.
"""

import os
import sys
from contextlib import suppress
from enum import StrEnum
from typing import Annotated

import typer

from asrwatch import __version__
from asrwatch.cli._commands import Commands
from asrwatch.cli._help import Misuse, complaint_of, in_our_language, taken_language
from asrwatch.errors import AsrwatchError, ConfigError, NeedsPerson, OurBug, OutOfOrder
from asrwatch.words import shown

__all__ = ["main"]

BAD_CONFIG = 78
"""EX_CONFIG of sysexits.h; systemd prints it as CONFIG, and does not start the service again."""
OUT_OF_ORDER = 75
"""EX_TEMPFAIL of sysexits.h: systemd starts the service again, and that reads what is true."""
FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


class Lang(StrEnum):
    """What asrwatch speaks."""

    EN = "en"
    ZH = "zh"


_app = typer.Typer(
    name="asrwatch",
    cls=Commands,
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
    lang: Annotated[
        Lang | None,
        typer.Option(
            "--lang", help="The language of messages; default: the locale's. May stand anywhere."
        ),
    ] = None,
) -> None:
    """Turn recordings that appear in folders into transcripts, through Alibaba Cloud's Qwen ASR."""
    del version, lang  # main() took the language before anything is said


def main() -> None:
    """Run the command that the arguments name; ends the process.

    Exit codes: 0 fine, 1 some recording failed or waits or asrwatch could not start (another one uses the
    same state), 2 wrong usage, 75 the state folder's disk is out of order, 78 unusable configuration or a
    state folder that a person must see to.
    """
    try:
        arguments = taken_language(sys.argv[1:])
        command = in_our_language(typer.main.get_command(_app))
        code = command.main(args=arguments, prog_name="asrwatch", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except Misuse as error:
        _say(complaint_of(error))
        sys.exit(WRONG_USAGE)
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
    _say(f"asrwatch: {shown(error.message)}")
    if error.advice:
        _say(shown(error.advice))


def _say(text: str) -> None:
    with suppress(OSError):
        typer.echo(text, err=True)


def _flush() -> None:
    """Write out what is left; if nobody reads it any more (`asrwatch status | head`), say nothing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
