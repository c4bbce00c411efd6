"""The commands that work, against the sandbox: `once`, `run`, and the others asking a running daemon."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import asrwatch, configure, environment
from start_helpers import start
from wait_helpers import PATIENCE, wait_for
from wav_helpers import write_wav

from asrwatch.control import ask_daemon
from asrwatch.desk.questions import AskStatus
from asrwatch.desk.reports.status import Status
from asrwatch.journey.recording import State
from asrwatch.sandbox import Knobs, Sandbox, Scripted


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A cloud that answers "Hello world." at once."""
    with Sandbox(recogniser=Scripted(), knobs=Knobs(rate_limits=False)) as running:
        yield running


def configured(folder: Path, sandbox: Sandbox, **settings: Any) -> Path:
    """A configuration that reaches the sandbox."""
    return configure(folder, cloud={"base_url": sandbox.url}, **settings)


@contextmanager
def running(folder: Path, config: Path, **more: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A daemon in the background, ready when the block begins."""
    log = folder / "log"
    env = environment(folder, **more)
    with log.open("w") as stream:
        daemon = start("run", "-c", config, env=env, cwd=folder, stdout=stream, stderr=stream)
    try:
        wait_for(lambda: daemon.poll() is not None or '"started"' in log.read_text())
        yield daemon
    finally:
        daemon.kill()
        daemon.wait()


# Once.


def test_once_delivers_everything(tmp_path: Path, sandbox: Sandbox) -> None:
    """Every recording gets its transcript and a line of its own; a second run has nothing to do or pay."""
    config = configured(tmp_path, sandbox)
    for number in range(3):
        write_wav(tmp_path / "inbox" / f"{number}.wav", number=number + 1)
    told = asrwatch("once", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY=sandbox.key)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.count("done    ") == 3
    assert "3 recordings transcribed." in told.stdout
    assert (tmp_path / "inbox" / "1.txt").read_text() == "Hello world.\n"
    told = asrwatch("once", "--json", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY=sandbox.key)
    assert json.loads(told.stdout) == {
        "stopped": False,
        "delivered": [],
        "not_done": [],
        "empty": [],
        "unmarked": [],
        "unfinished": [],
    }
    assert len(sandbox.bill.paid) == 3


def test_once_needs_no_configuration(tmp_path: Path, sandbox: Sandbox) -> None:
    """Folders named on the command line are watched instead of the configuration's inboxes."""
    config = configured(tmp_path, sandbox, inboxes=[], defaults={"settle": "100ms"})
    folder = tmp_path / "Memos"
    folder.mkdir()
    write_wav(folder / "a.wav")
    told = asrwatch("once", "-c", config, "Memos", cwd=tmp_path, DASHSCOPE_API_KEY=sandbox.key)
    assert told.returncode == 0
    assert (folder / "a.txt").exists()


def test_once_names_what_failed(tmp_path: Path, sandbox: Sandbox) -> None:
    """One broken file does not keep the others; it is named with its reason, and the end is 1, also next time."""
    config = configured(tmp_path, sandbox)
    write_wav(tmp_path / "inbox" / "good.wav")
    (tmp_path / "inbox" / "bad.wav").write_text("This is no recording, whatever its name says.")
    told = asrwatch("once", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY=sandbox.key)
    assert told.returncode == 1
    assert "1 recording transcribed, 1 not done" in told.stdout
    assert "bad.wav" in told.stderr
    assert "Traceback" not in told.stderr
    told = asrwatch("once", "--json", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY=sandbox.key)
    assert told.returncode == 1
    report = json.loads(told.stdout)
    assert [(each["state"], each["code"]) for each in report["not_done"]] == [
        ("failed", "not-audio")
    ]


def test_once_mentions_empty_files(tmp_path: Path, sandbox: Sandbox) -> None:
    """A file without any bytes is no failure, and is not passed over in silence either."""
    config = configured(tmp_path, sandbox)
    (tmp_path / "inbox" / "empty.wav").touch()
    told = asrwatch("once", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY=sandbox.key)
    assert told.returncode == 0
    assert "1 file without any bytes was left" in told.stdout
    assert "empty.wav" in told.stdout
    told = asrwatch("once", "--json", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY=sandbox.key)
    assert json.loads(told.stdout)["empty"] == [str(tmp_path / "inbox" / "empty.wav")]


def test_once_tells_an_outage(tmp_path: Path) -> None:
    """While the cloud cannot be reached `once` says so when it begins, and names it again when interrupted."""
    config = configure(tmp_path, cloud={"base_url": "http://127.0.0.1:9"})
    write_wav(tmp_path / "inbox" / "a.wav")
    errors = tmp_path / "errors"
    with errors.open("w") as stream:
        command = subprocess.Popen(
            [sys.executable, "-m", "asrwatch", "once", "-c", str(config)],
            env=environment(tmp_path, DASHSCOPE_API_KEY="sk-something"),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
    try:
        wait_for(lambda: "waits" in errors.read_text())
        assert "127.0.0.1:9" in errors.read_text()
        command.send_signal(signal.SIGINT)
        told, _ = command.communicate(timeout=PATIENCE)
    finally:
        command.kill()
        command.wait()
    assert command.returncode == 1
    assert "Stopped before everything was done" in told
    left = errors.read_text().splitlines()[-1]
    assert "a.wav" in left
    assert "127.0.0.1:9" in left
    assert "was stopped before it was done" not in left


def test_once_without_a_key_holds_everything(tmp_path: Path, sandbox: Sandbox) -> None:
    """A missing key is told first with every place it could be; nothing fails, and the next run goes on."""
    config = configured(tmp_path, sandbox)
    write_wav(tmp_path / "inbox" / "a.wav")
    told = asrwatch("once", "-c", config, cwd=tmp_path)
    assert told.returncode == 1
    assert told.stderr.startswith("asrwatch: There is no API key for the cloud.")
    assert "DASHSCOPE_API_KEY" in told.stderr
    assert "held: " in told.stderr
    story = json.loads(
        asrwatch("explain", "inbox/a.wav", "--json", "-c", config, cwd=tmp_path).stdout
    )["story"]
    assert story["state"] == "staged"
    assert any("Every engine is held" in why for why in story["waits"])
    told = asrwatch("once", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY=sandbox.key)
    assert (told.returncode, len(sandbox.bill.paid)) == (0, 1)


def test_once_tells_an_inbox_that_is_away(tmp_path: Path, sandbox: Sandbox) -> None:
    """A configured inbox that cannot be read is not "nothing to do"."""
    config = configured(tmp_path, sandbox)
    (tmp_path / "inbox").rmdir()
    told = asrwatch("once", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY=sandbox.key)
    assert told.returncode == 1
    assert "inbox" in told.stderr


def test_once_can_be_stopped(tmp_path: Path, sandbox: Sandbox) -> None:
    """Ctrl-C ends it in order, says that it was not done, and the next run finishes without paying twice."""
    config = configured(tmp_path, sandbox)
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(seconds=2))
    write_wav(tmp_path / "inbox" / "a.wav")
    command = subprocess.Popen(
        [sys.executable, "-m", "asrwatch", "once", "-c", str(config)],
        env=environment(tmp_path, DASHSCOPE_API_KEY=sandbox.key),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: sandbox.requests)
        command.send_signal(signal.SIGINT)
        told, errors = command.communicate(timeout=PATIENCE)
    finally:
        command.kill()
        command.wait()
    assert command.returncode == 1
    assert "Stopped before everything was done" in told
    assert "Traceback" not in errors
    again = asrwatch("once", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY=sandbox.key)
    assert (again.returncode, len(sandbox.bill.paid)) == (0, 1)


def test_once_shows_a_bar_on_a_terminal(tmp_path: Path, sandbox: Sandbox) -> None:
    """On a terminal there is a bar with files, minutes and bytes; elsewhere there are no colours at all."""
    config = configured(tmp_path, sandbox)
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(seconds=1))
    write_wav(tmp_path / "inbox" / "a.wav", seconds=60)
    seen = in_a_terminal(
        ["once", "-c", str(config)],
        environment(tmp_path, DASHSCOPE_API_KEY=sandbox.key, TERM="xterm"),
        tmp_path,
    )
    assert "1/1 files" in seen
    assert "/1.0 min of audio" in seen
    assert "\x1b[" in seen
    assert "1 recording transcribed." in seen
    plain = asrwatch("once", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY=sandbox.key)
    assert "\x1b" not in plain.stdout + plain.stderr


