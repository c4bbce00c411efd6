"""Killed while a recording is being cut, and while its pieces are on their way: nothing lost, nothing bought twice."""

from pathlib import Path

import pytest
from crash_helpers import cloud
from crash_ways import WAYS, kill_and_judge, trial_on

CUT = {way.name: way for way in WAYS if way.cut}


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("cut", "cut"),
        ("cut", "cut-up"),
        ("cut", "answer-got"),
        ("cut", "joined"),
        ("cut for tasks", "piece-published"),
        pytest.param(
            "cut by channel",
            "answer-got",
            marks=(pytest.mark.soak, pytest.mark.timeout(180)),
        ),
    ],
)
def test_killed_on_the_way(tmp_path: Path, name: str, place: str) -> None:
    """Killed there, the next start goes on: at most the pieces in flight are paid again, tasks never [K01]."""
    way = CUT[name]
    with cloud() as sandbox:
        trial = trial_on(way, tmp_path, sandbox, files=1, goal=tmp_path)
        twice = kill_and_judge(way, trial, place, 1, tmp_path)
    assert twice <= (2 if place == "answer-got" else 0)
