"""What a configuration can say, as frozen settings; what is wrong with a value is said in words."""

import difflib
import importlib.util
import os
import re
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_state_path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from asrwatch import engines, formats, notifiers, parts, storages
from asrwatch.address import Address, parse_address
from asrwatch.audio.containers import EXTENSIONS
from asrwatch.audio.diet import Diet
from asrwatch.cloud.hosts import check_hosts
from asrwatch.cloud.regions import check_proxy, root_of
from asrwatch.engines import Engine
from asrwatch.errors import ConfigError
from asrwatch.formats import Format
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.marker import Marker
from asrwatch.inbox.mounts import WatchMode
from asrwatch.inbox.signs import SKIP
from asrwatch.notifiers import Notifier
from asrwatch.storages import Storage
from asrwatch.values import Duration, Size, format_duration, parse_duration, parse_size, printable

__all__ = [
    "AUTOMATIC",
    "BESIDE",
    "NO_SUCH_KEY",
    "CloudSettings",
    "InboxSettings",
    "MetricsSettings",
    "MoveTo",
    "PartChoice",
    "Settings",
    "WebSettings",
    "did_you_mean",
    "what_is_wrong",
]

AUTOMATIC = "auto"
BESIDE = "beside"


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


def _notifier_choice(written: Any) -> Any:
    """YAML reads a bare `on` as true, also where it is a key."""
    if isinstance(written, dict) and True in written:
        written = {("on" if key is True else key): value for key, value in written.items()}
    return _part_choice(written)


def _can_be_imported(choice: PartChoice) -> PartChoice:
    """Whether what a notifier needs is installed; looked for, not imported."""
    needs = parts.find(notifiers, Notifier, choice.use).needs  # type: ignore[type-abstract] # a base to look for
    if needs is not None and importlib.util.find_spec(needs[0]) is None:
        msg = f"{choice.use} needs more than is installed: pip install 'asrwatch[{needs[1]}]'"
        raise ValueError(msg)
    return choice


NotifierChoice = Annotated[
    PartChoice,
    BeforeValidator(_notifier_choice),
    AfterValidator(_must_exist(notifiers, Notifier, "notifier")),
    AfterValidator(_can_be_imported),
]


def _path(written: Any, info: ValidationInfo) -> Any:
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


AnyPath = Annotated[Path, BeforeValidator(_path)]


class CloudSettings(_Frozen):
    """Which DashScope, with which key."""

    region: Literal["beijing", "singapore", "us"] = "beijing"
    base_url: str | None = None
    api_key_file: AnyPath | None = None
    workspace: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    proxy: str | None = None
    connect_timeout: Duration = parse_duration("10s")

    @field_validator("base_url")
    @classmethod
    def _is_a_root(cls, url: str | None) -> str | None:
        _as_value_error(lambda: root_of("beijing", url))
        return url

    @field_validator("trusted_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        _as_value_error(lambda: check_hosts(hosts))
        return hosts

    @field_validator("proxy")
    @classmethod
    def _is_a_proxy(cls, url: str | None) -> str | None:
        _as_value_error(lambda: check_proxy(url))
        return url


def _as_value_error(check: Callable[[], object]) -> None:
    """A complaint of the cloud's own check as one that pydantic collects with the others."""
    try:
        check()
    except ConfigError as error:
        raise ValueError(error.problems[0].what) from error


class MoveTo(_Frozen):
    """`after: {move: DIR}`: where the original goes once its transcript is safe."""

    move: AnyPath


def _output(written: Any, info: ValidationInfo) -> Any:
    return written if written == BESIDE else _path(written, info)


def _after(written: Any, info: ValidationInfo) -> Any:
    if isinstance(written, dict):
        return MoveTo.model_validate(written, context=info.context)
    if written in ("keep", "delete") or isinstance(written, MoveTo):
        return written
    msg = "must be keep, delete or {move: DIR}"
    raise ValueError(msg)


class CutSettings(_Frozen):
    """`cut: {target: 180s}`: about how long pieces are to be."""

    target: Annotated[Duration, AfterValidator(lambda span: _at_least(span, "10s"))] = (
        parse_duration("180s")
    )


def _cut(written: Any) -> Any:
    match written:
        case True:
            return {}
        case False:
            return None
        case _:
            return written


def _language(code: str) -> str:
    if not re.fullmatch(r"[a-z]{2,3}", code):
        msg = "must be one code such as en; leave it out if unknown or mixed"
        raise ValueError(msg)
    return code


def _off(written: Any) -> Any:
    """YAML reads a bare `off` as false."""
    return "off" if written is False else written


def _plain_name(name: str) -> str:
    """A name that is one folder's name too, as $OUTPUT_DIR has a folder for each inbox."""
    if "/" in name or name in {".", ".."} or not name.isprintable():
        msg = "must be a plain name, without / and without control characters"
        raise ValueError(msg)
    return name


def _skip_marker(written: Any) -> Any:
    """A file's name, or `off`, which YAML reads as False."""
    if written is None or written is False or written == "off":
        return None
    if not isinstance(written, str) or not written or "\0" in written:
        msg = "must be a file's name, such as .asrwatch-skip, or off"
        raise ValueError(msg)
    return _plain_name(written)


def _marker(pattern: str) -> str:
    _as_value_error(lambda: Marker(pattern))
    return pattern


def _at_least(span: Any, least: str) -> Any:
    if span < parse_duration(least):
        msg = f"must be at least {least}"
        raise ValueError(msg)
    return span


EVERY_CHANNEL: tuple[int, ...] = ()
"""What `channels: split` is read as: an empty list cannot be written."""


def _channels(written: Any, numbers: ValidatorFunctionWrapHandler) -> Any:
    if written == "split":
        return EVERY_CHANNEL
    if isinstance(written, str):
        msg = "must be split, or a list of numbers from 0"
        raise ValueError(msg)  # noqa: TRY004 - the only one that pydantic collects
    return numbers(written)


def _speaker(name: str) -> str:
    plain = " ".join(name.split())
    if not plain or not plain.isprintable():
        msg = "must be a name in one line"
        raise ValueError(msg)
    return plain


Channels = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), WrapValidator(_channels)
]
SpeakerName = Annotated[str, Field(max_length=40), AfterValidator(_speaker)]


