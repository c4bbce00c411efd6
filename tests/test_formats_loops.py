"""Phrases that a model makes up on noise are marked; what people say is not."""

import json

import pytest
from format_helpers import PROVENANCE, part
from hypothesis import given
from hypothesis import strategies as st

from asrwatch.formats._loops import MOST_TIMES, loops
from asrwatch.journey.transcript import Transcript


@pytest.mark.parametrize(
    "phrase",
    [
        "Thank you. ", "谢谢观看。", "ha", "m", "Please like and subscribe. ",
        "Thank you for watching, please like and subscribe, and see you in the next video. ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", "Good morning, everybody. "])
def test_a_loop_is_found(phrase: str, before: str) -> None:
    """A phrase repeated more than twenty times is found wherever it begins, in any script."""
    (found,) = loops(f"{before}{phrase * (MOST_TIMES + 1)}That is all.")
    assert found.times >= MOST_TIMES + 1
    assert sorted(found.phrase.replace(" ", "")) == sorted(phrase.replace(" ", ""))


def test_twenty_times_is_no_loop() -> None:
    """Twenty times in a row somebody may well have said it."""
    assert not list(loops("No, " * MOST_TIMES + "said the child."))


@given(st.text(alphabet="abc .", max_size=300))
def test_every_loop_is_one(text: str) -> None:
    """What is told stands there, as often as told."""
    for loop in loops(text):
        assert any(
            text.startswith(text[loop.begin : loop.begin + size] * loop.times, loop.begin)
            for size in range(1, 61)
            if text[loop.begin : loop.begin + size].strip() == loop.phrase
        )


def test_loops_are_marked_in_the_json_and_left_in_the_text() -> None:
    """The JSON names phrase, times and place; the text keeps every one."""
    said = "Hello. " + "Thank you. " * 30
    told = json.loads(part("json").render(Transcript(text=said), PROVENANCE))
    assert told["text"] == said
    assert told["loops"][0]["times"] == 30
