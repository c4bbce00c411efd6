"""Writes paths and settings the way systemd.syntax(7) reads them."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

__all__ = ["is_nameable", "quoted", "section", "specifiers"]

_PLAIN: Final = re.compile(r"[A-Za-z0-9/._+@,=~-]+")
_BREAKS_LINES: Final = frozenset("\n\r\0")


def is_nameable(path: Path) -> bool:
    """Whether a unit can name a path: it is one line of UTF-8 to systemd."""
    text = str(path)
    return text.isprintable() or (not _BREAKS_LINES & set(text) and _is_utf8(text))


def quoted(text: str) -> str:
    """One word of a setting: spaces, quotes, colons, backslashes and percent signs mean themselves."""
    plain = specifiers(text)
    if _PLAIN.fullmatch(plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def specifiers(text: str) -> str:
    """The same text where systemd expands specifiers (`%h`) and nothing else."""
    return text.replace("%", "%%")


def section(name: str, lines: Iterable[str]) -> list[str]:
    """A section with these lines; nothing where there are none."""
    held = list(lines)
    return [f"[{name}]", *held, ""] if held else []


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
