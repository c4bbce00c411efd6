"""Turn a region's name or a configured base URL into the root that every path is appended to."""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from asrwatch.errors import ConfigError, Problem

__all__ = ["REGIONS", "check_proxy", "currency_of", "root_of"]

REGIONS: Mapping[str, str] = MappingProxyType(
    {
        "beijing": "https://dashscope.aliyuncs.com",
        "singapore": "https://dashscope-intl.aliyuncs.com",
        "us": "https://dashscope-us.aliyuncs.com",
    }
)
"""The shared hosts of contract section 1.1; anything else is reached through `base_url`."""

_CURRENCIES: Mapping[str, str] = MappingProxyType({"beijing": "CNY"})
"""Contract section 8; everywhere else the vendor bills US dollars."""

_PATH_ROOTS = ("/api/v1", "/compatible-mode/v1", "/compatible-mode")


def currency_of(region: str) -> str:
    """The currency in which the region's prices are told."""
    return _CURRENCIES.get(region, "USD")


def root_of(region: str, base_url: str | None) -> str:
    """The URL that `/api/v1/...` and `/compatible-mode/v1/...` are appended to; no slash at its end.

    Args:
        region: one of `REGIONS`.
        base_url: replaces the region's host as a whole; people may paste either path root with it.

    Raises:
        ConfigError: no such region, or the base URL is not one.
    """
    if region not in REGIONS:
        there_are = ", ".join(REGIONS)
        raise _problem("cloud.region", f"there is no region {region!r}; there are {there_are}")
    if base_url is None or not base_url.strip():
        return REGIONS[region]
    root = base_url.strip().rstrip("/")
    for path in _PATH_ROOTS:
        root = root.removesuffix(path).rstrip("/")
    complaint = _complaint(root, schemes=("http", "https"))
    if complaint is None and (urlsplit(root).query or urlsplit(root).fragment):
        complaint = "must end with its path, without ? or #"
    if complaint is None and "@" in urlsplit(root).netloc:
        # requests would send these as the Authorization header, in the key's place
        complaint = "must not carry a user name or password"
    if complaint is not None:
        raise _problem("cloud.base_url", complaint)
    return root


def check_proxy(proxy: str | None) -> None:
    """Refuse a proxy that requests could not use.

    Raises:
        ConfigError: not an http or https URL with a host.
    """
    if proxy is not None and (complaint := _complaint(proxy, schemes=("http", "https"))):
        raise _problem("cloud.proxy", complaint)


def _complaint(url: str, *, schemes: tuple[str, ...]) -> str | None:
    """What is wrong with a URL; it is not repeated, since it may hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"is not a URL: {error}"
    if parts.scheme not in schemes or not parts.hostname:
        return f"must be {' or '.join(schemes)}://host, with a port and a path if needed"
    if not url.isascii() or any(character.isspace() for character in url):
        return "must be plain ASCII without spaces"
    return None


def _problem(where: str, what: str) -> ConfigError:
    return ConfigError([Problem(where=where, what=what)], source="the configuration")
