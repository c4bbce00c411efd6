"""Which key was meant, where there is none of that name."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel

from asrwatch import engines, formats, notifiers, parts, storages
from asrwatch.engines import Engine
from asrwatch.formats import Format
from asrwatch.notifiers import Notifier
from asrwatch.settings import Settings
from asrwatch.settings.inbox import CutSettings, InboxSettings, MoveTo
from asrwatch.settings.sections import (
    AllowanceSettings,
    BackupSettings,
    BudgetSettings,
    CloudSettings,
    MetricsSettings,
    WebSettings,
)
from asrwatch.storages import Storage

__all__ = ["did_you_mean"]

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
