"""`asrwatch parts`: every engine, format, storage and notifier there is."""

import inspect
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from types import ModuleType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from asrwatch import engines, formats, notifiers, storages
from asrwatch import parts as shelf
from asrwatch.cli._completing import parts_there_are
from asrwatch.cli._options import AsJson
from asrwatch.cli._printing import print_json, safe, say
from asrwatch.engines import Engine
from asrwatch.formats import Format
from asrwatch.notifiers import Notifier
from asrwatch.storages import Storage
from asrwatch.values import parse_size
from asrwatch.words import shown

__all__ = ["parts"]

_KINDS: tuple[tuple[str, ModuleType, type[Any]], ...] = (
    ("engine", engines, Engine),
    ("format", formats, Format),
    ("storage", storages, Storage),
    ("notifier", notifiers, Notifier),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option of a part, as it is written in the configuration; no `default` is one that is left empty there."""

    name: str
    type: str
    default: str | None
    required: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part: its kind, its name, what it is for, its options."""

    kind: str
    name: str
    summary: str
    options: tuple[Option, ...]


def parts(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Only this part.",
            show_default=False,
            autocompletion=parts_there_are,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List engines, formats, storages and notifiers."""
    found = [part for part in _all() if name in {None, part.name}]
    if not found:
        there_are = ", ".join(part.name for part in _all())
        raise typer.BadParameter(f"there is no part called {name!r}; there are {there_are}")
    if as_json:
        print_json([asdict(part) for part in found])
        return
    kind = ""
    for part in found:
        if part.kind != kind:
            kind = part.kind
            say(f"{kind}s")
        say(f"  {part.name}: {safe(part.summary)}")
        for option in part.options:
            default = "required" if option.required else f"default {option.default or 'nothing'}"
            typer.echo(f"      {option.name}: {shown(option.type)}, {shown(default)}")


def _all() -> Iterator[Part]:
    for kind, package, base in _KINDS:
        for name in shelf.names(package):
            part = shelf.find(package, base, name)
            yield Part(
                kind=kind,
                name=name,
                summary=(inspect.getdoc(part) or "").partition("\n")[0],
                options=tuple(_options(part.Options)),
            )


def _options(model: type[BaseModel]) -> Iterator[Option]:
    for name, field in model.model_fields.items():
        required = field.is_required()
        kind = _type(field.annotation, field)
        default = None if required else _value(field.get_default(call_default_factory=True), kind)
        yield Option(name=name, type=kind, default=default, required=required)


def _type(annotation: Any, field: FieldInfo | None = None) -> str:
    """A type in the words of the configuration."""
    if annotation is timedelta:
        return "duration"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(member.value) for member in annotation)
    if field is not None and any(_is_size(each) for each in field.metadata):
        return "size"
    if annotation is type(None):
        return "nothing"
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return " or ".join(_type(each) for each in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    words = {
        int: "whole number",
        float: "number",
        Decimal: "number",
        str: "text",
        SecretStr: "text",
        bool: "true | false",
    }
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _is_size(mark: Any) -> bool:
    return getattr(getattr(mark, "func", None), "__wrapped__", None) is parse_size


def _value(default: Any, kind: str) -> str | None:
    """A default the way it would be written."""
    match default:
        case timedelta():
            return _with_unit(round(default / timedelta(milliseconds=1)), _DURATIONS)
        case bool():
            return str(default).lower()
        case Enum():
            return str(default.value)
        case tuple():
            return f"[{', '.join(_value(each, kind) or '' for each in default)}]"
        case None:
            return None
        case int() if kind == "size":
            return _with_unit(default, _SIZES)
        case _:
            return str(default)


_DURATIONS = ((3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))
_SIZES = ((10**9, "GB"), (10**6, "MB"), (10**3, "KB"), (1, "B"))


def _with_unit(amount: int, units: tuple[tuple[int, str], ...]) -> str:
    """A whole amount in the largest unit that leaves it whole."""
    size, unit = next((size, unit) for size, unit in units if amount % size == 0)
    return f"{amount // size}{unit}"
