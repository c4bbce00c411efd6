"""Channels: each is a speaker, each is paid for, so copies and silent ones are not sent, and all of it is said."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from format_helpers import PROVENANCE, TWO_CHANNELS, part
from test_dispatch import FILETRANS, FLASH, candidates

from asrwatch.audio.cutting import Stretch, cut_apart, for_cues
from asrwatch.audio.orders import RATE
from asrwatch.errors import RecordingError
from asrwatch.journey.channels import billing, choose, named, needs_listening, voices, with_speakers
from asrwatch.journey.cutting_up import stretches
from asrwatch.journey.dispatch import Question
from asrwatch.journey.dispatch import choose as choose_engine
from asrwatch.journey.plan import AudioFacts, Plan, Wishes
from asrwatch.journey.preparing import CutOrder
from asrwatch.journey.store import Store
from asrwatch.journey.transcript import Sentence, Transcript

CALL = AudioFacts(
    container="wav", duration=timedelta(minutes=12), channels=2, same_channels=False, tracks=1
)
FAKE = AudioFacts(container="wav", duration=timedelta(minutes=12), channels=2, same_channels=True)
ONE = AudioFacts(container="wav", duration=timedelta(minutes=12), channels=1)
HALF = AudioFacts(
    container="wav",
    duration=timedelta(minutes=12),
    channels=2,
    same_channels=False,
    silent_channels=(1,),
)
SPLIT = Wishes(split=True)


@pytest.mark.parametrize(
    ("facts", "wishes", "sent", "said"),
    [
        (CALL, SPLIT, (0, 1), ""),
        (CALL, Wishes(channels=(0, 1)), (0, 1), ""),
        (CALL, Wishes(channels=(1,)), (1,), ""),
        (FAKE, SPLIT, (0,), "its 2 channels carry the same sound: one is sent, and billed"),
        (FAKE, Wishes(channels=(1, 0)), (0,), "carry the same sound"),
        (HALF, SPLIT, (0,), "the second channel is silent throughout: it is not sent, nor billed"),
        (HALF, Wishes(channels=(0, 1)), (0,), "the second channel is silent throughout"),
        (ONE, SPLIT, (0,), ""),
        (ONE, Wishes(), (0,), ""),
        (AudioFacts(), Wishes(channels=(0, 1)), (0, 1), ""),
        (AudioFacts(channels=2), SPLIT, (0, 1), "is unknown: each is sent"),
    ],
)
def test_rules(facts: AudioFacts, wishes: Wishes, sent: tuple[int, ...], said: str) -> None:
    """Of channels that are wanted, those are sent that are neither silent nor a copy of another; why is said."""
    choice = choose(wishes, facts, send_silence=False)
    assert choice.channels == sent
    assert said in "; ".join(choice.reasons)
    assert bool(said) == bool(choice.reasons)


def test_silence_is_sent_where_it_is_wanted() -> None:
    """With `send_silence` a silent channel is sent like any other; a copy still is not."""
    assert choose(SPLIT, HALF, send_silence=True).channels == (0, 1)
    assert choose(SPLIT, FAKE, send_silence=True).channels == (0,)


def test_nothing_is_left_of_silent_channels() -> None:
    """Where every channel that is wanted is silent, none is chosen, however loud the others are."""
    facts = AudioFacts(channels=4, same_channels=False, silent_channels=(0, 1))
    assert choose(Wishes(channels=(0, 1)), facts, send_silence=False).channels == ()


@pytest.mark.parametrize(
    ("facts", "wishes", "code", "message"),
    [
        (ONE, Wishes(channels=(0, 1)), "no-such-channel", "second channel .* it has 1 channel"),
        (CALL, Wishes(channels=(12,)), "no-such-channel", "13th channel .* it has 2 channels"),
        (AudioFacts(), SPLIT, "channels-unknown", "nothing tells how many"),
    ],
)
def test_what_is_not_there_is_refused(
    facts: AudioFacts, wishes: Wishes, code: str, message: str
) -> None:
    """More channels than there are, or all of nobody knows how many: refused before anything is paid."""
    with pytest.raises(RecordingError, match=message) as caught:
        choose(wishes, facts, send_silence=False)
    assert caught.value.code == code
    assert "Nothing was sent or paid" in caught.value.advice


@pytest.mark.parametrize(
    ("facts", "wishes", "listens"),
    [
        (CALL, SPLIT, True),
        (CALL, Wishes(channels=(0, 1)), True),
        (CALL, Wishes(), False),
        (CALL, Wishes(channels=(1,)), False),
        (ONE, SPLIT, False),
        (ONE, Wishes(channels=(0, 1)), False),
        (AudioFacts(), Wishes(), False),
        (AudioFacts(), SPLIT, True),
        (AudioFacts(), Wishes(channels=(1,)), True),
        (replace(CALL, duration=timedelta(hours=25)), SPLIT, False),
    ],
)
def test_listening_is_worth_it(facts: AudioFacts, wishes: Wishes, *, listens: bool) -> None:
    """A recording is listened to where more than one channel may be paid for, or it is not known how many there are."""
    assert needs_listening(wishes, facts) is listens


def test_the_bill_is_told_before() -> None:
    """Each channel's bill is told; and that channels are not heard, where they could be."""
    assert billing(CALL, asked=2, billed=2, can_split=True) == (
        "each of 2 channels is transcribed, and billed: 2 x 12m 00s",
    )
    assert "channels: split" in billing(CALL, asked=1, billed=1, can_split=True)[0]
    for quiet in (ONE, FAKE, HALF):
        assert billing(quiet, asked=1, billed=1, can_split=True) == ()
    assert billing(CALL, asked=1, billed=1, can_split=False) == ()


