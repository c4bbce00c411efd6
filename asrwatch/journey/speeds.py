"""Learns how quick uploads and encoding are here, and remembers it from one run to the next.

It lies in a small file beside the database and not in it: worker threads write it, and losing it costs nothing.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Lock

from asrwatch.audio.diet import ASSUMED, BEGINNING, Speeds
from asrwatch.audio.orders import Codec

__all__ = ["FILE", "Speedometer"]

FILE = "speeds.json"
"""In the state folder."""

LEAST_UPLOADED = 1_000_000
"""Bytes: of smaller uploads the most time goes into asking for leave."""
LEAST_ENCODED = timedelta(seconds=60)
_NEW = 0.3
"""The share of the latest measurement: a link that has become slow is known after a few uploads."""
_CHANGED = 0.1
"""Less than this share of a change is not worth writing."""
_UPLINK = "uplink"
_SLOWEST, _FASTEST = 1.0, 1e12


class Speedometer:
    """Speeds as they were measured so far. Any number of threads may use it.

    Args:
        file: where they are remembered; None: only in memory.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = Lock()
        self._measured: dict[str, float] = _read(file) if file is not None else {}
        self._written = dict(self._measured)

    def speeds(self) -> Speeds:
        """What was measured, and what is assumed where nothing was."""
        with self._lock:
            known = dict(self._measured)
        return Speeds(
            uplink=known.get(_UPLINK, ASSUMED.uplink),
            encoding={codec: known.get(codec, ASSUMED.encoding[codec]) for codec in Codec},
            measured=_UPLINK in known,
        )

    def uploaded(self, size: int, *, took: timedelta) -> None:
        """So many bytes were uploaded, their permission included."""
        if size >= LEAST_UPLOADED:
            self._learn(_UPLINK, size, took)

    def encoded(self, codec: Codec, sound: timedelta, *, took: timedelta) -> None:
        """So much sound was encoded, the start of a process for it included."""
        if sound >= LEAST_ENCODED:
            self._learn(codec, sound.total_seconds(), max(took - BEGINNING, took / 2))

    def _learn(self, what: str, amount: float, took: timedelta) -> None:
        speed = amount / max(took.total_seconds(), 1e-3)
        with self._lock:
            before = self._measured.get(what)
            after = speed if before is None else before + (speed - before) * _NEW
            self._measured[what] = min(max(after, _SLOWEST), _FASTEST)
            written = self._written.get(what, 0.0)
            if abs(self._measured[what] - written) > written * _CHANGED:
                self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        draft = self._file.with_suffix(".part")
        with suppress(OSError):  # it is measured again
            draft.write_text(json.dumps(self._measured))
            draft.replace(self._file)
            self._written = dict(self._measured)


def _read(file: Path) -> dict[str, float]:
    try:
        held = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(held, Mapping):
        return {}
    names = {_UPLINK, *Codec}
    return {
        name: float(value)
        for name, value in held.items()
        if name in names and isinstance(value, int | float) and _SLOWEST <= value <= _FASTEST
    }
