"""systemd's own tools, asked about units that are not installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

UNITS: Final = Path(__file__).parent.parent / "systemd"
ANALYZE: Final = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(
    ANALYZE is None, reason="systemd-analyze is not installed here, so units are not judged"
)
PROGRAMS: Final = ("/opt/asrwatch/venv/bin/asrwatch", "%h/.local/bin/asrwatch")


def put(folder: Path, unit: str, *dropins: str) -> Path:
    """A unit and its drop-ins as systemd would find them, with a program that exists on this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "asrwatch.service"
    for program in PROGRAMS:
        unit = unit.replace(program, sys.executable)
    path.write_text(unit, encoding="utf-8")
    for number, dropin in enumerate(dropins):
        place = folder / "asrwatch.service.d" / f"{number}.conf"
        place.parent.mkdir(exist_ok=True)
        place.write_text(dropin, encoding="utf-8")
    return path


def shipped(name: str) -> str:
    """The text of a file in `systemd/`."""
    return (UNITS / name).read_text(encoding="utf-8")


def complaints(unit: Path, *, user: bool = False) -> list[str]:
    """What `systemd-analyze verify` says about a unit; empty is perfect."""
    runtime = unit.parent / "runtime"
    runtime.mkdir(exist_ok=True)
    words = ["verify", "--man=no", "--recursive-errors=no", *(["--user"] if user else [])]
    told = _analyze(*words, str(unit), XDG_RUNTIME_DIR=str(runtime))
    found = [line for line in told.stderr.splitlines() if "asrwatch" in line]
    return (
        found if told.returncode == 0 else [*found, f"exit status {told.returncode}", told.stderr]
    )


def is_within(unit: Path, threshold: int) -> bool:
    """Whether a unit's exposure, drop-ins included, is at most a tenth of `threshold`."""
    words = ("security", "--offline=true", "--no-pager", f"--threshold={threshold}")
    told = _analyze(*words, str(unit))
    assert "exposure level" in told.stdout, told.stderr
    return told.returncode == 0


def exposure(unit: Path) -> float:
    """A unit's exposure as systemd prints it."""
    told = _analyze("security", "--offline=true", "--no-pager", str(unit)).stdout
    return float(told.rpartition("asrwatch.service: ")[2].split()[0])


def _analyze(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run(
        [ANALYZE, *words],
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
