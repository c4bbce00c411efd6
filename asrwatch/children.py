"""The environment that processes of ours are started with."""

import os
from collections.abc import Mapping
from typing import Final

__all__ = ["bare_environment"]

_NEEDED: Final = (
    "COVERAGE_PROCESS_START",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "TERM",
    "TMPDIR",
    "TZ",
    "VIRTUAL_ENV",
)


def bare_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What any program needs, and nothing that is only ours, such as a key or the service manager's socket."""
    return {name: environ[name] for name in _NEEDED if name in environ}
