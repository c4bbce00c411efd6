import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from conftest import Keep
from systemd_helpers import (
    UNITS,
    complaints,
    exposure,
    is_within,
    needs_systemd,
    put,
    shipped,
)

from asrwatch.systemd import Notifier

UNIT = UNITS / "asrwatch.service"


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


def settings(unit: str = "asrwatch.service") -> dict[str, list[str]]:
    """A unit's settings, comments and sections left out."""
    found: dict[str, list[str]] = {}
    for line in shipped(unit).splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@needs_systemd
def test_unit_is_valid(tmp_path: Path) -> None:
    """Systemd finds nothing to complain about in the unit, with the drop-in for homes or without."""
    assert complaints(put(tmp_path / "plain", shipped("asrwatch.service"))) == []
    homes = put(tmp_path / "homes", shipped("asrwatch.service"), shipped("asrwatch-homes.conf"))
    assert complaints(homes) == []


@needs_systemd
def test_users_unit_is_valid(tmp_path: Path) -> None:
    """Systemd finds nothing to complain about in the unit for one user."""
    assert complaints(put(tmp_path, shipped("asrwatch-user.service")), user=True) == []


@needs_systemd
def test_unit_is_hardened(tmp_path: Path) -> None:
    """The unit's exposure is at most 1.1 by systemd's own scale, where most services score above 9."""
    unit = put(tmp_path, shipped("asrwatch.service"))
    assert is_within(unit, 11)
    assert not is_within(unit, 10), "it became better: lower the promise"


@needs_systemd
def test_inboxes_in_homes_cost_little(tmp_path: Path) -> None:
    """With the drop-in for homes, as systemd merges it, the exposure is at most 1.5, group access included."""
    homes = shipped("asrwatch-homes.conf")
    by_group = homes + "SupplementaryGroups=recordings\n"
    unit = put(tmp_path / "acl", shipped("asrwatch.service"), homes)
    grouped = put(tmp_path / "group", shipped("asrwatch.service"), by_group)
    assert is_within(unit, 15)
    assert is_within(grouped, 15)
    exposed = put(tmp_path / "open", shipped("asrwatch.service"), "[Service]\nProtectSystem=no\n")
    assert not is_within(exposed, 11), "drop-ins are not judged here: the gate is blind"


@needs_systemd
@pytest.mark.soak
def test_promised_exposure(tmp_path: Path, promise: Keep) -> None:
    """The figures of the promise, for the table."""
    for name, promised, dropins in (
        ("P28 exposure of the unit", 11, ()),
        ("P28 exposure, inboxes in homes", 15, (shipped("asrwatch-homes.conf"),)),
        ("P28 exposure, homes not hidden", 15, ("[Service]\nProtectHome=no\nPrivateUsers=no\n",)),
    ):
        unit = put(tmp_path / name, shipped("asrwatch.service"), *dropins)
        promise(name, promised=f"<= {promised / 10}", measured=f"{exposure(unit)}")
        assert is_within(unit, promised)


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
    assert found["OOMPolicy"] == ["continue"]
    assert found["IPAddressDeny"] == ["link-local multicast"]


def test_users_unit_keeps_the_same_promises() -> None:
    """The unit for one user starts, stops and restarts as the system's does."""
    system, user = settings(), settings("asrwatch-user.service")
    for key in [
        "Type",
        "NotifyAccess",
        "WatchdogSec",
        "Restart",
        "RestartSec",
        "StartLimitIntervalSec",
        "TimeoutStartSec",
        "RestartPreventExitStatus",
        "TimeoutStopSec",
        "KillMode",
        "OOMPolicy",
        "LimitCORE",
        "UMask",
        "TasksMax",
        "NoNewPrivileges",
        "SystemCallFilter",
        "SystemCallErrorNumber",
        "RestrictAddressFamilies",
    ]:
        assert user[key] == system[key], key
    assert "Environment" not in user
    assert [value.partition(" ")[2] for value in user["ExecStart"]] == ["run"]


def test_unit_is_installed_from_the_checkout() -> None:
    """The commands in its head install what lies in this repository, and name files that are there."""
    head = UNIT.read_text(encoding="utf-8").partition("[Unit]")[0]
    assert "pip install ." in head.splitlines()[3]
    for named in ("config.example.yaml", "systemd/asrwatch.service"):
        assert named in head
        assert (UNIT.parent.parent / named).is_file()


def test_unit_explains_itself() -> None:
    """Every paragraph of settings has a comment that says why."""
    for name in ("asrwatch.service", "asrwatch-user.service", "asrwatch-homes.conf"):
        service = shipped(name).partition("[Service]")[2].partition("[Install]")[0]
        for paragraph in service.strip().split("\n\n"):
            assert paragraph.startswith("#"), paragraph
