"""A lookout over a folder in a process of its own, and what it costs: run as `python idle_inbox.py FOLDER SECONDS`."""

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from inbox_helpers import Collector, raw, rule_for

from asrwatch.inbox.lookout import InboxView, Lookout
from asrwatch.inbox.messages import PassKind, ScanDone
from asrwatch.journey.evidence import Fingerprint

INTERVAL = timedelta(seconds=60)


@dataclass(frozen=True)
class Cost:
    """What idling came to: of one pass, and on average over `seconds` at the usual interval.

    `bare_seconds` is what listing and `lstat` alone cost at the same time on the same machine.
    """

    files: int
    pass_seconds: float
    bare_seconds: float
    megabytes: float
    peak_megabytes: float
    average: float
    seconds: float


def cost_of(folder: Path, *, seconds: float, patience: float) -> Cost:
    """Measure in a fresh process, so that nobody else's memory counts."""
    done = subprocess.run(
        [sys.executable, __file__, os.fspath(folder), str(seconds)],
        capture_output=True,
        text=True,
        check=True,
        timeout=patience,
    )
    return Cost(**json.loads(done.stdout))


def _resident() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _peak() -> float:
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


class _Passes(Collector):
    """Keeps the passes and drops the files, as the daemon does."""

    def post(self, message: object) -> None:
        if isinstance(message, ScanDone) and message.kind is PassKind.WHOLE:
            super().post(message)

    def wait_for(self, come_true: Callable[[Collector], bool]) -> None:
        """With patience for very many files."""
        with self.changed:
            assert self.changed.wait_for(lambda: come_true(self), timeout=600)


def _known(folder: Path) -> "list[tuple[bytes, Fingerprint]]":
    known = []
    with os.scandir(folder) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            fingerprint = Fingerprint(
                device=status.st_dev,
                inode=status.st_ino,
                size=status.st_size,
                mtime_ns=status.st_mtime_ns,
            )
            known.append((raw(folder / entry.name), fingerprint))
    return known


def _bare(folder: Path) -> float:
    began = time.process_time()
    with os.scandir(folder) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
    return time.process_time() - began


def _main(folder: Path, seconds: float) -> None:
    before = _resident()
    passes = _Passes()
    view = InboxView(name="idle", ignore=rule_for(folder), scan_every=INTERVAL)
    # One at a time, as the store hands them over: a list of them would be counted as ours.
    lookout = Lookout(view, known=_known(folder), post=passes.post)
    lookout.start()
    passes.wait_for(lambda so_far: bool(so_far.scans))
    spent = []
    for _ in range(5):
        count, began = len(passes.scans), time.process_time()
        lookout.nudge()
        passes.wait_for(lambda so_far, count=count: len(so_far.scans) > count)  # type: ignore[misc]
        spent.append(time.process_time() - began)
    grown = _resident() - before
    began, started = time.process_time(), time.monotonic()
    time.sleep(seconds)
    idle = time.process_time() - began
    per_pass = sorted(spent)[2]
    bare = sorted(_bare(folder) for _ in range(5))[2]
    # Where nobody has minutes to wait, an interval costs one pass.
    share = idle / (time.monotonic() - started) if seconds else per_pass / INTERVAL.total_seconds()
    cost = Cost(
        files=passes.scans[-1].files,
        pass_seconds=per_pass,
        bare_seconds=bare,
        megabytes=grown,
        peak_megabytes=_peak() - before,
        average=share,
        seconds=seconds,
    )
    lookout.stop(timedelta(seconds=10))
    sys.stdout.write(json.dumps(asdict(cost)))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), float(sys.argv[2]))
