"""What can be said of one inbox."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from asrwatch.audio.containers import EXTENSIONS
from asrwatch.audio.diet import Diet
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.marker import Marker
from asrwatch.inbox.mounts import WatchMode
from asrwatch.inbox.signs import SKIP
from asrwatch.settings.choices import (
    AUTOMATIC,
    EngineChoice,
    FormatChoice,
    NotifierChoice,
    PartChoice,
)
from asrwatch.settings.kinds import AnyPath, Frozen, as_value_error, at_least, path_of, plain_name
from asrwatch.values import Duration, parse_duration, printable

__all__ = ["BESIDE", "CutSettings", "InboxSettings", "MoveTo"]

BESIDE = "beside"


class MoveTo(Frozen):
    """`after: {move: DIR}`: where the original goes once its transcript is safe."""

    move: AnyPath


def _output(written: Any, info: ValidationInfo) -> Any:
    return written if written == BESIDE else path_of(written, info)


def _after(written: Any, info: ValidationInfo) -> Any:
    if isinstance(written, dict):
        return MoveTo.model_validate(written, context=info.context)
    if written in ("keep", "delete") or isinstance(written, MoveTo):
        return written
    msg = "must be keep, delete or {move: DIR}"
    raise ValueError(msg)


class CutSettings(Frozen):
    """`cut: {target: 180s}`: about how long pieces are to be."""

    target: Annotated[Duration, AfterValidator(lambda span: at_least(span, "10s"))] = (
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


def _skip_marker(written: Any) -> Any:
    """A file's name, or `off`, which YAML reads as False."""
    if written is None or written is False or written == "off":
        return None
    if not isinstance(written, str) or not written or "\0" in written:
        msg = "must be a file's name, such as .asrwatch-skip, or off"
        raise ValueError(msg)
    return plain_name(written)


def _marker(pattern: str) -> str:
    as_value_error(lambda: Marker(pattern))
    return pattern


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


class InboxSettings(Frozen):
    """One watched folder and what is wanted of its recordings."""

    path: AnyPath
    name: Annotated[str, AfterValidator(plain_name)] = ""
    recursive: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    builtin_exclude: bool = True
    watch: WatchMode = WatchMode.AUTO
    marker: Annotated[str, Field(min_length=1), AfterValidator(plain_name)] | None = None
    settle: Duration = parse_duration("5s")
    at_once: bool = True
    longest: Annotated[Duration, AfterValidator(lambda span: at_least(span, "1s"))] | None = None
    scan_every: Annotated[Duration, AfterValidator(lambda span: at_least(span, "1s"))] = (
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
