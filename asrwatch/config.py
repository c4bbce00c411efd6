"""The configuration file: YAML in, settings out, every problem at once with its path and line."""

import os
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml
from platformdirs import user_config_path
from pydantic import ValidationError

from asrwatch.audio.containers import EXTENSIONS
from asrwatch.errors import ConfigError, Problem
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.settings import Settings
from asrwatch.settings.choices import AUTOMATIC, PartChoice
from asrwatch.settings.guessing import did_you_mean
from asrwatch.settings.inbox import BESIDE, InboxSettings, MoveTo
from asrwatch.settings.sections import CloudSettings, WebSettings
from asrwatch.settings.wording import NO_SUCH_KEY, what_is_wrong
from asrwatch.trust import strangers_who_may_change
from asrwatch.values import printable

__all__ = [
    "AUTOMATIC",
    "BESIDE",
    "CloudSettings",
    "InboxSettings",
    "MoveTo",
    "PartChoice",
    "Settings",
    "WebSettings",
    "find_file",
    "load",
]

LARGEST_FILE = 1_000_000
"""Bytes of a configuration file that is still one somebody wrote."""


def find_file(given: Path | None) -> Path | None:
    """Where the configuration is: `given`, $ASRWATCH_CONFIG, ./asrwatch.yaml, the user's, /etc.

    Raises:
        ConfigError: a file was named and is not there.
    """
    named = given or (
        Path(os.environ["ASRWATCH_CONFIG"]) if os.environ.get("ASRWATCH_CONFIG") else None
    )
    if named is not None:
        if not named.is_file():
            what = (
                "it is a folder; name a file in it" if named.is_dir() else "there is no such file"
            )
            problem = Problem(where="", what=what)
            raise ConfigError([problem], source=printable(str(named)))
        return named
    places = (
        Path("asrwatch.yaml"),
        user_config_path("asrwatch") / "asrwatch.yaml",
        Path("/etc/asrwatch/asrwatch.yaml"),
    )
    return next((place for place in places if place.is_file()), None)


def load(file: Path | None, folders: tuple[Path, ...] = ()) -> Settings:
    """Read the settings from `file` (None: defaults), watching `folders` instead of its inboxes if any.

    Raises:
        ConfigError: every problem there is, each with its path and line.
    """
    source = printable(str(file)) if file else "the command line"
    written, lines, problems = _read_yaml(file, source) if file else ({}, {}, [])
    for key in [key for key in written if key == "source" or not isinstance(key, str)]:
        del written[key]
        problems.append(_problem((str(key),), "there is no such key", lines))
    defaults = written.pop("defaults", None) or {}
    if not isinstance(defaults, dict):
        problems.append(_problem(("defaults",), "must be a mapping of inbox keys", lines))
        defaults = {}
    if folders:
        written["inboxes"] = _named(folders)
    inboxes = written.get("inboxes")
    raw = inboxes if isinstance(inboxes, list) else []
    merged = [
        {**_output_dir(inbox), **defaults, **inbox} if isinstance(inbox, dict) else inbox
        for inbox in raw
    ]
    written["inboxes"] = merged if inboxes is None else inboxes and (merged or inboxes)
    context = {"base": file.absolute().parent if file else Path.cwd()}
    settings = None
    try:
        settings = Settings.model_validate({**written, "source": source}, context=context)
    except ValidationError as error:
        problems.extend(_problems(error, written, defaults, raw, lines))
    usable = _usable(merged, context)
    state_dir = settings.state_dir if settings else None
    problems.extend(_between_inboxes(usable, state_dir, lines))
    if problems or settings is None:
        raise ConfigError(_unique(problems), source=source)
    return settings


def _named(folders: Sequence[Path]) -> list[dict[str, str]]:
    """Folders of the command line as inboxes: those of the same name are told apart by what is above them."""
    names = [folder.absolute().name for folder in folders]
    return [
        {"path": str(folder.absolute())}
        if names.count(folder.absolute().name) == 1
        else {
            "path": str(folder.absolute()),
            "name": printable(str(folder.absolute()).strip("/").replace("/", "-")),
        }
        for folder in folders
    ]


