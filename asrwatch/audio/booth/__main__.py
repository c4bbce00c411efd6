"""`python -m asrwatch.audio.booth VERSION ORDER CPU MEMORY OUTPUT`: carry out one order, report, end."""

import ctypes
import errno
import os
import resource
import signal
import sys

from asrwatch import __version__
from asrwatch.audio.orders import (
    NO_CODECS,
    NO_SPACE,
    OTHER_VERSION,
    Encode,
    Refusal,
    Report,
    Survey,
    read,
    written,
)

PR_SET_PDEATHSIG = 1
RECORDING = 0
"""The descriptor of the recording: standard input."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a disk says that takes no more; the recording is not to blame."""


def _tell(report: Report) -> None:
    line = written(report)
    while line:
        line = line[os.write(1, line) :]


def _limit(kind: int, most: int) -> None:
    """Lower a limit of this process; never above what it was given."""
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _end_with_parent() -> None:
    """A booth must not outlive its daemon, even one that is killed: nobody would end it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(argv: list[str]) -> int:
    """Do it, inside the limits: CPU seconds, bytes of memory, bytes of each file written."""
    _end_with_parent()
    if argv[1] != __version__:
        return OTHER_VERSION
    order = read(argv[2])
    cpu, memory, output = (int(figure) for figure in argv[3:6])
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, cpu)
    _limit(resource.RLIMIT_FSIZE, output)
    # One thread is enough, and each would have its own arena; numpy's library reads this when it is loaded.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        from asrwatch.audio.booth import encoding, surveying  # noqa: PLC0415 - the limits come first
        from asrwatch.audio.booth.opening import RefusedError  # noqa: PLC0415 - same
    except ImportError as error:
        _tell(Refusal(code=NO_CODECS, message=str(error).partition("\n")[0]))
        return 0

    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_NPROC, 0)
    try:
        match order:
            case Survey():
                _tell(surveying.survey(RECORDING, order, tell=_tell))
            case Encode():
                _tell(encoding.encode(RECORDING, order, tell=_tell))
            case _:
                return os.EX_USAGE
    except RefusedError as error:
        _tell(Refusal(code=error.code, message=str(error)))
    except OSError as error:
        if error.errno not in FULL:
            raise
        _tell(Refusal(code=NO_SPACE, message=os.strerror(error.errno)))
    except MemoryError:
        _tell(
            Refusal(
                code="too-big", message="it needs more memory to decode than one recording may have"
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
