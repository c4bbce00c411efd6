"""In which order the daemon's writes reach the disk, seen from outside with strace: a changed pragma is found here."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

import pytest
from crash_helpers import SYNC, TASK, Trial, cloud

CALLS = "fdatasync,fsync,pwrite64,rename,renameat,renameat2,linkat,sendto,mkdir,mkdirat"
NAMING = {"rename", "renameat", "renameat2", "linkat"}
SYNCING = {"fsync", "fdatasync"}
PAID = ("POST /compatible-mode", "POST /api/v1/services/")

_LINE = re.compile(r"(?P<process>\d+) +(?P<resumed><\.\.\. )?(?P<call>\w+)(?P<rest>.*)")


@dataclass
class Act:
    """One system call: between which lines of the trace it happened, and what it was about."""

    call: str
    words: str
    begun: int
    ended: int

    @property
    def target(self) -> str:
        """The file whose descriptor is the first argument, as `strace -y` tells it."""
        return self.words.partition("<")[2].partition(">")[0]


def acts_of(trace: str) -> list[Act]:
    """Everything that was done, in the order of its beginning."""
    acts: list[Act] = []
    open_acts: dict[str, Act] = {}
    for number, line in enumerate(trace.splitlines()):
        told = _LINE.match(line)
        if told is None:
            continue
        if told["resumed"]:
            open_acts.pop(told["process"]).ended = number
            continue
        act = Act(call=told["call"], words=told["rest"], begun=number, ended=number)
        acts.append(act)
        if line.endswith("<unfinished ...>"):
            open_acts[told["process"]] = act
    return acts


@dataclass
class Audit:
    """Questions about the order of what was done."""

    acts: list[Act]

    def first(self, call: str, *words: str) -> Act:
        """The first of these calls that says any of these words."""
        return next(
            act
            for act in self.acts
            if act.call == call and any(word in act.words for word in words)
        )

    def saved(self, move: str) -> Act:
        """The first write of a change of state, as the recording's story holds it, into the database's log."""
        act = self.first("pwrite64", move)
        assert act.target.endswith("asrwatch.db-wal")
        return act

    def synced(self, target: str, *, after: int) -> float:
        """When what had been done to a file or folder by then was on the disk."""
        syncs = (act for act in self.acts if act.call in SYNCING and act.target == target)
        return min((act.ended for act in syncs if act.begun > after), default=inf)

    def durable(self, move: str) -> float:
        """When a change of state was on the disk."""
        act = self.saved(move)
        return self.synced(act.target, after=act.ended)

    def outputs(self, folder: Path) -> Iterator[tuple[Act, float]]:
        """Each transcript's naming, and when its content was on the disk."""
        for act in self.acts:
            if act.call in NAMING and re.search(r'\.(txt|json)"', act.words):
                draft = act.words.split('"')[1]
                yield act, self.synced(f"{folder}/{draft}", after=0)


def _traced_life(tmp_path: Path, seconds: float) -> tuple[Trial, Audit]:
    """One recording's life under strace."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace")
    trace = tmp_path / "trace"
    with cloud() as sandbox:
        trial = Trial.at(tmp_path / "world", sandbox)
        trial.give(seconds)
        done = subprocess.run(
            [
                *(strace, "-f", "--seccomp-bpf", "-y", "-s", "4200", "-o", str(trace)),
                *("-e", f"trace={CALLS}", sys.executable, "-m", "asrwatch"),
                *("once", "-c", str(trial.world.config())),
            ],
            env=trial.world.environment(),
            cwd=trial.world.root,
            capture_output=True,
            text=True,
            check=False,
        )
        if "ptrace" in done.stderr and "ermi" in done.stderr:
            pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        trial.judge(deaths=0)
    return trial, Audit(acts_of(trace.read_text(errors="replace")))


@pytest.mark.parametrize(("seconds", "answered"), [(SYNC, "asking"), (TASK, "submitted")])
def test_the_order_of_what_reaches_the_disk(tmp_path: Path, seconds: float, answered: str) -> None:
    """Synced are the intent before the first paid byte, the answer before a transcript, that before its row [S01]."""
    trial, audit = _traced_life(tmp_path, seconds)
    paid = audit.first("sendto", *PAID)
    made = audit.first("mkdir", f'"{trial.world.root / "state"}"')
    assert audit.synced(str(trial.world.root), after=made.ended) < paid.begun
    assert audit.durable("stagedasking") < paid.begun
    delivered = audit.saved("transcribeddelivered")
    heard = audit.durable(f"{answered}transcribed")
    outputs = list(audit.outputs(trial.world.inbox))
    assert len(outputs) == 2
    for named, content in outputs:
        assert heard < named.begun
        assert content < named.begun
        assert audit.synced(str(trial.world.inbox), after=named.ended) < delivered.begun
    if answered == "submitted":
        asked = audit.first("sendto", "GET /api/v1/tasks/")
        assert audit.durable("askingsubmitted") < asked.begun
