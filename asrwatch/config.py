"""The configuration: YAML in, frozen settings out, every problem at once with its path and line."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from platformdirs import user_config_path, user_state_path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from asrwatch import engines, formats, parts, storages
from asrwatch.audio.containers import EXTENSIONS
from asrwatch.engines import Engine
from asrwatch.errors import ConfigError, Problem
from asrwatch.formats import Format
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.mounts import WatchMode
from asrwatch.storages import Storage
from asrwatch.values import Duration, parse_duration, printable

__all__ = [
    "AUTOMATIC",
    "BESIDE",
    "CloudSettings",
    "InboxSettings",
    "MoveTo",
    "PartChoice",
    "Settings",
    "find_file",
    "load",
]

AUTOMATIC = "auto"
BESIDE = "beside"
LARGEST_FILE = 1_000_000
"""Bytes of a configuration file that is still one somebody wrote."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartChoice(_Frozen):
    """A part by its name, with its own options: `srt` or `{use: srt, option: ...}`."""

    use: str
    options: Mapping[str, Any] = {}


def _part_choice(written: Any) -> Any:
    if isinstance(written, str):
        return {"use": written}
    if isinstance(written, dict) and "use" in written:
        return {
            "use": written["use"],
            "options": {key: value for key, value in written.items() if key != "use"},
        }
    return written


def _must_exist(package: Any, base: type[Any], kind: str, *, automatic: bool = False) -> Any:
    """A validator: the part exists, and its options are ones it knows."""

    def check(choice: PartChoice) -> PartChoice:
        if automatic and choice.use == AUTOMATIC:
            if choice.options:
                msg = "`auto` takes no options; put them under `engines:`"
                raise ValueError(msg)
            return choice
        try:
            part = parts.find(package, base, choice.use)
        except KeyError:
            there_are = ", ".join(parts.names(package))
            msg = f"there is no {kind} called {choice.use!r}; there are: {there_are}"
            raise ValueError(msg) from None
        part.Options.model_validate(dict(choice.options))
        return choice

    return check


EngineChoice = Annotated[
    PartChoice,
    BeforeValidator(_part_choice),
    AfterValidator(_must_exist(engines, Engine, "engine", automatic=True)),
]
StorageChoice = Annotated[
    PartChoice,
    BeforeValidator(_part_choice),
    AfterValidator(_must_exist(storages, Storage, "storage")),
]
FormatChoice = Annotated[
    PartChoice,
    BeforeValidator(_part_choice),
    AfterValidator(_must_exist(formats, Format, "format")),
]


def _path(written: Any, info: ValidationInfo) -> Any:
    """A path: `~` is the home folder, a relative one counts from the configuration file's folder."""
    if not isinstance(written, str | Path):
        return written
    base = (info.context or {}).get("base", Path.cwd())
    return Path(os.path.normpath(base / Path(written).expanduser()))


AnyPath = Annotated[Path, BeforeValidator(_path)]


class CloudSettings(_Frozen):
    """Which DashScope, with which key."""

    region: Literal["beijing", "singapore", "us"] = "beijing"
    base_url: str | None = None
    api_key_file: AnyPath | None = None
    workspace: str | None = None
    proxy: str | None = None
    connect_timeout: Duration = parse_duration("10s")


class MoveTo(_Frozen):
    """`after: {move: DIR}`: where the original goes once its transcript is safe."""

    move: AnyPath


def _output(written: Any, info: ValidationInfo) -> Any:
    return written if written == BESIDE else _path(written, info)


class InboxSettings(_Frozen):
    """One watched folder and what is wanted of its recordings."""

    path: AnyPath
    name: str = ""
    recursive: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    builtin_exclude: bool = True
    watch: WatchMode = WatchMode.AUTO
    settle: Duration = parse_duration("5s")
    scan_every: Annotated[Duration, AfterValidator(lambda span: _at_least(span, "1s"))] = (
        parse_duration("60s")
    )
    engine: EngineChoice = PartChoice(use=AUTOMATIC)
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = None
    context: str = ""
    words: bool = False
    channels: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    formats: Annotated[tuple[FormatChoice, ...], Field(min_length=1)] = (
        PartChoice(use="txt"),
        PartChoice(use="json"),
    )
    output: Annotated[Path | Literal["beside"], BeforeValidator(_output)] = "beside"
    after: Literal["keep", "delete"] | MoveTo = "keep"
    patience: Duration = parse_duration("3d")
    unknown: Literal["ask_again", "park"] = "ask_again"

    @model_validator(mode="before")
    @classmethod
    def _named_after_its_folder(cls, written: Any) -> Any:
        if isinstance(written, dict) and not written.get("name") and written.get("path"):
            return {**written, "name": printable(Path(str(written["path"])).name or "root")}
        return written

    @model_validator(mode="after")
    def _nothing_twice(self) -> "InboxSettings":
        names = [choice.use for choice in self.formats]
        for what, values in (("formats", names), ("channels", self.channels)):
            if len(set(values)) != len(values):
                msg = f"{what} names something twice"
                raise ValueError(msg)
        return self

    @property
    def root(self) -> bytes:
        """The folder as the file system knows it."""
        return os.fsencode(self.path)

    @property
    def move_to(self) -> Path | None:
        """Where originals are moved, if they are."""
        return self.after.move if isinstance(self.after, MoveTo) else None

    def ignore_rule(self) -> IgnoreRule:
        """What is never a recording in this inbox."""
        folders = [folder for folder in (self.output, self.move_to) if isinstance(folder, Path)]
        return IgnoreRule(
            root=self.root,
            include=self.include,
            exclude=self.exclude,
            containers=EXTENSIONS,
            outputs=tuple(choice.use for choice in self.formats),
            leave_out=tuple(os.fsencode(folder) for folder in folders),
            defaults=self.builtin_exclude,
        )


