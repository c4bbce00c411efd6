"""The power is cut at every named place: nothing acknowledged is lost, nothing half-written, nothing paid twice."""

import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from conftest import Keep
from crash_helpers import Tally, cloud
from crash_ways import WAYS, kill_and_judge, trial_on

from asrwatch.crash import SHUTDOWN, WITHOUT_LOG

# One at a time, and not beside tests with mount namespaces, which hold loop devices: a disk that gets another one when
# it is mounted anew has another number, and each file on it a new fingerprint. That is a remount, tested elsewhere.
pytestmark = pytest.mark.xdist_group("loop_device")

GROUPS = ("sync", "tasks", "treated by the daemon", "other ways")
"""Ways with a disk of their own, and all the others."""


class LoopDisk:
    """An ext4 image on a loop device; restoring it after a cut is what a start after one does."""

    def __init__(self, folder: Path) -> None:
        self.mount = folder / "disk"
        self._image = folder / "image"
        self._numbers = count(1)
        self.mount.mkdir()
        with self._image.open("wb") as image:
            image.truncate(512 * 2**20)  # room for `reserve`, or nothing is asked for
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", str(self._image))
        _run("mount", "-o", "loop", str(self._image), str(self.mount))

    def sync(self) -> None:
        """Make everything durable: what was put there before the trial began is none of its business."""
        _run("sync", "-f", str(self.mount))

    def is_dead(self) -> bool:
        """Whether its power was cut: nothing new can be put there."""
        try:
            (self.mount / "alive").touch()
        except OSError:
            return True
        return False

    def restore(self) -> None:
        """Mount it again, with what it has kept.

        From a copy: a mount namespace made meanwhile (by another test) keeps the dead file system alive, and
        mounting the same image again would bring that back.
        """
        self.unmount()
        fresh = self._image.with_name(f"image-{next(self._numbers)}")
        _run("cp", "--sparse=always", str(self._image), str(fresh))
        self._image.unlink()
        self._image = fresh
        _run("mount", "-o", "loop", str(self._image), str(self.mount))

    def unmount(self) -> None:
        """Take it out; the kernel may need a moment to close a dead process's files."""
        subprocess.run(["sync", "-f", str(self.mount)], capture_output=True, check=False)
        for _ in range(100):
            done = subprocess.run(["umount", str(self.mount)], capture_output=True, check=False)
            if done.returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError(done.stderr)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    """A disk whose power can be cut."""
    missing = [
        tool for tool in ("mkfs.ext4", "mount", "umount", "cp") if shutil.which(tool) is None
    ]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and the tools for a loop-mounted ext4 ({', '.join(missing)})")
    try:
        made = LoopDisk(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop device can be mounted here: {error.stderr.decode().strip()}")
    yield made
    made.unmount()


def test_a_cut_loses_what_was_not_synced(disk: LoopDisk) -> None:
    """The harness cuts the power for true: a file that was not synced is gone, one that was is there."""
    (disk.mount / "synced").write_bytes(b"kept")
    disk.sync()
    (disk.mount / "not synced").write_bytes(b"lost")
    assert not disk.is_dead()
    folder = os.open(disk.mount, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", WITHOUT_LOG))
    except OSError as error:
        pytest.skip(f"this kernel's ext4 does not do the shutdown ioctl: {error}")
    finally:
        os.close(folder)
    assert disk.is_dead()
    disk.restore()
    assert [path.name for path in disk.mount.iterdir() if path.is_file()] == ["synced"]
    assert not disk.is_dead()


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("group", GROUPS)
def test_the_power_is_cut_at_every_place(
    disk: LoopDisk, tmp_path: Path, group: str, rounds: Callable[[int, int], int], promise: Keep
) -> None:
    """State, inbox and transcripts survive a power cut at every named place, and money does [S01].

    One recording at a time: the cut comes from the thread that comes to the place while every other thread is
    quiet, or a race of the ioctl itself would lose what was acknowledged (reliability.md section 4.2).
    """
    tally = Tally()
    named = [way for way in WAYS if way.name == group]
    ways = named or [way for way in WAYS if way.name not in GROUPS]
    for number, way in enumerate(ways):
        for place in sorted(way.places):
            for turn in range(rounds(10, 1)):
                root = disk.mount / f"{number}-{turn}-{place.replace(':', '-')}"
                goal = tmp_path / "done" / root.name if way.elsewhere else root / "done"
                with cloud() as sandbox:
                    trial = trial_on(way, root, sandbox, files=1, goal=goal, disk=disk)
                    disk.sync()
                    tally.count(partial(kill_and_judge, way, trial, place, 1, goal))
                tally.take(trial)
                disk.restore()
                shutil.rmtree(root)
    places = frozenset[str]().union(*(way.places for way in ways))
    tally.tell(promise, f"P3 power cut at each of {len(places)} places, {group}", files=tally.kills)
    assert not tally.faults, "\n".join(tally.faults)
