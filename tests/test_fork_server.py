import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from start_helpers import Forked, environment, run, start
from wait_helpers import wait_for

from asrwatch import __version__

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks need pidfds")

ABANDON = """
import os, signal, sys
from pathlib import Path
from start_helpers import environment, start
here = Path(sys.argv[1])
with (here / "log").open("wb") as log:
    process = start("run", "-c", here / "asrwatch.yaml", env=environment(here), cwd=here, stdout=log, stderr=log)
print(process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
"""What a killed pytest is: it starts a daemon and is gone."""


def _configured(tmp_path: Path) -> Path:
    path = tmp_path / "asrwatch.yaml"
    path.write_text(f"web: off\ninboxes: [{{path: {tmp_path}}}]\n")
    return path


def _daemon(tmp_path: Path) -> "subprocess.Popen[bytes]":
    """Ready, or dead."""
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = start(
            *("run", "-c", _configured(tmp_path)),
            env=environment(tmp_path),
            cwd=tmp_path,
            stdout=out,
            stderr=out,
        )
    wait_for(lambda: process.poll() is not None or b'"started"' in log.read_bytes())
    return process


def _alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def test_a_fork_is_what_python_would_have_been(tmp_path: Path) -> None:
    """Words, folder and environment are those that were given; output, errors and exit code come back."""
    told = run("--version", env=environment(tmp_path), cwd=tmp_path)
    assert (told.returncode, told.stdout, told.stderr) == (0, f"{__version__}\n", "")
    process = _daemon(tmp_path)
    assert isinstance(process, Forked)
    place = Path(f"/proc/{process.pid}")
    assert place.joinpath("cwd").readlink() == tmp_path
    assert place.joinpath("fd/0").readlink() == Path(os.devnull)
    assert place.joinpath("fd/1").readlink() == tmp_path / "log"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    odd = tmp_path / os.fsdecode(b"odd \xff.yaml")
    refused = run("status", "-c", odd, env=environment(tmp_path), cwd=tmp_path)
    assert refused.returncode == 78
    assert "Traceback" not in refused.stderr


def test_a_fork_dies_by_signals(tmp_path: Path) -> None:
    """SIGKILL is told as such, and who waits too briefly is told too."""
    process = _daemon(tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    process.kill()  # is dead already: nothing happens


def test_a_forgotten_fork_is_killed(tmp_path: Path) -> None:
    """A process that nobody holds any more does not run on."""
    process = _daemon(tmp_path)
    number = process.pid
    assert _alive(number)
    del process
    wait_for(lambda: not _alive(number))


def test_killed_tests_leave_nothing(tmp_path: Path) -> None:
    """When pytest itself is killed, its fork server and everything that this has started are gone."""
    _configured(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", ABANDON, str(tmp_path)],
        env={**environment(tmp_path), "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    wait_for(lambda: not _alive(int(ended.stdout)))


def test_what_python_reads_itself_is_executed(tmp_path: Path) -> None:
    """An environment that steers Python's own start gets a Python of its own."""
    with (tmp_path / "log").open("wb") as out:
        process = start(
            "--version",
            env=environment(tmp_path, PYTHONUTF8="1"),
            cwd=tmp_path,
            stdout=out,
            stderr=out,
        )
    assert not isinstance(process, Forked)
    assert process.wait(60) == 0