@pytest.mark.parametrize(
    ("facts", "wishes", "names", "said"),
    [
        (CALL, SPLIT, {0: "Channel 1", 1: "Channel 2"}, ""),
        (CALL, Wishes(split=True, speakers=("a", "b")), {0: "a", 1: "b"}, ""),
        (
            CALL,
            Wishes(split=True, speakers=("a",)),
            {0: "a", 1: "Channel 2"},
            "`speakers` has 1 name; the other channels are called Channel 2",
        ),
        (
            CALL,
            Wishes(split=True, speakers=("a", "b", "c", "d")),
            {0: "a", 1: "b"},
            "it has 2 channels, and none for c, d (`speakers`)",
        ),
        (CALL, Wishes(channels=(1,), speakers=("a", "b")), {1: "b"}, ""),
        (HALF, Wishes(split=True, speakers=("a", "b")), {0: "a", 1: "b"}, "silent"),
        (FAKE, Wishes(split=True, speakers=("a", "b")), {}, "nobody is named"),
        (ONE, Wishes(split=True, speakers=("a", "b")), {}, "nobody is named"),
        (ONE, SPLIT, {}, ""),
        (CALL, Wishes(), {}, ""),
    ],
)
def test_names(facts: AudioFacts, wishes: Wishes, names: dict[int, str], said: str) -> None:
    """Names go by channel; missing ones are counted, surplus ones said, and one channel for all has none."""
    assert voices(wishes, facts) == names
    assert said in "; ".join(choose(wishes, facts, send_silence=False).reasons)


def test_one_timeline() -> None:
    """Two channels become one text in the order of what was said, each sentence with its speaker's name."""
    heard = named(TWO_CHANNELS, {0: "Desk", 1: "Caller"}, heard=(0, 1))
    assert {each.channel: each.speaker for each in heard.sentences} == {0: "Desk", 1: "Caller"}
    told = part("txt").render(heard, PROVENANCE)
    assert [line for line in told.split("\n") if line.endswith(":")] == [
        "Desk:",
        "Caller:",
        "Desk:",
    ]


def test_a_single_voice_is_named() -> None:
    """Where only one of two channels was sent, its text still says who spoke, even without times."""
    sync = Transcript(text="hello there", sentences=(Sentence(text="hello there"),))
    heard = named(sync, {0: "Desk", 1: "Caller"}, heard=(1,))
    assert part("txt").render(heard, PROVENANCE) == "Caller:\nhello there\n"
    assert "**Caller:** hello there" in part("md").render(heard, PROVENANCE)


@pytest.mark.parametrize(
    ("facts", "tells_apart", "cut", "speaker"),
    [
        (CALL, True, None, "Desk"),
        (CALL, False, None, None),
        (CALL, False, (0, 1), "Desk"),
        (HALF, False, None, "Desk"),
        (FAKE, True, None, None),
    ],
)
def test_a_mixed_answer_names_nobody(
    facts: AudioFacts, cut: tuple[int, ...] | None, speaker: str | None, *, tells_apart: bool
) -> None:
    """What was heard as one before names were wanted is nobody's; what was heard apart gets the names of now."""
    how = for_cues(timedelta(seconds=10), timedelta(seconds=15))
    plan = Plan(
        engine=FLASH, model="", channels=(0,), cut=replace(how, channels=cut) if cut else None
    )
    wishes = Wishes(split=True, speakers=("Desk", "Caller"))
    sync = Transcript(text="hello there", sentences=(Sentence(text="hello there"),))
    (said,) = with_speakers(sync, wishes, facts, plan, tells_apart=tells_apart).sentences
    assert said.speaker == speaker