class InboxSettings(_Frozen):
    """One watched folder and what is wanted of its recordings."""

    path: AnyPath
    name: Annotated[str, AfterValidator(_plain_name)] = ""
    recursive: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    builtin_exclude: bool = True
    watch: WatchMode = WatchMode.AUTO
    marker: Annotated[str, Field(min_length=1), AfterValidator(_plain_name)] | None = None
    settle: Duration = parse_duration("5s")
    at_once: bool = True
    longest: Annotated[Duration, AfterValidator(lambda span: _at_least(span, "1s"))] | None = None
    scan_every: Annotated[Duration, AfterValidator(lambda span: _at_least(span, "1s"))] = (
        parse_duration("60s")
    )
    done_marker: Annotated[str, AfterValidator(_marker)] | None = None
    wait_for_rest: Duration = parse_duration("1h")
    hard_links: Literal["own", "any"] = "own"
    engine: EngineChoice = PartChoice(use=AUTOMATIC)
    language: Annotated[str, AfterValidator(_language)] | None = None
    context: str = ""
    words: bool = False
    channels: Channels = (0,)
    speakers: tuple[SpeakerName, ...] = ()
    formats: Annotated[tuple[FormatChoice, ...], Field(min_length=1)] = (
        PartChoice(use="txt"),
        PartChoice(use="json"),
    )
    output: Annotated[Path | Literal["beside"], BeforeValidator(_output)] = "beside"
    portable_names: bool = False
    after: Annotated[Literal["keep", "delete"] | MoveTo, BeforeValidator(_after)] = "keep"
    patience: Duration = parse_duration("3d")
    unknown: Literal["ask_again", "park"] = "ask_again"
    send_silence: bool = False
    error_notes: bool = True
    skip_marker: Annotated[str | None, BeforeValidator(_skip_marker)] = SKIP
    cut: Annotated[CutSettings | None, BeforeValidator(_cut)] = None
    diet: Annotated[Diet, BeforeValidator(_off)] = Diet.LOSSLESS
    notify: tuple[NotifierChoice, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _named_after_its_folder(cls, written: Any) -> Any:
        if isinstance(written, dict) and not written.get("name") and written.get("path"):
            return {**written, "name": printable(Path(str(written["path"])).name or "root")}
        return written

    @field_validator("channels", "speakers", "formats")
    @classmethod
    def _nothing_twice(cls, written: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [getattr(each, "use", each) for each in written]
        if twice := [name for n, name in enumerate(names) if name in names[:n]]:
            msg = f"names {twice[0]} twice"
            raise ValueError(msg)
        return written

    @field_validator("speakers")
    @classmethod
    def _name_channels(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if names and info.data.get("channels") == (0,):
            msg = "names channels, and only the first is heard; set `channels: split`"
            raise ValueError(msg)
        return names

    @property
    def split(self) -> bool:
        """Whether every channel is wanted, each as a speaker of its own."""
        return self.channels == EVERY_CHANNEL

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
            marker=Marker(self.done_marker) if self.done_marker else None,
            skip_marker=self.skip_marker,
        )


class AllowanceSettings(_Frozen):
    """How much may be asked for in a span of time: hours of audio, and money in the region's currency."""

    audio: Duration | None = None
    money: Annotated[Decimal, Field(ge=0)] | None = None


class BudgetSettings(_Frozen):
    """What all inboxes together may ask for; without a limit, as much as there is."""

    day: AllowanceSettings = AllowanceSettings()
    month: AllowanceSettings = AllowanceSettings()

    @property
    def counts_money(self) -> bool:
        """Whether prices matter."""
        return self.day.money is not None or self.month.money is not None


def _default_state_dir() -> Path:
    given = os.environ.get("STATE_DIRECTORY")
    return Path(given.split(":")[0]) if given else user_state_path("asrwatch")


def _engine_options(written: Mapping[str, Any]) -> Mapping[str, Any]:
    """Each engine's own options, all of their problems together, each at its engine."""
    check = _must_exist(engines, Engine, "engine")
    found: list[InitErrorDetails] = []
    for name, options in written.items():
        try:
            check(PartChoice(use=name, options=options if options is not None else {}))
        except ValidationError as error:
            found.extend(
                _detail((name, *detail["loc"]), what_is_wrong(detail))
                for detail in error.errors(include_url=False)
            )
        except ValueError as error:
            found.append(_detail((name,), str(error)))
    if found:
        raise ValidationError.from_exception_data("engines", found)
    return written


def _detail(loc: tuple[int | str, ...], what: str) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("value_error", "{what}", {"what": what}), loc=loc, input=None
    )


class BackupSettings(_Frozen):
    """How often the state is copied, and how many copies are kept."""

    every: Duration = parse_duration("1d")
    keep: Annotated[int, Field(ge=1, le=1000)] = 3


_LEAST_TOKEN = 16
_SHORTEST_EVERY = timedelta(seconds=1)


class MetricsSettings(_Frozen):
    """Where figures are written for a node exporter's textfile collector, and how often; /metrics needs nothing."""

    textfile: AnyPath | None = None
    every: Duration = timedelta(seconds=30)

    @field_validator("textfile")
    @classmethod
    def _is_collected(cls, path: Path | None) -> Path | None:
        if path is not None and path.suffix != ".prom":
            msg = "must end in .prom, since node exporters read no other files"
            raise ValueError(msg)
        return path

    @field_validator("every")
    @classmethod
    def _is_not_at_once(cls, every: timedelta) -> timedelta:
        if every < _SHORTEST_EVERY:
            msg = f"must be at least {format_duration(_SHORTEST_EVERY)}"
            raise ValueError(msg)
        return every


class WebSettings(_Frozen):
    """Where the status page is served, and who may see it; `hosts` are names it is reached by through a proxy."""

    listen: str = "127.0.0.1:8760"
    token: SecretStr | None = None
    token_file: AnyPath | None = None
    hosts: tuple[str, ...] = ()

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, written: str) -> str:
        parse_address(written)
        return written

    @field_validator("token")
    @classmethod
    def _is_long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < _LEAST_TOKEN:
            msg = f"must have at least {_LEAST_TOKEN} characters; `openssl rand -hex 16` prints one"
            raise ValueError(msg)
        return token

    @model_validator(mode="after")
    def _is_guarded(self) -> "WebSettings":
        if self.token is not None and self.token_file is not None:
            msg = "token and token_file are two answers to one question; leave one out"
            raise ValueError(msg)
        if not self.address.is_private and not self.is_guarded:
            msg = (
                f"listen: {self.listen} can be reached from other machines, so a token is required: write one "
                "(`openssl rand -hex 16`) to a file with mode 0600 and name it in web.token_file"
            )
            raise ValueError(msg)
        return self

    @property
    def address(self) -> Address:
        """Where to listen."""
        return parse_address(self.listen)

    @property
    def is_guarded(self) -> bool:
        """Whether a token is asked for."""
        return self.token is not None or self.token_file is not None


