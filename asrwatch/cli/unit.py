"""`asrwatch unit`: what systemd must be told so that the service can do what the configuration wants."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer
from platformdirs import user_config_path

from asrwatch.cli._dropin import (
    CONFIG,
    HOMES,
    STATE,
    TEMPORARY,
    Wanted,
    is_below,
    system_dropin,
    user_dropin,
)
from asrwatch.cli._house import settings_for, with_inboxes
from asrwatch.cli._needs import folder_needs
from asrwatch.cli._options import ConfigFile
from asrwatch.cli._printing import say
from asrwatch.cli._unitfile import quoted
from asrwatch.config import Settings, find_file
from asrwatch.errors import StartupError
from asrwatch.values import printable

__all__ = ["unit"]

_SHIPPED: Final = (
    Path(__file__).parents[1] / "units",  # where the wheel puts them
    Path(__file__).parents[2] / "systemd",  # in a checkout
)
_SYSTEM_PROGRAM: Final = "/opt/asrwatch/venv/bin/asrwatch"
_USER_PROGRAM: Final = "%h/.local/bin/asrwatch"


def unit(
    config: ConfigFile = None,
    *,
    full: Annotated[
        bool,
        typer.Option("--full/--drop-in", help="The whole unit, or only what is added to it."),
    ] = False,
    user: Annotated[
        bool, typer.Option("--user", help="For your own service manager (systemctl --user).")
    ] = False,
) -> None:
    """Print the systemd drop-in for your configuration.

    With `--full` the whole unit. It lets the service write to exactly your folders. What else is to be done is
    said in its comments, and on stderr. Ends with 1 if a folder cannot be named in a unit.
    """
    settings = with_inboxes(settings_for(config))
    wanted = _wanted(settings, find_file(config))
    lines = user_dropin(wanted, _user_config()) if user else system_dropin(wanted)
    told = [*_head(wanted, full=full, user=user), *lines]
    if full:
        told = [_whole(user=user).rstrip("\n"), "", *told]
    typer.echo("\n".join(told).rstrip("\n"))
    for hint in _hints(wanted, user=user, full=full):
        say(hint, err=True)
    if wanted.unnameable:
        raise typer.Exit(1)


def _wanted(settings: Settings, file: Path | None) -> Wanted:
    output_dir = os.environ.get("OUTPUT_DIR") or None
    own = Path(output_dir).absolute() if output_dir else None
    used = own is not None and any(
        isinstance(inbox.output, Path) and own in inbox.output.parents for inbox in settings.inboxes
    )
    written = "state_dir" in settings.model_fields_set
    return Wanted(
        folders=folder_needs(settings),
        state_dir=settings.state_dir if written else None,
        key_file=settings.cloud.api_key_file,
        config=file.absolute() if file else None,
        output_dir=str(own) if used else None,
    )


def _head(wanted: Wanted, *, full: bool, user: bool) -> Iterator[str]:
    source = printable(str(wanted.config)) if wanted.config else "the configuration"
    yield f"# For {source}, by `asrwatch unit`; print it again when its folders change."
    folder = "~/.config/systemd/user" if user else "/etc/systemd/system"
    systemctl = "systemctl --user" if user else "systemctl"
    name = "asrwatch.service" if full else "asrwatch.service.d/folders.conf"
    yield f"# Save it as {folder}/{name}, then:"
    yield f"#   {systemctl} daemon-reload && {systemctl} restart asrwatch"
    for path in wanted.unnameable:
        yield f"# NOT COVERED, as no unit can name it: {printable(str(path))}"


def _whole(*, user: bool) -> str:
    """The unit as it ships, with the program that is running now."""
    name = "asrwatch-user.service" if user else "asrwatch.service"
    for folder in _SHIPPED:
        try:
            text = (folder / name).read_text(encoding="utf-8")
        except OSError:
            continue
        return text.replace(_USER_PROGRAM if user else _SYSTEM_PROGRAM, quoted(str(_program())))
    raise StartupError(
        f"{name} is not where this installation should have it.",
        code="no-unit",
        advice="Take it from the folder systemd/ of the source; --drop-in works without.",
    )


def _program() -> Path:
    """The command that is running, as its installation calls it."""
    beside = Path(sys.executable).parent / "asrwatch"
    return beside if beside.exists() else Path(_SYSTEM_PROGRAM)


def _user_config() -> Path:
    return user_config_path("asrwatch") / "asrwatch.yaml"


def _hints(wanted: Wanted, *, user: bool, full: bool) -> Iterator[str]:
    for path in wanted.unnameable:
        yield (
            f"{printable(str(path))} cannot be named in a unit, as its name holds a line break or is not "
            "UTF-8: rename it, or its folder."
        )
    for need in wanted.folders:
        if need.write and not need.path.exists():
            yield f"{printable(str(need.path))} is not there yet ({printable(need.why)}): create it first."
    if user:
        return
    if full and is_below(_program(), (*HOMES, *TEMPORARY)):
        yield f"{_program()} lies where the service cannot see it: install asrwatch under /opt."
    if wanted.config and is_below(wanted.config, HOMES):
        yield f"The service cannot see {printable(str(wanted.config))}: move it to {CONFIG}."
    if wanted.key_file is not None:
        yield (
            "The key reaches the service as a credential: take api_key_file out of the configuration, else "
            f"the service's account must be able to read {printable(str(wanted.key_file))} itself."
        )
    if wanted.state_dir is not None and STATE.parent not in wanted.state_dir.parents:
        yield (
            f"{printable(str(wanted.state_dir))} (state_dir) must be there, and be the service's own: "
            "install -d -o asrwatch -g asrwatch -m 0700."
        )
    if any(is_below(need.path, TEMPORARY) for need in wanted.folders):
        yield "A folder for temporary files is emptied now and then: recordings there may vanish unread."
