"""Somebody who swaps a file or a folder for a link as fast as can be."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["swapping"]

SWAPPER = """
import ctypes, sys
one, other = (name.encode() for name in sys.argv[1:3])
exchange = ctypes.CDLL(None, use_errno=True).renameat2
if exchange(-100, one, -100, other, 2) != 0:
    sys.exit("no renameat2 here")
sys.stdout.write("ready\\n"); sys.stdout.flush()
while True:
    exchange(-100, one, -100, other, 2)
"""


@contextmanager
def swapping(path: Path, target: Path) -> Iterator[None]:
    """Meanwhile another process swaps a file or folder with a link to `target`, atomically and without a pause."""
    away = (
        path.parent.parent / f"{path.name}.away"
    )  # outside the inbox, where a folder of it is swapped
    away.symlink_to(target)
    words = [sys.executable, "-I", "-c", SWAPPER, str(path), str(away)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            pytest.skip("this file system cannot exchange two names")
        try:
            yield
        finally:
            process.kill()
            process.wait()
    if path.is_symlink():
        path.unlink()
        away.rename(path)
    else:
        away.unlink()