def _on_or_off(written: Any) -> Any:
    """`web: off` is False to YAML; `web: on` is the default."""
    if written is False or written == "off":
        return None
    return WebSettings() if written is True or written == "on" else written


class Settings(_Frozen):
    """Everything a configuration file can say; `source` names the file for messages."""

    source: str = "the built-in defaults"
    state_dir: AnyPath = Field(default_factory=_default_state_dir)
    workers: Annotated[int, Field(ge=1, le=256)] = 8
    reserve: Size = parse_size("64MB")
    backup: BackupSettings | None = BackupSettings()
    cloud: CloudSettings = CloudSettings()
    storage: StorageChoice = PartChoice(use="dashscope-temp")
    engines: Annotated[Mapping[str, Mapping[str, Any] | None], AfterValidator(_engine_options)] = {}
    budget: BudgetSettings = BudgetSettings()
    web: Annotated[WebSettings | None, BeforeValidator(_on_or_off)] = WebSettings()
    metrics: MetricsSettings = MetricsSettings()
    inboxes: tuple[InboxSettings, ...] = ()

    @model_validator(mode="after")
    def _every_price_is_known(self) -> "Settings":
        """A budget of money that does not see an engine's requests would be no budget."""
        if not self.budget.counts_money:
            return self
        unknown = [name for name in self._engines_in_use() if not self._has_price(name)]
        if unknown:
            keys = " and ".join(f"engines.{name}.price_per_second" for name in unknown)
            msg = f"budget: money is counted from prices; {keys} is not known and must be set"
            raise ValueError(msg)
        return self

    def _engines_in_use(self) -> tuple[str, ...]:
        used = {inbox.engine.use for inbox in self.inboxes}
        known = {name: parts.find(engines, Engine, name) for name in parts.names(engines)}  # type: ignore[type-abstract] # a base to look for
        return tuple(
            name
            for name, part in known.items()
            if name in used
            or (
                AUTOMATIC in used
                and part.automatic
                and (not part.regions or self.cloud.region in part.regions)
            )
        )

    def _has_price(self, name: str) -> bool:
        own = [inbox.engine.options for inbox in self.inboxes if inbox.engine.use == name]
        part: type[Engine[Any]] = parts.find(engines, Engine, name)  # type: ignore[type-abstract] # a base to look for
        shared = self.engines.get(name) or {}
        return (
            self.cloud.region in part.prices
            or shared.get("price_per_second") is not None
            or (bool(own) and all(each.get("price_per_second") is not None for each in own))
        )


