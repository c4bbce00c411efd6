"""Which of a recording's channels are asked about, and what is said of it before anything is paid: pure decisions.

Each channel is paid for. So one that is silent throughout is not sent, and of channels that all carry the same
sound (fake stereo) one is. To know that, a recording of which more than one channel is wanted is listened to first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from asrwatch.errors import RecordingError
from asrwatch.journey.plan import AudioFacts, Cut, Plan, Wishes
from asrwatch.journey.transcript import Sentence, Transcript
from asrwatch.values import counted, format_duration

__all__ = [
    "Choice",
    "billed",
    "billing",
    "choose",
    "left_to_the_engine",
    "named",
    "needs_listening",
    "ordinal",
    "voices",
    "wished",
    "with_speakers",
]

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


LONGEST_HEARD = timedelta(hours=24)
"""What is longer is not decoded only to spare money: it takes many minutes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The channels that are asked about, counted from 0, and why; none where all that are wanted are silent."""

    channels: tuple[int, ...]
    reasons: tuple[str, ...] = ()


def needs_listening(wishes: Wishes, facts: AudioFacts) -> bool:
    """Whether a recording is decoded before its channels are chosen: several may be paid for, or are not known of."""
    if facts.duration is not None and facts.duration > LONGEST_HEARD:
        return False
    several = wishes.split or len(wishes.channels) > 1
    if facts.channels is None:
        return several or wishes.channels != (0,)
    return several and facts.channels > 1


def choose(wishes: Wishes, facts: AudioFacts, *, send_silence: bool) -> Choice:
    """Decide.

    Raises:
        RecordingError: `no-such-channel`, a channel is wanted that it has not; `channels-unknown`, all are wanted, and
            nothing tells how many there are.
    """
    wanted = _wanted(wishes, facts)
    reasons = list(_about_names(wishes, facts))
    if len(wanted) < 2:  # noqa: PLR2004 - there is nothing to leave out of one
        return Choice(channels=wanted, reasons=tuple(reasons))
    if facts.same_channels:
        all_of_them = counted(facts.channels or len(wanted), "channel")
        reasons.append(f"its {all_of_them} carry the same sound: one is sent, and billed")
        return Choice(channels=(0,), reasons=tuple(reasons))
    if facts.same_channels is None and facts.channels is not None:
        reasons.append("whether its channels are silent or all the same is unknown: each is sent")
    silent = () if send_silence else facts.silent_channels
    reasons.extend(
        f"the {ordinal(channel)} channel is silent throughout: it is not sent, nor billed"
        for channel in wanted
        if channel in silent
    )
    return Choice(
        channels=tuple(channel for channel in wanted if channel not in silent),
        reasons=tuple(reasons),
    )


def wished(wishes: Wishes, plan: Plan) -> Wishes:
    """What is wanted of a recording, its channels being those that its plan chose."""
    if plan.channels is None:
        return wishes
    return replace(wishes, channels=plan.channels, split=False)


def left_to_the_engine(wishes: Wishes, cut: Cut | None) -> Wishes:
    """What an engine is asked for itself, where cutting sees to times, or to channels, by the place of each piece."""
    if cut is None:
        return wishes
    return replace(
        wishes,
        channels=wishes.channels if cut.channels is None else (0,),
        timestamps=wishes.timestamps and not cut.cues,
    )


def billed(cut: Cut | None, by_the_engine: int) -> int:
    """How many channels are paid for: as many as are cut out each by itself, else what the engine counts."""
    return by_the_engine if cut is None or cut.channels is None else len(cut.channels)


def billing(
    facts: AudioFacts, *, asked: int, billed: int, can_split: bool, cut: Cut | None = None
) -> tuple[str, ...]:
    """What is said of the bill: that each channel counts; or that channels are left unheard.

    Args:
        facts: of the recording.
        asked: how many channels the engine is asked about.
        billed: how many it bills.
        can_split: whether it could have been asked about each.
        cut: how it is cut, if it is: then only what is said in each is sent.
    """
    if billed > 1:
        length = ""
        if facts.duration is not None:
            seconds = timedelta(seconds=math.ceil(facts.duration.total_seconds()))
            # pauses may be left out, and the last second of each piece counts as whole
            about = "about " if cut is not None else ""
            length = f": {about}{billed} x {format_duration(seconds)}"
        return (f"each of {billed} channels is transcribed, and billed{length}",)
    there = facts.channels or 1
    if can_split and asked == 1 < there and not facts.same_channels:
        left = there - 1 - len(facts.silent_channels)
        if left > 0:
            return (
                f"of its {there} channels one is heard; `channels: split` has each transcribed, and each billed",
            )
    return ()


def voices(wishes: Wishes, facts: AudioFacts) -> dict[int, str]:
    """Who speaks in which channel, by its number; empty where channels are not told apart.

    The first name is the first channel's. A channel without a name is called "Channel 3", say. A recording of one
    channel, or of channels that carry the same sound, holds everybody in one: nobody's name would be right.
    """
    there = facts.channels or 0
    several = wishes.split or len(wishes.channels) > 1 or bool(wishes.speakers)
    if not several or there < 2 or facts.same_channels:  # noqa: PLR2004 - one channel is everybody's
        return {}
    wanted = range(there) if wishes.split else wishes.channels
    return {
        channel: wishes.speakers[channel]
        if channel < len(wishes.speakers)
        else f"Channel {channel + 1}"
        for channel in wanted
    }


def with_speakers(
    transcript: Transcript, wishes: Wishes, facts: AudioFacts, plan: Plan, *, tells_apart: bool
) -> Transcript:
    """The transcript with the names that are wanted now, as far as the answer tells who spoke.

    Args:
        transcript: as the engine tells it.
        wishes: may have changed since it was asked for, as names do.
        facts: of the recording.
        plan: by which it was asked for.
        tells_apart: whether the engine hears each channel by itself; else they were heard as one, unless pieces of
            each were cut out, or nobody can be heard in the others.
    """
    cut_apart = plan.cut is not None and plan.cut.channels is not None
    alone = (facts.channels or 1) - len(facts.silent_channels) <= 1
    names = voices(wishes, facts) if tells_apart or cut_apart or alone else {}
    return named(transcript, names, heard=plan.channels)


def named(
    transcript: Transcript, names: dict[int, str], *, heard: Sequence[int] | None
) -> Transcript:
    """The transcript with a speaker for each sentence, and its text in the order in which it was said.

    Args:
        transcript: as the engine tells it.
        names: by channel; where there are none, nothing changes.
        heard: the channels that were asked about.
    """
    if not names:
        return transcript
    only = heard[0] if heard is not None and len(heard) == 1 else None
    sentences = [_spoken(sentence, names, only) for sentence in transcript.sentences]
    return replace(
        transcript,
        sentences=tuple(sentences),
        text=_in_time(sentences) or transcript.text,
        voices=names,
    )


def ordinal(channel: int) -> str:
    """A channel's or track's number, counted from 0, as people say it."""
    return _ORDINALS[channel] if channel < len(_ORDINALS) else f"{channel + 1}th"


def _wanted(wishes: Wishes, facts: AudioFacts) -> tuple[int, ...]:
    there = facts.channels
    if wishes.split:
        if there is None:
            raise RecordingError(
                "Each of its channels is wanted, and nothing tells how many it has.",
                code="channels-unknown",
                advice="Nothing was sent or paid. Install PyAV, convert the file to WAV, or set `channels` to numbers.",
            )
        return tuple(range(there))
    if there is not None and (missing := [each for each in wishes.channels if each >= there]):
        raise RecordingError(
            f"The {ordinal(missing[0])} channel is wanted (`channels` counts from 0), "
            f"and it has {counted(there, 'channel')}.",
            code="no-such-channel",
            advice="Nothing was sent or paid. Correct `channels` of its inbox; `split` takes as many as there are.",
        )
    return wishes.channels


def _about_names(wishes: Wishes, facts: AudioFacts) -> list[str]:
    """What to say where there are not as many names as channels."""
    names, there = wishes.speakers, facts.channels
    if not names or there is None:
        return []
    if there == 1 or facts.same_channels:
        return ["everybody is heard in one channel, so nobody is named (`speakers`)"]
    if surplus := names[there:]:
        listed = ", ".join(surplus)
        return [f"it has {counted(there, 'channel')}, and none for {listed} (`speakers`)"]
    if wishes.split and len(names) < there:
        rest = ", ".join(f"Channel {channel + 1}" for channel in range(len(names), there))
        return [
            f"`speakers` has {counted(len(names), 'name')}; the other channels are called {rest}"
        ]
    return []


def _spoken(sentence: Sentence, names: dict[int, str], only: int | None) -> Sentence:
    channel = only if sentence.channel is None else sentence.channel
    name = names.get(channel) if channel is not None else None
    if name is None:
        return sentence
    speaker = name if sentence.speaker is None else f"{name}, Speaker {sentence.speaker}"
    return replace(sentence, channel=channel, speaker=speaker)


def _in_time(sentences: Sequence[Sentence]) -> str:
    """A line for each sentence, of several channels; nothing of one, whose text is in order already."""
    several = len({sentence.channel for sentence in sentences}) > 1
    return "\n".join(sentence.text for sentence in sentences) if several else ""