def _usable(merged: Sequence[Any], context: Mapping[str, Any]) -> dict[int, InboxSettings]:
    """The inboxes that are right in themselves, by their place: they can be compared whatever else is wrong."""
    usable = {}
    for place, inbox in enumerate(merged):
        with suppress(ValidationError):
            usable[place] = InboxSettings.model_validate(inbox, context=dict(context))
    return usable


def _output_dir(inbox: Mapping[str, Any]) -> Mapping[str, Any]:
    """The default output folder: $OUTPUT_DIR/<inbox name>, where OUTPUT_DIR is set."""
    folder = os.environ.get("OUTPUT_DIR")
    if not folder or not inbox.get("path"):
        return {}
    name = inbox.get("name") or Path(str(inbox["path"])).name
    return {"output": str(Path(folder).absolute() / str(name))}


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, without aliases: a bomb is made of them, a configuration is not."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call] # PyYAML's stubs leave it open
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not allowed here", mark
            )
        return super().compose_node(parent, index)


def _read_yaml(
    file: Path, source: str
) -> tuple[dict[str, Any], dict[tuple[Any, ...], int], list[Problem]]:
    """The file's mapping, the line of every key path, and what is wrong with its shape.

    Raises:
        ConfigError: the file cannot be read, or is not YAML.
    """
    try:
        # not blocking, as a FIFO would without a writer
        with open(file, "rb", opener=_without_waiting) as opened:
            strangers = _strangers(file, opened.fileno())
            text = b"" if strangers else opened.read(LARGEST_FILE + 1)
        if strangers:
            raise ConfigError([Problem(where="", what=strangers)], source=source)
        if len(text) > LARGEST_FILE:
            problem = Problem(where="", what=f"is larger than {LARGEST_FILE} bytes")
            raise ConfigError([problem], source=source)
        loader = _Loader(text.decode("utf-8"))
        node = loader.get_single_node()
        written = loader.construct_document(node) if node is not None else {}
    except OSError as error:
        problem = Problem(where="", what=f"cannot be read: {error.strerror}")
        raise ConfigError([problem], source=source) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(where="", what="is not UTF-8 text")], source=source) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or " ".join(str(error).split())
        problem = Problem(
            where="", what=f"is not YAML: {what}", line=mark.line + 1 if mark else None
        )
        raise ConfigError([problem], source=source) from error
    except RecursionError as error:
        problem = Problem(where="", what="is nested too deeply")
        raise ConfigError([problem], source=source) from error
    except ValueError as error:  # a value that looks like a date or number and is none
        raise ConfigError(
            [Problem(where="", what=f"is not YAML: {error}")], source=source
        ) from error
    if not isinstance(written, dict):
        problem = Problem(where="", what="must be a mapping of keys, such as `inboxes:`", line=1)
        raise ConfigError([problem], source=source)
    lines: dict[tuple[Any, ...], int] = {}
    problems = list(_walk(node, (), lines))
    return written, lines, problems


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _strangers(file: Path, descriptor: int) -> str:
    """What is wrong with who may change a configuration: it says where files are written, moved and deleted.

    A folder in which everybody may rename files is as open as the file; a sticky one (/tmp) is not.
    """
    shown = shlex.quote(printable(str(file)))
    reason = strangers_who_may_change(descriptor)
    if reason:
        return (
            f"others could make asrwatch do what they like: {reason}; `chmod go-w {shown}`, and `chown` it "
            "to root or the account asrwatch runs as"
        )
    mode = file.parent.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        folder = shlex.quote(printable(str(file.parent)))
        return f"everybody may replace it, as its folder is open to all; `chmod o-w {folder}`"
    return ""


def _walk(node: Any, path: tuple[Any, ...], lines: dict[tuple[Any, ...], int]) -> Iterator[Problem]:
    """Note the line of every path below a node; a key written twice is a problem."""
    if isinstance(node, yaml.MappingNode):
        seen: set[Any] = set()
        for key, value in node.value:
            name, line = key.value, key.start_mark.line + 1
            if name in seen:
                yield Problem(where=_where((*path, name)), what="is written twice", line=line)
            seen.add(name)
            lines[(*path, name)] = line
            yield from _walk(value, (*path, name), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*path, index)] = value.start_mark.line + 1
            yield from _walk(value, (*path, index), lines)