@pytest.mark.parametrize(
    ("asked_for", "region", "engine", "cut"),
    [
        ({}, "beijing", FILETRANS, None),
        ({"cut": timedelta(minutes=3)}, "beijing", FLASH, (0, 1)),
        ({}, "us", FLASH, (0, 1)),
        ({"engine": FLASH}, "beijing", FLASH, (0, 1)),
        ({"wishes": Wishes(channels=(0, 1), timestamps=True)}, "us", FLASH, (0, 1)),
        ({"wishes": Wishes(channels=(1,))}, "beijing", FILETRANS, None),
        ({"wishes": Wishes(channels=(1,))}, "us", FLASH, (1,)),
        ({"wishes": Wishes(channels=(0,)), "cut": timedelta(minutes=3)}, "us", FLASH, None),
    ],
)
def test_who_hears_channels(
    asked_for: Mapping[str, Any], region: str, engine: str, cut: tuple[int, ...] | None
) -> None:
    """Channels go to the task model; to the sync model, one by one, where it is cut, named, or all there is."""
    question = Question(
        **{
            "facts": CALL,
            "size": 9_000_000,
            "wishes": Wishes(channels=(0, 1)),
            "region": region,
            "can_encode": True,
            "can_publish": True,
            **asked_for,
        }
    )
    choice = choose_engine(question, candidates(region))
    assert choice.engine == engine
    assert (choice.cut.channels if choice.cut else None) == cut
    if cut is not None and len(cut) > 1:
        assert choice.cut is not None
        assert choice.cut.cues
        assert "so that it is known who speaks when" in choice.reasons[-1]


@pytest.mark.parametrize("left", [(0,), (1,)])
def test_who_is_left_alone_in_a_call_has_times_too(left: tuple[int, ...]) -> None:
    """Of a call whose other side is silent, or of one channel, subtitles are made in the US like of any other call."""
    question = Question(
        facts=CALL,
        size=9_000_000,
        wishes=Wishes(channels=left, timestamps=True),
        region="us",
        can_encode=True,
        can_publish=True,
        split=True,
    )
    choice = choose_engine(question, candidates("us"))
    assert choice.engine == FLASH
    assert choice.cut is not None
    assert choice.cut.cues
    with pytest.raises(RecordingError, match="no timestamps"):
        choose_engine(replace(question, split=False), candidates("us"))


def test_times_of_words_are_not_to_be_had_by_cutting() -> None:
    """In the US words of two channels fail, with the reason."""
    question = Question(
        facts=CALL,
        size=100,
        wishes=Wishes(channels=(0, 1), words=True),
        region="us",
        can_encode=True,
    )
    with pytest.raises(RecordingError, match="words are wanted"):
        choose_engine(question, candidates("us"))


def test_each_channel_is_cut_at_its_own_pauses() -> None:
    """Pieces of channels come in the order in which they begin, and none holds what only the other channel says."""
    how = replace(for_cues(timedelta(seconds=180), timedelta(seconds=295)), channels=(0, 1))
    second = RATE
    first, other = [(10 * second, 30 * second)], [(0, 10 * second), (20 * second, 30 * second)]
    assert cut_apart(30 * second, [first, other], how) == (
        Stretch(begin=0, end=10_300, channel=0),
        Stretch(begin=9_700, end=20_300, channel=1),
    )


def test_a_cut_is_remembered_by_channel(store: Store) -> None:
    """Where each channel was cut is known again; so are cuts that were written before channels were."""
    places = (Stretch(begin=0, end=9), Stretch(begin=5, end=7, overlap=1, channel=1))
    store.remember_cut("purchase", places)
    assert store.cut_of("purchase") == places
    how = for_cues(timedelta(seconds=10), timedelta(seconds=15))
    order = CutOrder(how=how, name="x", channels=None, largest=9)
    assert stretches(order.pieces_at(places)) == places