def _at_least(span: Any, least: str) -> Any:
    if span < parse_duration(least):
        msg = f"must be at least {least}"
        raise ValueError(msg)
    return span


def _default_state_dir() -> Path:
    given = os.environ.get("STATE_DIRECTORY")
    return Path(given.split(":")[0]) if given else user_state_path("asrwatch")


def _engine_options(written: Mapping[str, Any]) -> Mapping[str, Any]:
    check = _must_exist(engines, Engine, "engine")
    for name, options in written.items():
        check(PartChoice(use=name, options=options if options is not None else {}))
    return written


class Settings(_Frozen):
    """Everything a configuration file can say; `source` names the file for messages."""

    source: str = "the built-in defaults"
    state_dir: AnyPath = Field(default_factory=_default_state_dir)
    workers: Annotated[int, Field(ge=1, le=256)] = 8
    cloud: CloudSettings = CloudSettings()
    storage: StorageChoice = PartChoice(use="dashscope-temp")
    engines: Annotated[Mapping[str, Mapping[str, Any] | None], AfterValidator(_engine_options)] = {}
    inboxes: tuple[InboxSettings, ...] = ()


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
            problem = Problem(where="", what="there is no such file")
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
    defaults = written.pop("defaults", None) or {}
    if not isinstance(defaults, dict):
        problems.append(Problem(where="defaults", what="must be a mapping of inbox keys"))
        defaults = {}
    if folders:
        written["inboxes"] = [{"path": str(folder.absolute())} for folder in folders]
    inboxes = written.get("inboxes")
    raw_inboxes = inboxes if isinstance(inboxes, list) else []
    written["inboxes"] = (
        [
            {**_output_dir(inbox), **defaults, **inbox} if isinstance(inbox, dict) else inbox
            for inbox in raw_inboxes
        ]
        if isinstance(inboxes, list) or inboxes is None
        else inboxes
    )
    base = file.absolute().parent if file else Path.cwd()
    settings = None
    try:
        settings = Settings.model_validate({**written, "source": source}, context={"base": base})
    except ValidationError as error:
        problems.extend(_problems(error, defaults, raw_inboxes, lines))
    if settings is not None:
        problems.extend(_between_inboxes(settings, lines))
    if problems or settings is None:
        raise ConfigError(_unique(problems), source=source)
    return settings


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
        text = file.read_bytes()
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
        what = getattr(error, "problem", None) or str(error)
        problem = Problem(
            where="", what=f"is not YAML: {what}", line=mark.line + 1 if mark else None
        )
        raise ConfigError([problem], source=source) from error
    if not isinstance(written, dict):
        problem = Problem(where="", what="must be a mapping of keys, such as `inboxes:`", line=1)
        raise ConfigError([problem], source=source)
    lines: dict[tuple[Any, ...], int] = {}
    problems = list(_walk(node, (), lines))
    return written, lines, problems


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
    defaults: Mapping[str, Any],
    inboxes: list[Any],
    lines: Mapping[tuple[Any, ...], int],
) -> Iterator[Problem]:
    """A validation error's problems, each at the place where it was written."""
    for detail in error.errors(include_url=False):
        path = _written_at(detail["loc"], defaults, inboxes, lines)
        what = str(detail["msg"]).removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            what = "there is no such key"
        elif detail["type"] == "missing":
            what = "is missing"
        yield Problem(where=_where(path), what=what, line=_line(path, lines))


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


def _between_inboxes(settings: Settings, lines: Mapping[tuple[Any, ...], int]) -> Iterator[Problem]:
    """What no inbox can know alone: the same name or folder twice, outputs that would be scanned."""
    for n, inbox in enumerate(settings.inboxes):
        for m, other in enumerate(settings.inboxes[:n]):
            if inbox.name == other.name:
                yield _at(n, "name", f"{inbox.name!r} is the name of inboxes[{m}] too", lines)
            if _scans(other, inbox.path) or _scans(inbox, other.path):
                yield _at(
                    n, "path", f"overlaps inboxes[{m}]: every file would be found twice", lines
                )
        for key, folder in (("output", inbox.output), ("after", inbox.move_to)):
            if not isinstance(folder, Path):
                continue
            for m, other in enumerate(settings.inboxes):
                if _scans(other, folder):
                    yield _at(
                        n,
                        key,
                        f"{printable(str(folder))} lies inside inboxes[{m}], which would take up what is put "
                        "there; choose a folder outside, name it in `exclude:`, or use `output: beside`",
                        lines,
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


def _at(index: int, key: str, what: str, lines: Mapping[tuple[Any, ...], int]) -> Problem:
    path = ("inboxes", index, key)
    return Problem(where=_where(path), what=what, line=_line(path, lines))


def _unique(problems: list[Problem]) -> list[Problem]:
    """Each problem once: one in `defaults` shows up for every inbox."""
    return list(dict.fromkeys(problems))
