import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from asrwatch.systemd import Notifier

UNIT = Path(__file__).parent.parent / "systemd" / "asrwatch.service"
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed here")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A service manager's socket, and its name as systemd would pass it."""
    if request.param == "path":
        named = bound = str(tmp_path / "notify")
    else:
        named = f"@asrwatch-test-{uuid4()}"
        bound = f"\0{named[1:]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(bound)
        receiver.settimeout(5)
        yield receiver, named


def test_everything_that_can_be_said(manager: tuple[socket.socket, str]) -> None:
    """Ready, status, alive, stopping and more time arrive in systemd's words."""
    receiver, named = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": named})
    notifier.ready()
    notifier.status("3 waiting\nREADY=0 \x1b \udcff")
    notifier.alive()
    notifier.stopping()
    notifier.extend_timeout(timedelta(seconds=90))
    assert [receiver.recv(1_000) for _ in range(5)] == [
        b"READY=1",
        b"STATUS=3 waiting\\nREADY=0 \\x1b \\xff",
        b"WATCHDOG=1",
        b"STOPPING=1",
        b"EXTEND_TIMEOUT_USEC=90000000",
    ]


def test_environment_is_read_once() -> None:
    """The variables are taken out of the environment, so that no child can speak for the daemon."""
    environ = {
        "NOTIFY_SOCKET": "@x",
        "WATCHDOG_USEC": "60000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }
    notifier = Notifier.from_environment(environ)
    assert environ == {"HOME": "/"}
    assert notifier.watchdog_interval() == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "2000000"}, timedelta(seconds=1)),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
    ],
)
def test_watchdog_interval(environ: dict[str, str], interval: timedelta | None) -> None:
    """The watchdog is petted twice in the time it allows, and only if it watches this process."""
    assert Notifier.from_environment(environ).watchdog_interval() == interval


@pytest.mark.parametrize("address", [None, "", "vsock:2:1", "/nonexistent/socket", "@nobody", "/"])
def test_nobody_listens(address: str | None) -> None:
    """Without a manager, or with one that does not listen, everything is said into the void."""
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address} if address is not None else {})
    notifier.ready()
    notifier.status("on my own")
    notifier.alive()
    notifier.extend_timeout(timedelta(seconds=-1))
    notifier.stopping()


def test_a_full_queue_does_not_block(tmp_path: Path) -> None:
    """A manager that has stopped reading does not hold the daemon up."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        notifier = Notifier(str(tmp_path / "notify"))
        for _ in range(5_000):
            notifier.alive()
        assert receiver.recv(100) == b"WATCHDOG=1"


def settings() -> dict[str, list[str]]:
    """The unit's settings, comments and sections left out."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def runnable(tmp_path: Path) -> Path:
    """The unit with a program that exists on this machine, so that systemd finds no fault but real ones."""
    text = UNIT.read_text(encoding="utf-8")
    program = settings()["ExecStart"][0].split()[0]
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(program, sys.executable), encoding="utf-8")
    return copy


@needs_systemd
def test_unit_is_valid(runnable: Path) -> None:
    """Systemd finds nothing to complain about in the unit."""
    assert ANALYZE is not None
    checked = subprocess.run(
        [ANALYZE, "verify", "--man=no", "--recursive-errors=no", str(runnable)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    complaints = [line for line in checked.stderr.splitlines() if UNIT.name in line]
    assert complaints == []
    assert checked.returncode == 0, checked.stderr


@needs_systemd
def test_unit_is_hardened(runnable: Path) -> None:
    """The unit's exposure is at most 1.2 by systemd's own scale (most services score above 9)."""
    assert ANALYZE is not None
    scored = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--no-pager", "--threshold=12", str(runnable)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert scored.returncode == 0, scored.stdout[-500:] + scored.stderr


def test_unit_keeps_its_promises() -> None:
    """What the daemon rests on is in the unit: notify, watchdog, restart, credential, state, a patient stop."""
    found = settings()
    for key, value in {
        "Type": "notify",
        "NotifyAccess": "main",
        "WatchdogSec": "60",
        "Restart": "on-failure",
        "RestartSec": "5",
        "StartLimitIntervalSec": "0",
        "RestartPreventExitStatus": "78",
        "TimeoutStopSec": "180",
        "KillMode": "mixed",
        "LoadCredential": "dashscope-api-key:/etc/asrwatch/dashscope-api-key",
        "StateDirectory": "asrwatch",
        "StateDirectoryMode": "0700",
        "LimitCORE": "0",
    }.items():
        assert found[key] == [value], key
    assert "Environment" not in found, "a key in the environment leaks to children"
    assert found["ExecStart"] == ["/opt/asrwatch/venv/bin/asrwatch run"]
    assert found["ExecStartPre"] == ["-/opt/asrwatch/venv/bin/asrwatch check"]


def test_unit_is_installed_from_the_checkout() -> None:
    """The commands in its head install what lies in this repository, and name files that are there."""
    head = UNIT.read_text(encoding="utf-8").partition("[Unit]")[0]
    assert "pip install ." in head.splitlines()[3]
    for named in ("config.example.yaml", "systemd/asrwatch.service"):
        assert named in head
        assert (UNIT.parent.parent / named).is_file()


def test_unit_explains_itself() -> None:
    """Every paragraph of settings has a comment that says why."""
    text = UNIT.read_text(encoding="utf-8")
    service = text.partition("[Service]")[2].partition("[Install]")[0]
    for paragraph in service.strip().split("\n\n"):
        assert paragraph.startswith("#"), paragraph
