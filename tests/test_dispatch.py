from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrwatch import engines, parts
from asrwatch.audio.containers import CONTAINERS, EXTENSIONS, taken_by
from asrwatch.audio.studio import DEMUXERS
from asrwatch.cloud import Cloud, KeyRing
from asrwatch.cloud.bodies import encoded_size as encoded_by_the_body
from asrwatch.engines import Engine
from asrwatch.errors import RecordingError
from asrwatch.journey.dispatch import Candidate, Choice, Question, choose, encoded_size
from asrwatch.journey.plan import AudioFacts, Preparation, Wishes
from asrwatch.journey.planning import candidate_of

FLASH = "qwen3-asr-flash"
FILETRANS = "qwen3-asr-flash-filetrans"
RETIRED = "qwen-audio-asr"
SHORT = AudioFacts(container="wav", duration=timedelta(seconds=10), channels=1)
UNKNOWN = AudioFacts(container="mp3")
LARGEST_RAW = 7_500_000
"""Bytes that are exactly 10 MB of Base64."""


def candidates(region: str = "beijing") -> list[Candidate]:
    """The real engines, with the limits they ship with."""
    cloud = Cloud(region=region, keys=KeyRing(environment={}))
    found = []
    for name in parts.names(engines):
        engine: type[Engine[Any]] = parts.find(engines, Engine, name)  # type: ignore[type-abstract] # a base to look for
        found.append(candidate_of(engine(engine.Options.model_validate({}), cloud)))
    return found


def asked(
    facts: AudioFacts = SHORT,
    *,
    size: int | None = 100_000,
    wishes: Wishes | None = None,
    region: str = "beijing",
    engine: str | None = None,
    refused: tuple[str, ...] = (),
    can_encode: bool = False,
) -> Choice:
    """What is chosen among the real engines."""
    question = Question(
        facts=facts,
        size=size,
        wishes=wishes or Wishes(),
        region=region,
        engine=engine,
        refused=refused,
        can_encode=can_encode,
    )
    return choose(question, candidates(region))


def lasting(seconds: float) -> AudioFacts:
    """A WAV file of this length."""
    return replace(SHORT, duration=timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("why", "facts", "size", "wishes", "engine"),
    [
        ("short and small", SHORT, 100_000, Wishes(), FLASH),
        ("at the limit of length", lasting(295), 100_000, Wishes(), FLASH),
        ("over the limit of length", lasting(295.001), 100_000, Wishes(), FILETRANS),
        ("at the limit of size", SHORT, LARGEST_RAW, Wishes(), FLASH),
        ("over the limit of size", SHORT, LARGEST_RAW + 1, Wishes(), FILETRANS),
        ("twelve hours", lasting(12 * 3600), 10**9, Wishes(), FILETRANS),
        ("two GB", lasting(3600), 2_000_000_000, Wishes(), FILETRANS),
        ("unknown length", UNKNOWN, 100_000, Wishes(), FILETRANS),
        ("unknown size and length: a URL", AudioFacts(), None, Wishes(), FILETRANS),
        ("unknown container", replace(SHORT, container=None), 100_000, Wishes(), FLASH),
        ("subtitles, however short", SHORT, 100_000, Wishes(timestamps=True), FILETRANS),
        ("words, however short", SHORT, 100_000, Wishes(words=True), FILETRANS),
        ("two channels", SHORT, 100_000, Wishes(channels=(0, 1)), FILETRANS),
        ("another channel than the first", SHORT, 100_000, Wishes(channels=(1,)), FILETRANS),
        ("a language and context", SHORT, 100_000, Wishes(language="en", context="x"), FLASH),
        (
            "m4a, which only filetrans documents",
            replace(SHORT, container="mp4"),
            9,
            Wishes(),
            FILETRANS,
        ),
        (
            "aiff, which only the sync model documents",
            replace(SHORT, container="aiff"),
            9,
            Wishes(),
            FLASH,
        ),
        ("wma, known by its container", replace(SHORT, container="asf"), 9, Wishes(), FLASH),
    ],
)
def test_rules(why: str, facts: AudioFacts, size: int | None, wishes: Wishes, engine: str) -> None:
    """The dispatch rules of the README, one by one, with the limits the engines ship with."""
    choice = asked(facts, size=size, wishes=wishes)
    assert choice.engine == engine, why
    assert choice.preparation is Preparation.AS_IT_IS
    assert choice.reasons[-1].startswith(f"{engine}: ")


