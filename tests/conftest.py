"""Fixtures every test may use."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asrwatch.journey.store import Store


@pytest.fixture
def now() -> datetime:
    """A date to start from."""
    return datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with Store(tmp_path / "state") as opened:
        yield opened
