"""Has a recording decoded or encoded, in a child process that can neither reach nor hurt anything else.

Each order runs in a booth of its own (`python -m asrwatch.audio.booth`): the open recording is its standard
input, its environment is empty, its time, memory and output are limited, and it is killed with everything it
started when its deadline passes or the daemon stops. A booth that dies is one failed preparation, no more.
"""

import importlib.util
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, BinaryIO, TypeVar, assert_never

from asrwatch import __version__
from asrwatch.audio.orders import (
    NO_CODECS,
    NO_SPACE,
    OTHER_VERSION,
    RATE,
    READ_FAILED,
    Encode,
    Encoded,
    Order,
    Progress,
    Refusal,
    Survey,
    Surveyed,
    read,
    written,
)
from asrwatch.errors import UNPAID, OurBug, RecordingError, StartupError, TemporaryError
from asrwatch.heartbeats import beat

__all__ = [
    "DEMUXERS",
    "DIED",
    "EVERY_DEMUXER",
    "INSTALL_CODECS",
    "WITHOUT_CODECS",
    "Limits",
    "Studio",
    "has_codecs",
]

DEMUXERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "wav": ("wav",),
        "w64": ("w64",),
        "mp3": ("mp3",),
        "aac": ("aac",),
        "flac": ("flac",),
        "ogg": ("ogg",),
        "mp4": ("mov,mp4,m4a,3gp,3g2,mj2",),
        "asf": ("asf",),
        "amr": ("amr",),
        "aiff": ("aiff",),
        "mkv": ("matroska,webm",),
        "webm": ("matroska,webm",),
        "avi": ("avi",),
        "flv": ("flv",),
        "mpeg": ("mpeg",),
        "mpegts": ("mpegts",),
        "ac3": ("ac3", "eac3"),
        "ape": ("ape",),
        "wavpack": ("wv",),
        "tta": ("tta",),
        "musepack": ("mpc", "mpc8"),
        "caf": ("caf",),
        "au": ("au",),
        "dss": ("dss",),
    }
)
"""libavformat's readers for each container of `containers.CONTAINERS`: none of them can name another file."""

EVERY_DEMUXER = tuple(dict.fromkeys(name for names in DEMUXERS.values() for name in names))

_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "cut-off": f"{UNPAID} Copy it once more, or repair it.",
        "no-audio": f"{UNPAID} Remove it, or put the recording in its place.",
        "unknown-codec": f"{UNPAID} Convert it to FLAC or WAV.",
        "no-such-channel": f"{UNPAID} Correct `channels` of its inbox.",
        "too-many-channels": f"{UNPAID} Convert it to WAV, or name fewer `channels` in its inbox.",
    }
)
WITHOUT_CODECS = (
    "PyAV is not installed: recordings that an engine does not take as they are fail, uploads are not made smaller, "
    "and silent ones are sent and paid."
)
INSTALL_CODECS = (
    "`pip install av numpy` where there are wheels for this machine; everything else works without."
)
DIED = "booth-died"
"""The code of the error that says so."""
_GRACE = 5.0
_LINES_AT_ONCE = 1 << 16
_LONGEST_LINE = 64 << 20
_ERROR_TAIL = 2_000

