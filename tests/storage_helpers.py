"""Disks that are small, full, read-only or failing, and the program on them."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from e2e_helpers import Installed

from asrwatch.sandbox import Sandbox

needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounts file systems: needs Linux and root"
)
needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="lets system calls fail: needs strace"
)


@contextmanager
def small_disk(folder: Path, options: str = "size=8m") -> Iterator[Path]:
    """A file system of memory, of this size, at `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "none", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Fill a small disk but for `leave` bytes."""
    filler = folder / "filler"
    told = os.statvfs(folder)
    left = told.f_bavail * told.f_frsize - leave
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while left > 0:
            left -= stream.write(bytes(min(left, 4096)))
    return filler


def a_world(root: Path, sandbox: Sandbox, *, seconds: str = "2s", **more: object) -> Installed:
    """The program on a disk of its own, which keeps two megabytes free."""
    return Installed(
        root=root,
        url=sandbox.url,
        key=sandbox.key,
        engines={"qwen3-asr-flash": {"longest": seconds}},
        more={"reserve": "2MB", **more},
    )


def call_failing(
    world: Installed, inject: str, *, calls: str, path: Path | None = None, patience: float = 20.0
) -> "subprocess.CompletedProcess[str]":
    """`asrwatch once`, in which system calls, those on `path` or all, fail as strace is told to let them."""
    only = ("-P", str(path)) if path is not None else ()
    command = [
        "strace",
        "-f",
        "-qq",
        "-o",
        str(world.root / "calls"),
        *only,
        "-e",
        f"trace={calls}",
    ]
    process = subprocess.Popen(
        [
            *command,
            *("-e", f"inject={inject}"),
            *(sys.executable, "-m", "asrwatch", "once", "-c", str(world.config())),
        ],
        env=world.environment(),
        cwd=world.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, complained = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        # strace counts the calls of each thread: where every thread's first one fails, work waits for ever
        os.killpg(process.pid, signal.SIGKILL)
        said, complained = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, said, complained)


def has_failed(world: Installed) -> bool:
    """Whether `call_failing` found the call that it was to let fail."""
    return "(INJECTED)" in (world.root / "calls").read_text(errors="replace")
