"""Tells how `once` ended: what was transcribed, what was not and why, what was left."""

import os
from dataclasses import dataclass

from pydantic import JsonValue

from asrwatch.cli._printing import print_json, safe, say
from asrwatch.journey.recording import Recording
from asrwatch.values import counted, printable

__all__ = ["Ended", "Leftover", "tell_end"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Leftover:
    """Something that was not transcribed, and why."""

    path: bytes
    state: str
    code: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How it ended; nobody waits for files without bytes, without marker, or whose writer has not finished them."""

    delivered: tuple[Recording, ...]
    leftovers: tuple[Leftover, ...]
    empty: tuple[bytes, ...]
    unmarked: tuple[bytes, ...]
    unfinished: tuple[bytes, ...]
    stopped: bool


def tell_end(ended: Ended, *, as_json: bool) -> None:
    """Print it, for people or for machines."""
    if as_json:
        print_json(_as_json(ended))
    else:
        _tell(ended)


def _tell(ended: Ended) -> None:
    for each in ended.leftovers:
        path = printable(each.path)
        where = "" if each.why.startswith(path) else f"{path}: "
        say(f"{each.state}: {where}{safe(each.why)}", err=True)
    done = counted(len(ended.delivered), "recording")
    rest = f", {len(ended.leftovers)} not done (see above)" if ended.leftovers else ""
    say(f"{done} transcribed{rest}.")
    _tell_left(ended.empty, "without any bytes")
    _tell_left(ended.unmarked, "without a marker")
    _tell_left(ended.unfinished, "still being written")
    if ended.stopped:
        say("Stopped before everything was done; run it again to go on.")


def _tell_left(paths: tuple[bytes, ...], which: str) -> None:
    if paths:
        were = "was" if len(paths) == 1 else "were"
        first = printable(paths[0]) + (", ..." if len(paths) > 1 else "")
        say(f"{counted(len(paths), 'file')} {which} {were} left ({first}).")


def _as_json(ended: Ended) -> dict[str, JsonValue]:
    return {
        "stopped": ended.stopped,
        "delivered": [
            {
                "path": os.fsdecode(each.path),
                "outputs": [os.fsdecode(output.path) for output in each.outputs],
            }
            for each in ended.delivered
        ],
        "not_done": [
            {
                "path": os.fsdecode(each.path),
                "state": each.state,
                "code": each.code,
                "why": each.why,
            }
            for each in ended.leftovers
        ],
        "empty": [os.fsdecode(path) for path in ended.empty],
        "unmarked": [os.fsdecode(path) for path in ended.unmarked],
        "unfinished": [os.fsdecode(path) for path in ended.unfinished],
    }