ReportT = TypeVar("ReportT", Surveyed, Encoded)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one booth may use.

    `slowest` is the least speed, as a multiple of real time, that decoding or encoding must reach on top of
    `start` seconds of CPU; four times as much passes on the wall's clock before it is killed. `memory` is in
    bytes of address space. `output` is the most bytes of any one file it writes.
    """

    slowest: float = 25.0
    start: float = 20.0
    memory: int = 2 << 30
    output: int = 4 << 30

    def cpu(self, order: Order) -> int:
        """Seconds of CPU for an order."""
        return round(self.start + order.longest / RATE / self.slowest)


def has_codecs() -> bool:
    """Whether PyAV, which brings the codecs, is installed here."""
    return importlib.util.find_spec("av") is not None


class Studio:
    """Runs booths. Any number of threads may use one studio.

    Args:
        limits: of each booth.
        stopping: asked about twice a second; once it is true, booths are ended and `TemporaryError` is raised.
        codecs: tells, once, whether there is anything to decode with.
        python: what booths are run with.
        version: of asrwatch, as it was started: a booth of another one would be misunderstood.

    Attributes:
        has_codecs: what that said, until they turn out not to work.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        stopping: Callable[[], bool] = lambda: False,
        codecs: Callable[[], bool] = has_codecs,
        python: str = sys.executable,
        version: str = __version__,
    ) -> None:
        self._limits = limits or Limits()
        self._stopping = stopping
        self._python = python
        self._version = version
        self.has_codecs = codecs()

    def survey(
        self, recording: BinaryIO, order: Survey, *, progress: Callable[[int], None] | None = None
    ) -> Surveyed:
        """Have it decoded, and be told what is heard.

        Args:
            recording: open; its position does not matter and does not change.
            order: what to do.
            progress: told how many samples are done, now and then.

        Raises:
            RecordingError: it cannot be decoded; nothing is wrong with asrwatch.
            TemporaryError: the booth was killed: by its limits, by its deadline, by the system, or by us.
            StartupError: PyAV is missing.
        """
        return self._run(recording, order, Surveyed, progress)

    def encode(
        self, recording: BinaryIO, order: Encode, *, progress: Callable[[int], None] | None = None
    ) -> Encoded:
        """Have it decoded and its pieces written; `survey` says what may be raised."""
        return self._run(recording, order, Encoded, progress)

    def _run(
        self,
        recording: BinaryIO,
        order: Order,
        wanted: type[ReportT],
        progress: Callable[[int], None] | None,
    ) -> ReportT:
        if not self.has_codecs:
            raise StartupError(
                "PyAV is not installed, so recordings cannot be decoded or re-encoded here.",
                code=NO_CODECS,
                advice="`pip install av numpy`; what can be sent as it is is transcribed all the same.",
            )
        with tempfile.TemporaryFile() as complaints:
            booth = self._begin(recording, order, complaints)
            report = None
            try:
                report = self._listen(booth, order, progress)
            finally:
                _end(booth, answered=report is not None)
            if isinstance(report, Refusal) and report.code == NO_CODECS:
                self.has_codecs = False
                raise TemporaryError(
                    f"PyAV is installed and cannot be loaded: {report.message}.",
                    code=NO_CODECS,
                    advice="Install it anew; until then asrwatch goes on as if it was not there.",
                )
            if isinstance(report, Refusal) and report.code == READ_FAILED:
                raise TemporaryError(
                    f"While it was decoded {report.message}.",
                    code="source-unreadable",
                    advice="Look at the disk or the share; it is tried again by itself.",
                )
            if isinstance(report, Refusal) and report.code == NO_SPACE:
                raise TemporaryError(
                    f"A copy that an engine takes cannot be written: {report.message}.",
                    code="disk-full",
                    advice="Free some space in the state folder; it is tried again by itself.",
                )
            if isinstance(report, Refusal):
                raise RecordingError(
                    f"It cannot be decoded: {report.message}.",
                    code=report.code,
                    advice=_ADVICE.get(report.code, UNPAID),
                )
            if isinstance(report, wanted):
                return report
            if booth.returncode == OTHER_VERSION:
                raise TemporaryError(
                    "asrwatch was updated while it runs, and cannot decode with what is installed now.",
                    code="updated",
                    advice="Restart the service; then it is tried again by itself.",
                )
            raise _died(booth.returncode, complaints)

    def _begin(
        self, recording: BinaryIO, order: Order, complaints: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        limits = (self._limits.cpu(order), self._limits.memory, self._limits.output)
        outputs = [piece.descriptor for piece in order.pieces] if isinstance(order, Encode) else []
        try:
            return subprocess.Popen(  # noqa: S603 - our own Python, our own module, an order that we wrote
                [
                    *(self._python, "-I", "-m", "asrwatch.audio.booth", self._version),
                    written(order).decode(),
                    *map(str, limits),
                ],
                stdin=recording.fileno(),
                stdout=subprocess.PIPE,
                stderr=complaints,
                env={},
                pass_fds=outputs,
                process_group=0,
                cwd="/",
            )
        except OSError as error:
            raise TemporaryError(
                f"No process could be started to decode it: {error.strerror}.",
                code="no-booth",
                advice="It is tried again; look at the machine's memory and number of processes.",
            ) from error

    def _listen(
        self,
        booth: subprocess.Popen[bytes],
        order: Order,
        progress: Callable[[int], None] | None,
    ) -> Surveyed | Encoded | Refusal | None:
        """The booth's last word; None if it died, or was killed, without one."""
        assert booth.stdout is not None  # noqa: S101 - it is a pipe, see `_begin`
        pipe = booth.stdout.fileno()
        os.set_blocking(pipe, False)
        deadline = time.monotonic() + 4 * self._limits.cpu(order)
        heard = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while time.monotonic() < deadline and not self._stopping():
                beat()  # however long it takes: the deadline is kept here
                if not selector.select(0.5):
                    continue
                piece = os.read(pipe, _LINES_AT_ONCE)
                if not piece or len(heard) > _LONGEST_LINE:
                    return None
                heard += piece
                while b"\n" in heard:
                    line, _, rest = bytes(heard).partition(b"\n")
                    heard = bytearray(rest)
                    match read(line):
                        case Progress(done=done):
                            if progress is not None:
                                progress(done)
                        case Surveyed() | Encoded() | Refusal() as report:
                            return report
                        case Survey() | Encode():
                            msg = "the booth sent an order"
                            raise OurBug(msg)
                        case other:
                            assert_never(other)
        return None


def _end(booth: subprocess.Popen[bytes], *, answered: bool) -> None:
    """The booth and whatever it started are gone when this returns; one that has answered may leave by itself.

    The group is killed before its leader's number is given back to the system, or it could be another's.
    """
    until = time.monotonic() + (_GRACE if answered else 0)
    while not _left(booth) and time.monotonic() < until:
        time.sleep(0.005)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(booth.pid, signal.SIGKILL)
    booth.wait()
    if booth.stdout is not None:
        booth.stdout.close()


def _left(booth: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended, without its number being given back."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, booth.pid, flags) is not None


def _died(code: int, complaints: IO[bytes]) -> TemporaryError:
    complaints.seek(0, os.SEEK_END)
    complaints.seek(max(complaints.tell() - _ERROR_TAIL, 0))
    last = complaints.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
    return TemporaryError(
        f"Decoding it ended {how}{': ' + last if last else ''}.",
        code=DIED,
        advice="It is tried again a few times; if it fails for good, convert it to FLAC or WAV.",
    )