@pytest.mark.parametrize(
    ("seconds", "engine"), [(295.001, FLASH), (300, FLASH), (300.001, FILETRANS)]
)
def test_an_exact_copy_may_be_as_long_as_the_limit(seconds: float, engine: str) -> None:
    """Between 295 s and 300 s the sync model is sent a copy, whose length is known to the sample."""
    choice = asked(lasting(seconds), can_encode=True)
    assert choice.engine == engine
    assert (choice.preparation is Preparation.RE_ENCODE) == (engine == FLASH)
    assert asked(lasting(seconds)).engine == FILETRANS


def test_reasons_can_be_read() -> None:
    """Each engine that was passed over says why, with the limit, and the chosen one how well it fits."""
    assert asked(lasting(300), size=LARGEST_RAW + 3).reasons == (
        "not qwen3-asr-flash: 300 s is longer than its limit of 295 s",
        "not qwen3-asr-flash: 10,000,004 bytes as Base64 is more than its limit of 10,000,000 bytes",
        f"{FILETRANS}: it takes the recording as it is (300 s of at most 12h 00m, 7.5 MB of at most 2.0 GB)",
    )
    assert asked(UNKNOWN, size=900, wishes=Wishes(words=True, channels=(0, 1))).reasons == (
        "not qwen3-asr-flash: it gives no timestamps, and subtitles or words are wanted",
        "not qwen3-asr-flash: it hears one mixed channel, and wanted are channels 0, 1",
        "not qwen3-asr-flash: its limit is 295 s and the length is unknown",
        f"{FILETRANS}: it takes the recording as it is (unknown length, 900 B of at most 2.0 GB)",
    )


def test_us_offers_the_sync_model_alone() -> None:
    """In the US a short recording goes to the sync model; what needs filetrans goes nowhere and is told why."""
    assert asked(region="us").engine == FLASH
    with pytest.raises(RecordingError, match="filetrans: it is not offered in region us"):
        asked(lasting(300), region="us")


def test_unknown_length_is_asked_where_nothing_else_is_left() -> None:
    """Where only the sync model is left, a recording of unknown length is tried: a refusal costs nothing."""
    choice = asked(UNKNOWN, region="us")
    assert choice.engine == FLASH
    assert choice.reasons[-1] == (
        "qwen3-asr-flash: the length is unknown and no other engine is left; "
        "the cloud refuses it, for nothing, if it is too long"
    )
    assert asked(UNKNOWN, engine=FLASH).engine == FLASH


def test_engine_that_refused_is_not_asked_again() -> None:
    """After a refusal for length or size the recording goes to the next engine, and after its refusal nowhere."""
    choice = asked(refused=(FLASH,))
    assert choice.engine == FILETRANS
    assert choice.reasons[0] == f"not {FLASH}: it refused this recording before"
    with pytest.raises(RecordingError, match="it refused this recording before"):
        asked(refused=(FLASH, FILETRANS))
    with pytest.raises(RecordingError):
        asked(UNKNOWN, region="us", refused=(FLASH,))


def test_named_engine_is_the_only_candidate() -> None:
    """An engine named by the inbox is taken, also the retired one, and is never replaced."""
    choice = asked(engine=RETIRED)
    assert choice.engine == RETIRED
    assert "it was named" in choice.reasons[-1]
    assert asked(engine=FILETRANS).engine == FILETRANS
    for wishes in (Wishes(timestamps=True), Wishes(channels=(0, 1))):
        with pytest.raises(RecordingError, match=f"not {FLASH}: it "):
            asked(engine=FLASH, wishes=wishes)


def test_retired_engine_is_never_chosen_unasked() -> None:
    """The engine the vendor retired is not chosen, even where every other one is out."""
    with pytest.raises(RecordingError) as raised:
        asked(refused=(FLASH, FILETRANS))
    assert RETIRED not in raised.value.message