def in_a_terminal(words: list[str], given: dict[str, str], cwd: Path) -> str:
    """Everything a command writes to a terminal of 120 columns."""
    ours, theirs = pty.openpty()
    command = subprocess.Popen(
        [sys.executable, "-m", "asrwatch", *words],
        env={**given, "COLUMNS": "120"},
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    end = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < end:
            ready, _, _ = select.select([ours], [], [], 1)
            try:
                piece = os.read(ours, 65_536) if ready else b""
            except OSError:  # EIO: what Linux says when the other side is closed
                break
            if ready and not piece:
                break
            seen += piece
        assert command.wait(10) == 0
    finally:
        command.kill()
        command.wait()
        os.close(ours)
    return seen.decode("utf-8", "replace")


# Run, and asking it.


def delivered(folder: Path) -> int:
    """How many recordings are delivered, as the running daemon says."""
    return ask_daemon(folder / "state", AskStatus(), Status).counts[State.DELIVERED]


def test_a_running_daemon_is_asked(tmp_path: Path, sandbox: Sandbox) -> None:
    """status, explain, retry and forget reach the daemon, which goes on and pays nothing twice."""
    config = configured(tmp_path, sandbox)
    inbox = tmp_path / "inbox"
    with running(tmp_path, config, DASHSCOPE_API_KEY=sandbox.key) as daemon:
        write_wav(inbox / "a.wav")
        wait_for((inbox / "a.txt").exists)

        def tell(*words: str) -> Any:
            told = asrwatch(*words, "--json", "-c", config, cwd=tmp_path)
            assert told.returncode == 0, told.stderr
            return json.loads(told.stdout)

        wait_for(lambda: delivered(tmp_path) == 1)
        status = tell("status")
        assert (status["running"], status["process"]) == (True, daemon.pid)
        assert status["inboxes"][0]["alive"]
        assert status["ever"]["answered"] == 1
        assert tell("explain", "inbox/a.txt")["story"]["state"] == "delivered"
        (inbox / "a.txt").unlink()
        assert "costs nothing" in tell("retry", "inbox/a.wav")["treated"][0]["what"]
        wait_for((inbox / "a.txt").exists)
        wait_for(lambda: delivered(tmp_path) == 1)
        assert tell("forget", "inbox")["done"] == 1
        assert delivered(tmp_path) == 0
        assert tell("explain", "inbox/a.wav")["forgotten"]
        assert tell("retry", "inbox/a.wav")["done"] == 1
        wait_for(lambda: delivered(tmp_path) == 1)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(PATIENCE) == 0
    assert len(sandbox.bill.paid) == 1
    assert not (tmp_path / "state" / "control.sock").exists()


def test_a_missing_key_heals_without_a_restart(tmp_path: Path, sandbox: Sandbox) -> None:
    """The daemon starts without a key, says where it looked, holds, and goes on once the key file is there."""
    key = tmp_path / "key"
    cloud = {"base_url": sandbox.url, "api_key_file": str(key)}
    config = configure(tmp_path, cloud=cloud)
    with running(tmp_path, config):
        write_wav(tmp_path / "inbox" / "a.wav")
        told = asrwatch("status", "-c", config, cwd=tmp_path)
        assert told.returncode == 0
        wait_for(lambda: '"engine-held"' in (tmp_path / "log").read_text())
        first = json.loads((tmp_path / "log").read_text().partition("\n")[0])
        assert (first["event"], first["level"]) == ("no-key", "error")
        assert str(key) in first["advice"]
        key.write_text(sandbox.key)
        key.chmod(0o600)
        wait_for((tmp_path / "inbox" / "a.txt").exists)


def test_a_second_signal_hurries(tmp_path: Path, sandbox: Sandbox) -> None:
    """One SIGTERM waits for the step under way; a second leaves at once, and the request stays accounted for."""
    config = configured(tmp_path, sandbox)
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(seconds=30))
    with running(tmp_path, config, DASHSCOPE_API_KEY=sandbox.key) as daemon:
        write_wav(tmp_path / "inbox" / "a.wav")
        wait_for(lambda: sandbox.requests)
        daemon.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            daemon.wait(1)
        begun = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(PATIENCE) == 0
        assert time.monotonic() - begun < 10
    report = json.loads(asrwatch("status", "--json", "-c", config, cwd=tmp_path).stdout)
    assert report["counts"]["asking"] == 1
    refused = asrwatch("retry", "inbox/a.wav", "-c", config, cwd=tmp_path)
    assert refused.returncode == 1
    assert "deals with that by itself" in refused.stderr


def test_a_killed_daemon_leaves_no_obstacle(tmp_path: Path, sandbox: Sandbox) -> None:
    """After SIGKILL its socket lies there; commands do the work themselves, and the next daemon takes over."""
    config = configured(tmp_path, sandbox)
    with running(tmp_path, config, DASHSCOPE_API_KEY=sandbox.key) as daemon:
        daemon.kill()
        daemon.wait()
    assert (tmp_path / "state" / "control.sock").is_socket()
    told = asrwatch("status", "--json", "-c", config, cwd=tmp_path)
    assert json.loads(told.stdout)["running"] is False
    with running(tmp_path, config, DASHSCOPE_API_KEY=sandbox.key):
        told = asrwatch("status", "--json", "-c", config, cwd=tmp_path)
        assert json.loads(told.stdout)["running"] is True
