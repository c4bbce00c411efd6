"""The installed command in a clean environment, in a folder of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PATIENCE = 60


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing but what a Python needs: no key, no configuration of the person who runs the tests."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "COVERAGE_PROCESS_START", "LANG", "PYTHONPATH")
        if name in os.environ
    }
    return {**kept, "HOME": str(home), **more}


def asrwatch(
    *words: str | bytes | Path, cwd: Path, given: str | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `more` is added to its environment."""
    return subprocess.run(
        [sys.executable, "-m", "asrwatch", *words],
        env=environment(cwd, **more),
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=PATIENCE,
        input=given,
        check=False,
    )


def configure(folder: Path, **settings: Any) -> Path:
    """A configuration file with one inbox; JSON is YAML."""
    (folder / "inbox").mkdir(exist_ok=True)
    written = {
        "state_dir": str(folder / "state"),
        "inboxes": [{"path": str(folder / "inbox"), "settle": "100ms", "scan_every": "1s"}],
        **settings,
    }
    path = folder / "asrwatch.yaml"
    path.write_text(json.dumps(written))
    return path
