"""File names that fit: cut to what a file system takes, still telling one recording from another."""

import hashlib
import os
import re

__all__ = ["LONGEST_NAME", "fitted", "portable", "split_name"]

LONGEST_NAME = 255
"""Bytes in a name on every common file system; encrypted shares take 143 (reliability N05)."""

# What Windows, SMB shares and FAT refuse in a name; names of devices are refused with any ending.
_UNPORTABLE = re.compile(r"[\x00-\x1f\x7f<>:\"/\\|?*\ufffd]|[. ]+$")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)

_MARK_LENGTH = 11  # "~" and ten hexadecimal digits


def split_name(name: bytes) -> tuple[bytes, bytes]:
    """A name's stem and its ending with the dot, or no ending."""
    return os.path.splitext(name)  # noqa: PTH122 - bytes, which pathlib cannot hold


def portable(name: bytes) -> bytes:
    """`name` as every common file system takes it: each thing that one refuses becomes `_`.

    That is what Windows refuses, control characters, bytes that are not UTF-8, dots and spaces at the end,
    and the names of devices (`con`, `nul`, ...), which get `_` in front.
    """
    text = name.decode("utf-8", "replace")
    safe = _UNPORTABLE.sub(lambda found: "_" * len(found[0]), text)
    return (f"_{safe}" if _DEVICE.match(safe) else safe).encode()


def fitted(stem: bytes, tail: bytes, limit: int = LONGEST_NAME) -> bytes:
    """`stem` + `tail` in at most `limit` bytes.

    What does not fit loses the end of its stem, never within a UTF-8 sequence, and gets a mark of the
    whole stem instead, so that two long names that differ stay different.
    """
    if len(stem) + len(tail) <= limit:
        return stem + tail
    end = max(limit - len(tail) - _MARK_LENGTH, 0)
    # a byte of the form 10xxxxxx continues a sequence, which has at most three of them
    for _ in range(3):
        if end and stem[end] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8's own bit patterns
            end -= 1
    mark = hashlib.sha256(stem).hexdigest()[: _MARK_LENGTH - 1]
    return stem[:end] + b"~" + mark.encode() + tail
