"""The installed command in a clean environment, in a folder of its own."""

import json
import subprocess
from pathlib import Path
from typing import Any

from start_helpers import environment, run
from wait_helpers import PATIENCE

__all__ = ["PATIENCE", "asrwatch", "configure", "environment"]


def asrwatch(
    *words: str | bytes | Path,
    cwd: Path,
    given: str | None = None,
    patience: float = PATIENCE,
    **more: str,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `more` is added to its environment."""
    return run(
        *words,
        env=environment(cwd, **more),
        cwd=cwd,
        given=given,
        errors="surrogateescape",
        patience=patience,
    )


def configure(folder: Path, **settings: Any) -> Path:
    """A configuration file with one inbox; JSON is YAML."""
    (folder / "inbox").mkdir(exist_ok=True)
    written = {
        "state_dir": str(folder / "state"),
        "inboxes": [{"path": str(folder / "inbox"), "settle": "100ms", "scan_every": "1s"}],
        "web": False,  # no fixed ports in tests
        **settings,
    }
    path = folder / "asrwatch.yaml"
    path.write_text(json.dumps(written))
    return path
