"""Recordings are cut at pauses where that is wanted or needed: pieces are paid one by one, and joined."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import media_helpers as media
import numpy as np
import pytest
from e2e_helpers import Installed
from pieces_helpers import Counting, talk

from asrwatch.sandbox import Knobs, Sandbox


@pytest.fixture
def heard() -> Counting:
    """A recogniser that hears which minute is spoken."""
    return Counting()


@pytest.fixture
def sandbox(heard: Counting) -> Iterator[Sandbox]:
    """A cloud that answers at once."""
    knobs = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
    with Sandbox(recogniser=heard, knobs=knobs) as sandbox:
        yield sandbox


@pytest.fixture
def world(tmp_path: Path, sandbox: Sandbox) -> Installed:
    """The program, whose inbox wants everything cut into pieces of twelve seconds."""
    world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)
    world.inbox_keys = {"cut": {"target": "12s"}}
    return world


def test_what_is_to_be_cut_is_cut_and_joined(
    world: Installed, sandbox: Sandbox, heard: Counting
) -> None:
    """Two pieces, cut in a pause, each paid once; their words are joined in order, their places told."""
    media.write(world.inbox / "talk.wav", talk(2), codec="pcm_s16le")
    done = world.call("once")
    assert done.returncode == 0, done.stdout + done.stderr + world.log.read_text()
    told = json.loads(world.text_of("talk", ".json"))
    assert told["text"] == "one two"
    assert sum(sound.shape[1] for sound in heard.arrived) == talk(2).shape[1]
    assert sandbox.bill.seconds == sum(
        piece["billed_seconds"] for piece in told["provenance"]["pieces"]
    )
    assert np.isclose(sandbox.bill.seconds, talk(2).shape[1] / 16_000, atol=2)
    assert [sentence["text"] for sentence in told["sentences"]] == ["one", "two"]
    assert told["sentences"][1]["begin_ms"] == told["provenance"]["pieces"][1]["begin_ms"]