def _where(path: tuple[Any, ...]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _problems(
    error: ValidationError,
    checked: Mapping[str, Any],
    defaults: Mapping[str, Any],
    inboxes: list[Any],
    lines: Mapping[tuple[Any, ...], int],
) -> Iterator[Problem]:
    """A validation error's problems, each at the place where it was written."""
    details = error.errors(include_url=False)
    for detail in details:
        loc = detail["loc"]
        if detail["type"] == "too_short" and any(
            other["loc"][: len(loc)] == loc for other in details if other is not detail
        ):
            continue  # it is not empty: what is in it is wrong, and told
        path = _written_at(loc, defaults, inboxes, lines)
        what = what_is_wrong(detail)
        if detail["type"] == "missing" and path[-1:] != loc[-1:]:
            what = f"{loc[-1]} {what}"
        if what == NO_SUCH_KEY:
            what += did_you_mean(loc, checked)
        yield _problem(path, what, lines)


def _written_at(
    loc: tuple[Any, ...],
    defaults: Mapping[str, Any],
    inboxes: list[Any],
    lines: Mapping[tuple[Any, ...], int],
) -> tuple[Any, ...]:
    """Pydantic's location as a path in the file: defaults pointed out, the validator's own steps dropped."""
    if len(loc) > 2 and loc[0] == "inboxes" and isinstance(loc[1], int):  # noqa: PLR2004 - inboxes, index, key
        inbox = inboxes[loc[1]] if loc[1] < len(inboxes) else {}
        if isinstance(inbox, dict) and loc[2] not in inbox and loc[2] in defaults:
            loc = ("defaults", *loc[2:])
    known = [step for n, step in enumerate(loc) if n < 3 or (*loc[:n], step) in lines]  # noqa: PLR2004 - the same three
    return tuple(known)


def _line(path: tuple[Any, ...], lines: Mapping[tuple[Any, ...], int]) -> int | None:
    """The line of a path, or of the nearest thing around it."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def _between_inboxes(
    inboxes: Mapping[int, InboxSettings],
    state_dir: Path | None,
    lines: Mapping[tuple[Any, ...], int],
) -> Iterator[Problem]:
    """What no inbox can know alone: the same name or folder twice, outputs that would be scanned."""
    for (m, other), (n, inbox) in combinations(inboxes.items(), 2):
        if inbox.name == other.name:
            what = f"{inbox.name!r} is the name of inboxes[{m}] too"
            yield _problem(("inboxes", n, "name"), what, lines)
        if _scans(other, inbox.path) or _scans(inbox, other.path):
            what = f"overlaps inboxes[{m}]: every file would be found twice"
            yield _problem(("inboxes", n, "path"), what, lines)
    for n, inbox in inboxes.items():
        for key, folder, instead in (
            ("output", inbox.output, ", or use `output: beside`"),
            ("after", inbox.move_to, ""),
        ):
            if isinstance(folder, Path):
                for what in _scanned(folder, inboxes, instead):
                    yield _problem(("inboxes", n, key), what, lines)
    if state_dir is not None:
        for what in _scanned(state_dir, inboxes, ""):
            yield _problem(("state_dir",), what, lines)


def _scanned(folder: Path, inboxes: Mapping[int, InboxSettings], instead: str) -> Iterator[str]:
    for place, inbox in inboxes.items():
        if _scans(inbox, folder):
            yield (
                f"{printable(str(folder))} lies inside inboxes[{place}], which would take up what is put there; "
                f"choose a folder outside, or name it in `exclude:`{instead}"
            )


def _scans(inbox: InboxSettings, folder: Path) -> bool:
    """Whether an inbox's scan would look into a folder (its own `leave_out` aside)."""
    if folder == inbox.path:
        return True
    if not inbox.recursive or inbox.path not in folder.parents:
        return False
    rule = IgnoreRule(
        root=inbox.root,
        exclude=inbox.exclude,
        containers=EXTENSIONS,
        defaults=inbox.builtin_exclude,
    )
    below = [folder, *(parent for parent in folder.parents if inbox.path in parent.parents)]
    return all(rule.wants_folder(os.fsencode(step)) for step in below)


def _problem(path: tuple[Any, ...], what: str, lines: Mapping[tuple[Any, ...], int]) -> Problem:
    return Problem(where=_where(path), what=what, line=_line(path, lines))


def _unique(problems: list[Problem]) -> list[Problem]:
    """Each problem once: one in `defaults` shows up for every inbox."""
    return list(dict.fromkeys(problems))
