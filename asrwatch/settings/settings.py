"""Everything a configuration file can say, as one frozen value."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from platformdirs import user_state_path
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from asrwatch import engines, parts
from asrwatch.engines import Engine
from asrwatch.settings.choices import AUTOMATIC, PartChoice, StorageChoice, must_exist
from asrwatch.settings.inbox import InboxSettings
from asrwatch.settings.kinds import AnyPath, Frozen
from asrwatch.settings.sections import (
    BackupSettings,
    BudgetSettings,
    CloudSettings,
    MetricsSettings,
    WebSettings,
    on_or_off,
)
from asrwatch.settings.wording import what_is_wrong
from asrwatch.values import Size, parse_size

__all__ = ["Settings"]


def _default_state_dir() -> Path:
    given = os.environ.get("STATE_DIRECTORY")
    return Path(given.split(":")[0]) if given else user_state_path("asrwatch")


def _engine_options(written: Mapping[str, Any]) -> Mapping[str, Any]:
    """Each engine's own options, all of their problems together, each at its engine."""
    check = must_exist(engines, Engine, "engine")
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


class Settings(Frozen):
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
    web: Annotated[WebSettings | None, BeforeValidator(on_or_off)] = WebSettings()
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