NO_SUCH_KEY = "there is no such key"
_IN_WORDS = {
    "extra_forbidden": NO_SUCH_KEY,
    "invalid_key": NO_SUCH_KEY,
    "missing": "is missing",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "mapping_type": "must be a mapping of keys",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "too_short": "must not be empty",
}


def what_is_wrong(detail: ErrorDetails) -> str:
    """A validation error's message in the words of somebody who writes YAML."""
    match detail["type"]:
        case "literal_error" | "enum":
            return f"must be {detail['ctx']['expected']}"
        case kind if kind in _IN_WORDS:
            return _IN_WORDS[kind]
        case _:
            return str(detail["msg"]).removeprefix("Value error, ").replace("Input should", "must")


_ALIKE = 0.75
"""Of difflib's ratio: two letters exchanged in a short word, but not another word."""

_PARTS: Mapping[str, tuple[Any, type[Any]]] = {
    "engine": (engines, Engine),
    "formats": (formats, Format),
    "storage": (storages, Storage),
    "notify": (notifiers, Notifier),
}


_SECTIONS: Mapping[str, type[BaseModel]] = {
    "cloud": CloudSettings,
    "backup": BackupSettings,
    "metrics": MetricsSettings,
    "web": WebSettings,
    "budget": BudgetSettings,
}


def did_you_mean(at: tuple[Any, ...], written: Mapping[str, Any]) -> str:
    """A suggestion to be added to a problem, such as "; did you mean settle?"; empty where there is none.

    Args:
        at: the path of the key that there is not, as pydantic tells it.
        written: the whole configuration, defaults merged into the inboxes.
    """
    close = difflib.get_close_matches(str(at[-1]), _keys_beside(at[:-1], written), 1, _ALIKE)
    return f"; did you mean {close[0]}?" if close else ""


def _keys_beside(place: tuple[Any, ...], written: Mapping[str, Any]) -> Collection[str]:
    """The keys that a mapping at this place may have."""
    match place:
        case ():
            return {*Settings.model_fields, "defaults"} - {"source"}
        case (str(section),) if section in _SECTIONS:
            return _SECTIONS[section].model_fields
        case ("budget", "day" | "month"):
            return AllowanceSettings.model_fields
        case ("inboxes", int()):
            return InboxSettings.model_fields
        case ("inboxes", int(), ("cut" | "after") as key, *_):
            return (CutSettings if key == "cut" else MoveTo).model_fields
        case ("engines", str(name)):
            return _options(engines, Engine, name)
        case ("storage" as kind, *_) | (
            "inboxes",
            int(),
            ("engine" | "formats" | "notify") as kind,
            *_,
        ):
            package, base = _PARTS[kind]
            return _options(package, base, _used(place, written))
        case _:
            return ()


def _options(package: Any, base: type[Any], name: str) -> Collection[str]:
    try:
        options: type[BaseModel] = parts.find(package, base, name).Options
    except KeyError:
        return ()
    return options.model_fields


def _used(place: tuple[Any, ...], written: Any) -> str:
    """The name of the part that is configured at a place."""
    for step in place:
        try:
            written = written[step]
        except (KeyError, IndexError, TypeError):
            break
    return str(written.get("use", "")) if isinstance(written, dict) else str(written)
