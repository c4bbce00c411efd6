"""Kinds of values that several settings have: frozen sections, paths, plain names, least spans."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo

from asrwatch.errors import ConfigError
from asrwatch.values import parse_duration, printable

__all__ = ["AnyPath", "Frozen", "as_value_error", "at_least", "path_of", "plain_name"]


class Frozen(BaseModel):
    """A section of the configuration: never changed, and without other keys than its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def path_of(written: Any, info: ValidationInfo) -> Any:
    """A path: `~` is the home folder, a relative one counts from the configuration file's folder."""
    if not isinstance(written, str | Path):
        msg = "must be the path of a file or folder"
        raise ValueError(msg)  # noqa: TRY004 - pydantic's own way to say that a value is wrong
    if not str(written).strip() or "\0" in str(written):
        msg = "must not be empty"
        raise ValueError(msg)
    base = (info.context or {}).get("base", Path.cwd())
    expanded = os.path.expanduser(written)  # noqa: PTH111 - Path's raises for an unknown user
    if str(expanded).startswith("~"):
        msg = f"there is no home folder {printable(str(expanded).partition('/')[0])}"
        raise ValueError(msg)
    return Path(os.path.normpath(base / expanded))


AnyPath = Annotated[Path, BeforeValidator(path_of)]


def as_value_error(check: Callable[[], object]) -> None:
    """Run a check of the cloud's own; its complaint becomes one that pydantic collects with the others.

    Raises:
        ValueError: the check's first problem.
    """
    try:
        check()
    except ConfigError as error:
        raise ValueError(error.problems[0].what) from error


def plain_name(name: str) -> str:
    """A name that is one folder's name too, as $OUTPUT_DIR has a folder for each inbox.

    Raises:
        ValueError: it is not.
    """
    if "/" in name or name in {".", ".."} or not name.isprintable():
        msg = "must be a plain name, without / and without control characters"
        raise ValueError(msg)
    return name


def at_least(span: Any, least: str) -> Any:
    """A span of time that is as long as `least`, such as "10s".

    Raises:
        ValueError: it is shorter.
    """
    if span < parse_duration(least):
        msg = f"must be at least {least}"
        raise ValueError(msg)
    return span