@pytest.mark.parametrize(
    ("facts", "size", "wishes", "says"),
    [
        (
            lasting(12 * 3600 + 1),
            10**9,
            Wishes(),
            "43201.0 s is longer than its limit of 43200.0 s",
        ),
        (
            lasting(60),
            2_000_000_001,
            Wishes(),
            "2,000,000,001 bytes is more than its limit of 2,000,000,000 bytes",
        ),
        (replace(SHORT, container="caf"), 9, Wishes(), "it does not take caf files"),
        (replace(SHORT, container="aiff"), 9, Wishes(words=True), "it does not take aiff files"),
    ],
)
def test_what_fits_nowhere_says_why(
    facts: AudioFacts, size: int, wishes: Wishes, says: str
) -> None:
    """A recording that no engine takes fails with every reason and limit, and what can be done."""
    with pytest.raises(RecordingError) as raised:
        asked(facts, size=size, wishes=wishes)
    assert says in raised.value.message
    assert f"not {FLASH}" in raised.value.message
    assert f"not {FILETRANS}" in raised.value.message
    assert raised.value.code == "fits-nowhere"
    assert "Split or convert it" in raised.value.advice


def test_no_engine_in_the_region_is_told() -> None:
    """Without any candidate the region is named instead of a list of reasons."""
    question = Question(facts=SHORT, size=9, wishes=Wishes(), region="moon")
    with pytest.raises(RecordingError, match="no engine is offered in region moon"):
        choose(question, [])


def test_limits_can_be_overridden() -> None:
    """Limits come from the engine's options: a configuration that raises one changes the choice."""
    raised = [
        replace(candidate, longest=timedelta(minutes=10), largest=10**8)
        if candidate.name == FLASH
        else candidate
        for candidate in candidates()
    ]
    question = Question(facts=lasting(599), size=70 * 10**6, wishes=Wishes(), region="beijing")
    assert choose(question, raised).engine == FLASH


def test_every_container_an_inbox_looks_for_has_a_taker() -> None:
    """What an inbox takes up by its name, an engine takes or the booth decodes; DS2 is refused by name."""
    automatic = [candidate for candidate in candidates() if candidate.automatic]
    for container in CONTAINERS.values():
        if not EXTENSIONS.isdisjoint(container.extensions):
            taken = any(taken_by(container.name, candidate.containers) for candidate in automatic)
            assert taken or container.name in {*DEMUXERS, "ds2"}, container.name


@given(st.integers(min_value=0, max_value=10**10))
def test_size_is_counted_as_it_is_sent(size: int) -> None:
    """The dispatcher counts Base64 exactly as the request's body does."""
    assert encoded_size(size) == encoded_by_the_body(size)


@given(
    seconds=st.none() | st.floats(min_value=0, max_value=10**6),
    size=st.none() | st.integers(min_value=0, max_value=10**10),
    container=st.none() | st.sampled_from(sorted(CONTAINERS)),
    wishes=st.builds(
        Wishes,
        words=st.booleans(),
        timestamps=st.booleans(),
        channels=st.sampled_from([(0,), (1,), (0, 1)]),
    ),
    region=st.sampled_from(["beijing", "singapore", "us"]),
)
def test_whatever_is_chosen_fits(
    seconds: float | None,
    size: int | None,
    container: str | None,
    wishes: Wishes,
    region: str,
) -> None:
    """No choice ever breaks a known limit; what is not chosen fails with a reason, and both always say why."""
    duration = None if seconds is None else timedelta(seconds=seconds)
    facts = AudioFacts(container=container, duration=duration)
    question = Question(facts=facts, size=size, wishes=wishes, region=region)
    offered = candidates(region)
    told: RecordingError | None = None
    try:
        choice = choose(question, offered)
    except RecordingError as refused:
        told = refused
    if told is not None:
        assert told.code == "fits-nowhere"
        assert "not qwen3-asr-flash" in told.message
        return
    chosen = next(candidate for candidate in offered if candidate.name == choice.engine)
    assert choice.reasons
    assert region in chosen.regions
    assert duration is None or duration <= chosen.longest
    assert container is None or taken_by(container, chosen.containers)
    assert chosen.timestamps or not (wishes.words or wishes.timestamps)
    assert chosen.channels or wishes.channels == (0,)
    if size is not None:
        assert (encoded_size(size) if chosen.base64 else size) <= chosen.largest
