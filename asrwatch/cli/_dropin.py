"""Works out the drop-in that lets the service do what a configuration wants, and no more. Pure but for links."""

import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asrwatch.cli._needs import Need
from asrwatch.cli._unitfile import is_nameable, quoted, section, specifiers
from asrwatch.values import printable

__all__ = [
    "CONFIG",
    "HOMES",
    "STATE",
    "TEMPORARY",
    "Wanted",
    "is_below",
    "system_dropin",
    "user_dropin",
]

HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))
"""What ProtectHome= hides."""
TEMPORARY: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - what PrivateTmp= replaces
STATE: Final = Path("/var/lib/asrwatch")
CONFIG: Final = Path("/etc/asrwatch/asrwatch.yaml")
_STATES: Final = Path("/var/lib")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a configuration asks of the service; None is what the unit does anyway."""

    folders: tuple[Need, ...]
    state_dir: Path | None = None
    key_file: Path | None = None
    config: Path | None = None
    output_dir: str | None = None

    @property
    def unnameable(self) -> tuple[Path, ...]:
        """Paths that no unit can name: they hold line breaks, or bytes that are not UTF-8."""
        named = [need.path for need in self.folders]
        others = [path for path in (self.state_dir, self.key_file, self.config) if path]
        return tuple(path for path in (*named, *others) if not is_nameable(path))


def system_dropin(wanted: Wanted) -> list[str]:
    """The lines of a drop-in for the system's unit."""
    state = _own_state(wanted)
    needs = [*wanted.folders, *([state] if state else [])]
    nameable = [need for need in needs if is_nameable(need.path) and is_nameable(need.real)]
    return [
        *_about(nameable),
        *section("Unit", _mounts(nameable)),
        *section(
            "Service",
            [
                *_access(nameable),
                *_state_directory(wanted),
                *_credential(wanted),
                *_environment(wanted, CONFIG),
            ],
        ),
    ]


def user_dropin(wanted: Wanted, config: Path) -> list[str]:
    """The lines of a drop-in for a user's unit, whose usual configuration is `config`."""
    nameable = [need for need in wanted.folders if is_nameable(need.path)]
    return [
        *section("Unit", _mounts(nameable)),
        *section("Service", _environment(wanted, config)),
    ]


def is_below(path: Path, roots: Iterable[Path]) -> bool:
    """Whether a path is one of these folders, or lies in one."""
    return any(path == root or root in path.parents for root in roots)


def _about(needs: Iterable[Need]) -> Iterator[str]:
    """What a drop-in cannot do: the rights of the account itself."""
    yield "# The service's own account needs access, too. Where it has none yet:"
    for need in needs:
        rights = "rwX" if need.write else "rX"
        folder = shlex.quote(printable(str(need.path)))
        yield f"#   setfacl -R -m u:asrwatch:{rights},d:u:asrwatch:{rights} {folder}"
    yield ""


def _mounts(needs: Iterable[Need]) -> Iterator[str]:
    """Waiting for what the folders lie on."""
    yield "# Not started before these are mounted. Where one dead share must not keep the others waiting, take"
    yield '# its line out, and put a "-" before its path below.'
    for path in dict.fromkeys(each for need in needs for each in (need.path, need.real)):
        if is_nameable(path):
            yield f"RequiresMountsFor={quoted(str(path))}"


def _access(needs: list[Need]) -> Iterator[str]:
    """Sight of what is hidden, and leave to write; each with what it is for."""
    reachable = [path for need in needs for path in (need.path, need.real)]
    homes = _opened(reachable, HOMES)
    temporary = _opened(reachable, TEMPORARY)
    hidden = [*(() if homes else HOMES), *(() if temporary else TEMPORARY)]
    if homes:
        yield "# A folder above the homes themselves is used, so they cannot be hidden."
        yield "ProtectHome=no"
    elif any(is_below(path, HOMES) for path in reachable):
        yield "# Homes are empty but for what is bound here."
        yield "ProtectHome=tmpfs"
    if temporary:
        yield "# The folder for temporary files itself is used, so the service cannot have its own."
        yield "PrivateTmp=no"
    covered: list[Need] = []
    for need in sorted(needs, key=lambda each: (len(each.path.parts), not each.write)):
        above = [each for each in covered if each.write or not need.write]
        if is_below(need.path, (each.path for each in above)):
            continue
        covered.append(need)
        yield from _opening(need, hidden)


def _opened(paths: Iterable[Path], roots: tuple[Path, ...]) -> bool:
    """Whether a path is one of these folders or one above them, so that hiding them would hide it."""
    return any(is_below(root, [path]) for path in paths for root in roots)


def _opening(need: Need, hidden: list[Path]) -> Iterator[str]:
    seen_as = need.path if is_below(need.path, hidden) else need.real
    if is_below(seen_as, hidden) or is_below(need.real, hidden):
        key = "BindPaths" if need.write else "BindReadOnlyPaths"
        place = quoted(str(need.real))
        if seen_as != need.real:
            place = f"{place}:{quoted(str(seen_as))}"
        yield f"# {printable(need.why)}"
        yield f"{key}={place}"
    elif need.write:
        yield f"# {printable(need.why)}"
        yield f"ReadWritePaths={quoted(str(need.real))}"
    else:
        # in a comment the path cannot break the line
        yield f"# {printable(need.why)}: {printable(str(need.path))} is only read, which is allowed"


def _own_state(wanted: Wanted) -> Need | None:
    """The state folder as one that must be opened, unless systemd makes it."""
    if wanted.state_dir is None or _made_by_systemd(wanted.state_dir):
        return None
    return Need(path=wanted.state_dir, why="state_dir", write=True)


def _made_by_systemd(state_dir: Path) -> bool:
    below = str(state_dir.relative_to(_STATES)) if _STATES in state_dir.parents else ""
    return bool(below) and quoted(below) == below and ".." not in state_dir.parts


def _state_directory(wanted: Wanted) -> Iterator[str]:
    state_dir = wanted.state_dir
    if state_dir is not None and state_dir != STATE and _made_by_systemd(state_dir):
        yield "# state_dir"
        yield "StateDirectory="
        yield f"StateDirectory={state_dir.relative_to(_STATES)}"


def _credential(wanted: Wanted) -> Iterator[str]:
    if wanted.key_file is not None and is_nameable(wanted.key_file):
        yield "# The key, read by systemd as root. Leave api_key_file out of the configuration then."
        yield "LoadCredential="
        yield f"LoadCredential=dashscope-api-key:{specifiers(str(wanted.key_file))}"


def _environment(wanted: Wanted, usual: Path) -> Iterator[str]:
    said = {"ASRWATCH_CONFIG": wanted.config, "OUTPUT_DIR": wanted.output_dir}
    for name, value in said.items():
        if value is None or value == usual or not is_nameable(Path(value)):
            continue
        if name == "ASRWATCH_CONFIG" and usual == CONFIG and is_below(Path(value), HOMES):
            continue  # the service would not see it there
        assignment = f"{name}={os.fspath(value)}"
        word = quoted(assignment)
        yield f"Environment={word}"
