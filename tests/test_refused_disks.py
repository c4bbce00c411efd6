"""Disks that refuse: of a network, limited, closed, read-only, full where originals go; and who owns the state."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_helpers import Installed
from storage_helpers import a_world, fill, needs_root, small_disk
from test_layers import MODULES, inside, tree
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.cli._commands import names
from asrwatch.errors import StartupError
from asrwatch.journey.store import Store
from asrwatch.sandbox import Sandbox

# No mount namespace of these holds a loop device that others need anew, nor the other way round.
ALONE = pytest.mark.xdist_group("loop_device")
SOAK = (pytest.mark.soak, pytest.mark.timeout(300), ALONE)


def once_under(world: Installed, *before: str) -> "subprocess.CompletedProcess[str]":
    """`asrwatch once`, started by another program."""
    if shutil.which(before[0]) is None:
        pytest.skip(f"needs {before[0]}(1)")
    return subprocess.run(
        [*before, sys.executable, "-m", "asrwatch", "once", "-c", str(world.config())],
        env=world.environment(),
        cwd=world.root,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def events(world: Installed) -> list[str]:
    """The names of what was logged."""
    return [line["event"] for line in world.lines()]


def remount(folder: Path, how: str) -> None:
    """Make a small disk read-only, or writable again, under whoever uses it."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True, capture_output=True)


@needs_root
@pytest.mark.parametrize(
    "kind", ["nfs4", *(pytest.param(kind, marks=SOAK) for kind in ("cifs", "9p", "fuse.sshfs"))]
)
def test_no_state_on_a_network_file_system(tmp_path: Path, sandbox: Sandbox, kind: str) -> None:
    """Where the kernel says that the state lies on a network file system nothing starts, nothing is made. [S08]."""
    world = a_world(tmp_path, sandbox)
    write_wav(world.inbox / "talk.wav")
    share = str(tmp_path / "state").replace(" ", "\\040")
    said = tmp_path / "mountinfo"
    said.write_text(f"900 1 0:99 / {share} rw - {kind} server:/export rw\n")
    lie = f'mount --bind "{said}" /proc/$$/mountinfo || exit 77; exec "$@"'
    told = once_under(world, "unshare", "-m", "sh", "-c", lie, "sh")
    if told.returncode == 77 or told.stderr.startswith("unshare:"):
        pytest.skip(f"no mounts here: {told.stderr}")
    assert told.returncode == 1, told.stderr
    assert f"network file system ({kind})" in told.stderr
    assert "local disk" in told.stderr
    assert not (tmp_path / "state").exists()
    assert not sandbox.bill.attempts


HOW = {
    "run": "holds the lock",
    "once": "holds the lock",
    "status": "asks",
    "explain": "asks",
    "plan": "asks",
    "notify": "asks",
    "transcripts": "asks",
    "log": "asks",
    "retry": "asks",
    "forget": "asks",
    "transcribe": "has no state",
    "check": "has no state",
    "unit": "has no state",
    "parts": "has no state",
    "demo": "has its own",
    "sandbox": "has no state",
    "version": "has no state",
}
"""Every command, and how it gets at the state: by holding its lock, by asking who holds it, or not at all."""


OPENERS = {"Store", "open_store", "consult", "sqlite3.connect"}


def _calls(path: Path) -> set[str]:
    told = path.read_text(encoding="utf-8")
    if not any(name in told for name in OPENERS):
        return set()
    calls = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
    return {ast.unparse(call.func) for call in calls} & OPENERS


