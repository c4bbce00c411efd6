"""Fixtures every test may use, and the table of promises that `pytest -m soak` prints."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
from e2e_helpers import Installed
from journey_helpers import a_keeper
from rich.console import Console
from rich.table import Table

from asrwatch.journey.keeper import Keeper
from asrwatch.journey.store import Store
from asrwatch.sandbox import Knobs, Sandbox, Scripted

PROMISE = "promise"


class Keep(Protocol):
    """What the `promise` fixture hands out."""

    def __call__(self, name: str, *, promised: str, measured: str) -> None:
        """Write one row of the table: what is promised, in which figure, and what was measured."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--bounded`: soak for minutes, as CI does, and not until everything was tried."""
    parser.addoption("--bounded", action="store_true", help="with -m soak: a sample, in minutes")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The promises that this run has measured, each with its figure."""
    rows = []
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, told in report.user_properties:
                if name == PROMISE:
                    rows.append((*json.loads(str(told)), "yes" if outcome == "passed" else "NO"))
    if not rows:
        return
    table = Table("promise", "promised", "measured", "kept", title="What asrwatch promises")
    for row in sorted(rows):
        table.add_row(*row)
    Console(width=150).print(table)


@pytest.fixture
def promise(record_property: Callable[[str, object], None]) -> Keep:
    """Adds rows to the table of promises at the end of the run; call it before the assertion that it rests on."""

    def keep(name: str, *, promised: str, measured: str) -> None:
        record_property(PROMISE, json.dumps([name, promised, measured]))

    return keep


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """`rounds(full, bounded)`: how often a soak repeats itself, with and without `--bounded`."""
    bounded = bool(request.config.getoption("--bounded"))
    return lambda full, sample: sample if bounded else full


@pytest.fixture
def now() -> datetime:
    """A date to start from."""
    return datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with Store(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def keeper(store: Store) -> Keeper:
    """A keeper without routes."""
    return a_keeper(store)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A cloud that answers at once, without rate limits, "Hello world." to everything; its bill is the judge."""
    knobs = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
    with Sandbox(recogniser=Scripted(), knobs=knobs) as running:
        yield running


@pytest.fixture
def installed(tmp_path: Path, sandbox: Sandbox) -> Iterator[Installed]:
    """The program, with a key the sandbox accepts."""
    world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)
    yield world
    world.kill_all()
