"""The sections that are about the whole daemon: cloud, budget, backups, figures, status page."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from asrwatch.address import Address, parse_address
from asrwatch.cloud.hosts import check_hosts
from asrwatch.cloud.regions import check_proxy, root_of
from asrwatch.settings.kinds import AnyPath, Frozen, as_value_error
from asrwatch.values import Duration, format_duration, parse_duration

__all__ = [
    "AllowanceSettings",
    "BackupSettings",
    "BudgetSettings",
    "CloudSettings",
    "MetricsSettings",
    "WebSettings",
    "on_or_off",
]


class CloudSettings(Frozen):
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
        as_value_error(lambda: root_of("beijing", url))
        return url

    @field_validator("trusted_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        as_value_error(lambda: check_hosts(hosts))
        return hosts

    @field_validator("proxy")
    @classmethod
    def _is_a_proxy(cls, url: str | None) -> str | None:
        as_value_error(lambda: check_proxy(url))
        return url


class AllowanceSettings(Frozen):
    """How much may be asked for in a span of time: hours of audio, and money in the region's currency."""

    audio: Duration | None = None
    money: Annotated[Decimal, Field(ge=0)] | None = None


class BudgetSettings(Frozen):
    """What all inboxes together may ask for; without a limit, as much as there is."""

    day: AllowanceSettings = AllowanceSettings()
    month: AllowanceSettings = AllowanceSettings()

    @property
    def counts_money(self) -> bool:
        """Whether prices matter."""
        return self.day.money is not None or self.month.money is not None


class BackupSettings(Frozen):
    """How often the state is copied, and how many copies are kept."""

    every: Duration = parse_duration("1d")
    keep: Annotated[int, Field(ge=1, le=1000)] = 3


_LEAST_TOKEN = 16


_SHORTEST_EVERY = timedelta(seconds=1)


class MetricsSettings(Frozen):
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


class WebSettings(Frozen):
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


def on_or_off(written: Any) -> Any:
    """`web: off` is False to YAML; `web: on` is the default."""
    if written is False or written == "off":
        return None
    return WebSettings() if written is True or written == "on" else written