def test_no_command_opens_the_state_beside_its_owner() -> None:
    """Each command holds the lock, or asks (a running daemon through its socket, else with the lock held). [S09]."""
    assert set(HOW) == set(names()), "a new command: how does it get at the state?"
    calls = {inside(path): _calls(path) for path in MODULES}
    for command, how in HOW.items():
        called = calls[f"cli/{command}.py"]
        assert ("open_store" in called) == (how == "holds the lock"), command
        assert ("consult" in called) == (how == "asks"), command
        assert "Store" not in called, command
    opening = {place for place, called in calls.items() if {"open_store", "Store"} & called}
    assert opening == {"bootstrap.py", "cli/_house.py", "cli/once.py", "cli/run.py"}
    connecting = {place for place, called in calls.items() if "sqlite3.connect" in called}
    assert connecting == {
        "journey/store/database.py",
        "journey/store/backup.py",  # to its own copies only
        "journey/store/reading.py",  # only to read, inside the daemon
        "journey/store/said.py",  # same
    }


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_commands_beside_a_daemon_leave_the_database_alone(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """With a daemon running who reads and who writes are answered by it; a second owner is refused. [S09] [S11]."""
    world = a_world(tmp_path, sandbox)
    try:
        process = world.start()
        write_wav(world.inbox / "talk.wav")
        assert world.text_of("talk") == "Hello world.\n"
        wait_for(lambda: "delivered" in events(world))
        database = tmp_path / "state" / "asrwatch.db"
        mine = {
            str(each.readlink())
            for each in Path(f"/proc/{process.pid}/fd").iterdir()
            if os.path.lexists(each)
        }
        assert str(database) in mine, "so that this looks at the right file"
        database.chmod(0)  # its owner has it open; root aside, nobody else could
        talk = str(world.inbox / "talk.wav")
        for words in (("status",), ("forget", talk)):
            told = world.call(*words)
            assert told.returncode == 0, told.stderr
        with pytest.raises(StartupError, match="Another asrwatch is using"):
            Store(tmp_path / "state")
        assert world.stop(process) == 0
    finally:
        world.kill_all()


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_limit_on_file_sizes_is_a_shortage(tmp_path: Path, sandbox: Sandbox) -> None:
    """Where no large file may be written (RLIMIT_FSIZE) nothing is asked; without the limit all goes on. [S14]."""
    world = a_world(tmp_path, sandbox)
    write_wav(world.inbox / "talk.wav")
    told = once_under(world, "prlimit", "--fsize=400000")
    assert told.returncode == 1, told.stderr
    assert "File too large" in told.stderr
    assert not sandbox.bill.attempts
    again = world.call("once")
    assert again.returncode == 0, again.stderr
    assert world.text_of("talk") == "Hello world.\n"
    assert len(sandbox.bill.paid) == 1


@needs_root
def test_an_original_is_never_lost_on_its_way_to_a_full_disk(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """`after: move` to a disk that is full: the original stays, whole, and is moved when there is room. [S13]."""
    world = a_world(tmp_path, sandbox, seconds="30s")
    done = tmp_path / "done"
    world.inbox_keys = {"after": {"move": str(done)}}
    with small_disk(done):
        try:
            original = write_wav(world.inbox / "talk.wav", seconds=20)
            content = original.read_bytes()
            filler = fill(done, leave=100_000)
            process = world.start()
            wait_for(lambda: "trouble" in events(world) or "not-moved" in events(world))
            assert original.read_bytes() == content
            assert list(done.iterdir()) == [filler], "nothing half-moved"
            filler.unlink()
            wait_for(lambda: not original.exists())
            assert (done / "talk.wav").read_bytes() == content
            assert len(sandbox.bill.paid) == 1
            assert world.stop(process) == 0
        finally:
            world.kill_all()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root's power over permissions away")
@pytest.mark.soak
@pytest.mark.timeout(300)
def test_an_output_folder_that_may_not_be_written_is_a_shortage(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """Its owner closed the folder: nothing is asked, it is named; opened again, all goes on. [S05]."""
    world = a_world(tmp_path, sandbox)
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    world.inbox_keys = {"output": str(out)}
    write_wav(world.inbox / "talk.wav")
    weak = "-dac_override,-dac_read_search"
    told = once_under(world, "setpriv", f"--bounding-set={weak}", f"--inh-caps={weak}")
    assert told.returncode == 1, told.stderr
    assert "Permission denied" in told.stderr
    assert str(out) in told.stderr
    assert not sandbox.bill.attempts
    out.chmod(0o700)
    assert world.call("once").returncode == 0
    assert (out / "talk.txt").read_text() == "Hello world.\n"


@needs_root
@ALONE
@pytest.mark.soak
@pytest.mark.timeout(300)
def test_outputs_remounted_read_only_heal(tmp_path: Path, sandbox: Sandbox) -> None:
    """The disk of the transcripts becomes read-only meanwhile: told once, nothing asked, healed by itself. [S05]."""
    world = a_world(tmp_path, sandbox)
    world.inbox_keys = {"output": str(tmp_path / "out")}
    with small_disk(tmp_path / "out"):
        try:
            process = world.start()
            write_wav(world.inbox / "first.wav")
            wait_for((tmp_path / "out" / "first.txt").exists)
            remount(tmp_path / "out", "ro")
            wait_for(lambda: "no-room" in events(world))
            write_wav(world.inbox / "second.wav", number=2)
            wait_for(lambda: events(world).count("settled") == 2)
            assert world.status()["shortages"][0]["code"] == "read-only"
            assert len(sandbox.bill.paid) == 1
            remount(tmp_path / "out", "rw")
            wait_for((tmp_path / "out" / "second.txt").exists)
            assert events(world).count("no-room") == 1
            assert len(sandbox.bill.paid) == 2
            assert world.stop(process) == 0
        finally:
            world.kill_all()


@needs_root
@ALONE
@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_state_that_becomes_read_only_ends_with_75(tmp_path: Path, sandbox: Sandbox) -> None:
    """The kernel stops writing the state's disk (an aborted ext4): exit 75; mounted anew, all is delivered. [S05]."""
    image, state = tmp_path / "image", tmp_path / "state"
    with image.open("wb") as made:
        made.truncate(64_000_000)
    state.mkdir(mode=0o700)
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("needs mkfs.ext4")
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, capture_output=True)
    mount = ["mount", "-o", "loop,errors=remount-ro", str(image), str(state)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no loop devices here")
    world = a_world(tmp_path, sandbox)
    try:
        state.chmod(0o700)
        process = world.start()
        write_wav(world.inbox / "first.wav")
        assert world.text_of("first") == "Hello world.\n"
        wait_for(lambda: "delivered" in events(world))
        remount(state, "abort")
        write_wav(world.inbox / "second.wav", number=2)
        assert process.wait(25) == 75
        assert len(sandbox.bill.paid) == 1
        subprocess.run(["umount", str(state)], check=True, capture_output=True)
        subprocess.run(mount, check=True, capture_output=True)
        again = world.call("once")
        assert again.returncode == 0, again.stderr
        assert world.text_of("second") == "Hello world.\n"
        assert not sandbox.bill.paid_twice
    finally:
        world.kill_all()
        subprocess.run(["umount", "-l", str(state)], check=False, capture_output=True)
