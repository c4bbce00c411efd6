"""Parts that are chosen by their names: engines, storages, formats, notifiers."""

import importlib.util
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from asrwatch import engines, formats, notifiers, parts, storages
from asrwatch.engines import Engine
from asrwatch.formats import Format
from asrwatch.notifiers import Notifier
from asrwatch.settings.kinds import Frozen
from asrwatch.storages import Storage

__all__ = [
    "AUTOMATIC",
    "EngineChoice",
    "FormatChoice",
    "NotifierChoice",
    "PartChoice",
    "StorageChoice",
    "must_exist",
]

AUTOMATIC = "auto"


class PartChoice(Frozen):
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


def must_exist(package: Any, base: type[Any], kind: str, *, automatic: bool = False) -> Any:
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
    AfterValidator(must_exist(engines, Engine, "engine", automatic=True)),
]


StorageChoice = Annotated[
    PartChoice,
    BeforeValidator(_part_choice),
    AfterValidator(must_exist(storages, Storage, "storage")),
]


FormatChoice = Annotated[
    PartChoice,
    BeforeValidator(_part_choice),
    AfterValidator(must_exist(formats, Format, "format")),
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
    AfterValidator(must_exist(notifiers, Notifier, "notifier")),
    AfterValidator(_can_be_imported),
]
