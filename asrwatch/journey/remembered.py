"""What is remembered beside the database, and goes back with a commit that failed."""

from collections.abc import Iterator, MutableMapping
from typing import Final, TypeVar

__all__ = ["Remembered"]

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class _Nothing:
    """Marks a key that had no value."""


_NOTHING: Final = _Nothing()


class Remembered(MutableMapping[KeyT, ValueT]):
    """A mapping with a way back to what it held at the last `keep`. Its values must not change themselves."""

    def __init__(self) -> None:
        self._now: dict[KeyT, ValueT] = {}
        self._before: dict[KeyT, ValueT | _Nothing] = {}

    def keep(self) -> None:
        """What it holds now is what it goes back to from here on."""
        self._before.clear()

    def go_back(self) -> None:
        """Hold again what was held at the last `keep`."""
        for key, value in self._before.items():
            if isinstance(value, _Nothing):
                self._now.pop(key, None)
            else:
                self._now[key] = value
        self._before.clear()

    def __getitem__(self, key: KeyT) -> ValueT:
        return self._now[key]

    def __setitem__(self, key: KeyT, value: ValueT) -> None:
        self._before.setdefault(key, self._now.get(key, _NOTHING))
        self._now[key] = value

    def __delitem__(self, key: KeyT) -> None:
        self._before.setdefault(key, self._now[key])
        del self._now[key]

    def __iter__(self) -> Iterator[KeyT]:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)
