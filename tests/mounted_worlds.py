"""Scenes with mounts and limits of their own, played in a child process that takes them along when it ends.

Run as `unshare -m (or -Ur) python mounted_worlds.py SCENE FOLDER` (see `played`); a scene that cannot be built here
says so with the line "skip: why".
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from health_helpers import Ward, ward_over
from inbox_helpers import raw

from asrwatch.inbox.mounts import WatchMode, file_system_of
from asrwatch.inbox.presence import MANY

SKIP = "skip: "


def played(scene: Callable[[Path], None], folder: Path, *, limits: bool = False) -> float:
    """Play a scene in namespaces of its own: for mounts, or with limits of its own user namespace.

    Mounts need root, or a user namespace; limits always need the latter, and nobody else feels them.
    Returns how many seconds it took until trouble was noticed, where the scene tells.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare(1)")
    how = ["-Ur"] if limits else ["-m"] if os.geteuid() == 0 else ["-Urm"]
    ended = subprocess.run(
        [unshare, *how, sys.executable, __file__, scene.__name__, os.fspath(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if ended.returncode != 0 and ended.stderr.startswith("unshare:"):
        pytest.skip(f"no namespaces here: {ended.stderr.strip()}")
    if ended.stdout.startswith(SKIP):
        pytest.skip(ended.stdout.strip())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return float(ended.stdout or 0)


def cannot(why: str) -> NoReturn:
    """End a scene that cannot be built on this machine."""
    sys.stdout.write(f"{SKIP}{why}")
    raise SystemExit


def mount(*words: str | Path) -> None:
    """Mount something, or end the scene."""
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        cannot(f"mount {words} is not permitted: {done.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Unmount lazily: descriptors may be open."""
    subprocess.run(["umount", "-l", folder], check=True)


def tell(ward: Ward, code: str, *, since: float) -> None:
    """Wait for trouble, and say how long that took."""
    sys.stdout.write(f"{ward.wait_degraded(code) - since:.3f}")


def drop(ward: Ward, count: int) -> None:
    """Some files, all found."""
    before = len(ward.collector.settled)
    for number in range(count):
        (ward.root / f"{number}.wav").write_bytes(b"x")
    ward.collector.wait_for(lambda so_far: len(so_far.settled) == before + count)


def unmounted(folder: Path) -> None:
    """The share goes and returns, under another device number: frozen meanwhile, and no storm."""
    inbox, disk = folder / "in", folder / "disk"
    inbox.mkdir()
    disk.mkdir()
    mount("-t", "tmpfs", "share", disk)
    mount("--bind", disk, inbox)
    with ward_over(inbox) as ward:
        drop(ward, 3)
        began = time.monotonic()
        unmount(inbox)
        tell(ward, "inbox-unmounted", since=began)
        mount("--bind", disk, inbox)
        ward.wait_ok()
        ward.hears("new.wav")
    assert len(ward.collector.settled) == 4


def mounted_over(folder: Path) -> None:
    """A late mount covers the watched folder: noticed, listened to, its files found, no word of the others."""
    inbox = folder / "in"
    inbox.mkdir()
    with ward_over(inbox) as ward:
        ward.wait_for_start()
        began = time.monotonic()
        mount("-t", "tmpfs", "late", inbox)
        tell(ward, "events-replaced", since=began)
        ward.finds("on-it.wav")
        ward.wait_ok()
        ward.hears("more.wav")


def covered_share(folder: Path) -> None:
    """What was known below a late mount is neither forgotten nor reported again once it is uncovered."""
    inbox = folder / "in"
    inbox.mkdir()
    with ward_over(inbox) as ward:
        drop(ward, 3)
        mount("-t", "tmpfs", "late", inbox)
        ward.wait_degraded("inbox-unmounted")
        unmount(inbox)
        ward.wait_ok()
        ward.hears("new.wav")
    assert len(ward.collector.settled) == 4


def behind_an_overlay(folder: Path) -> None:
    """What the host writes into an overlay's upper layer raises no event: polled from the first, and found."""
    upper, inbox = folder / "upper", folder / "in"
    mount("-t", "tmpfs", "layers", folder)
    for name in ("lower", "upper", "work", "in"):
        (folder / name).mkdir()
    layers = f"lowerdir={folder / 'lower'},upperdir={upper},workdir={folder / 'work'}"
    mount("-t", "overlay", "overlay", "-o", layers, inbox)
    assert file_system_of(raw(inbox)) == "overlay"
    with ward_over(inbox, watch=WatchMode.AUTO) as ward:
        ward.wait_for_start()
        assert ward.collector.scans[0].watching is WatchMode.POLL
        assert "overlay" in ward.collector.scans[0].watching_reason
        (upper / "host.wav").write_bytes(b"x")
        ward.collector.wait_for(lambda so_far: raw(inbox / "host.wav") in so_far.settled)


def bound(folder: Path) -> None:
    """A folder bound from elsewhere, as containers have it: the other side's writes raise events."""
    inbox, host = folder / "in", folder / "host"
    inbox.mkdir()
    host.mkdir()
    mount("--bind", host, inbox)
    with ward_over(inbox, watch=WatchMode.AUTO, interval=timedelta(hours=1)) as ward:
        ward.wait_for_start()
        (host / "a.wav").write_bytes(b"x")
        ward.collector.wait_for(lambda so_far: raw(inbox / "a.wav") in so_far.settled)


def _limit(name: str, value: int) -> None:
    try:
        Path(f"/proc/sys/user/{name}").write_text(str(value))
    except OSError as error:
        cannot(f"limits are not to be set here: {error}")


def too_few_watches(folder: Path) -> None:
    """Watches for half of the sub-folders: all files are found, the sysctl is named, and more watches heal it."""
    _limit("max_inotify_watches", 30)
    inbox = folder / "in"
    for number in range(60):
        (inbox / f"{number}").mkdir(parents=True)
    began = time.monotonic()
    with ward_over(inbox) as ward:
        tell(ward, "events-watch-limit", since=began)
        for number in range(60):
            (inbox / f"{number}" / "a.wav").write_bytes(b"x")
        ward.collector.wait_for(lambda so_far: len(so_far.settled) == 60)
        assert ward.lookout is not None
        (trouble,) = ward.lookout.snapshot().troubles
        assert "max_user_watches" in trouble.advice
        _limit("max_inotify_watches", 1000)
        ward.wait_ok()
        assert len(ward.watch.folders() or ()) == 61


def no_instance(folder: Path) -> None:
    """No inotify instance is to be had: scanned alone and told, until there are some again."""
    _limit("max_inotify_instances", 0)
    inbox = folder / "in"
    inbox.mkdir()
    with ward_over(inbox) as ward:
        ward.wait_degraded("events-instance-limit")
        ward.finds("a.wav")
        _limit("max_inotify_instances", 10)
        ward.wait_ok()
        ward.hears("b.wav")


def many_then_unmounted(folder: Path) -> None:
    """With many files, waiting ones among them, nothing is told gone while the share is away."""
    inbox, disk = folder / "in", folder / "disk"
    inbox.mkdir()
    disk.mkdir()
    mount("-t", "tmpfs", "share", disk)
    mount("--bind", disk, inbox)
    (inbox / "empty.wav").touch()
    with ward_over(inbox) as ward:
        drop(ward, MANY)
        unmount(inbox)
        ward.wait_degraded("inbox-unmounted")
        mount("--bind", disk, inbox)
        ward.wait_ok()
    assert all(not scan.gone for scan in ward.collector.scans)
    assert len(ward.collector.settled) == MANY


SCENES = (
    unmounted,
    mounted_over,
    covered_share,
    behind_an_overlay,
    bound,
    too_few_watches,
    no_instance,
    many_then_unmounted,
)

if __name__ == "__main__":
    next(scene for scene in SCENES if scene.__name__ == sys.argv[1])(Path(sys.argv[2]))
