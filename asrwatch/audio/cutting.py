"""Where to cut a recording that is too long for one request, from its length and its pauses. Pure.

Times are whole milliseconds, which every rate in use can tell: pieces join without a seam, and a piece that is
cut once more is the same piece, bought already.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from asrwatch.audio.orders import RATE
from asrwatch.journey.plan import Cut

__all__ = ["Stretch", "about", "cut", "cut_apart", "for_cues", "near"]

LONGEST_CUE = timedelta(seconds=15)
CUE = timedelta(seconds=10)
"""What a subtitle's piece is near: long enough to be understood, short enough to be one or two subtitles."""
MARGIN = 300
"""Milliseconds of a pause that stay with the speech beside it: quiet first and last sounds are speech, too."""
JOINED = 1_000
"""A pause shorter than this does not end a subtitle's piece that has room for what follows."""
_PER_MILLISECOND = RATE // 1000
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """From where to where a piece goes, in milliseconds; `overlap` of its beginning the piece before has, too.

    `channel` is the one that it is of, counted from 0; None is all of them.
    """

    begin: int
    end: int
    overlap: int = 0
    channel: int | None = None


def near(target: timedelta, longest: timedelta) -> Cut:
    """Pieces of about `target`, all of them within an engine's limit."""
    target = min(target, longest * 0.9)
    return Cut(target=target, longest=longest, reach=target / 4)


def for_cues(target: timedelta, longest: timedelta) -> Cut:
    """Pieces for subtitles: one stretch of speech each, at most fifteen seconds."""
    longest = min(longest, LONGEST_CUE)
    return Cut(
        target=min(target, CUE, longest),
        longest=longest,
        reach=longest - min(target, CUE, longest),
        overlap=timedelta(seconds=1),
        cues=True,
    )


def about(duration: timedelta, how: Cut) -> int:
    """How many pieces that makes, as far as can be said before anybody listens to it."""
    one = not how.cues and duration <= _most(how)
    return (1 if one else -(-duration // how.target)) * len(how.channels or (0,))


def cut(count: int, pauses: Sequence[tuple[int, int]], how: Cut) -> tuple[Stretch, ...]:
    """Cut.

    Args:
        count: samples at `RATE` that the recording has.
        pauses: from where to where nobody speaks, in samples, in order.
        how: the rules.

    Returns:
        Stretches in order. Without `cues` they cover everything; with, everything but the insides of pauses.
        None is longer than `how.longest`, and none begins or ends outside a pause where one is within reach.
    """
    total = -(-count // _PER_MILLISECOND)
    quiet = [
        (-(-begin // _PER_MILLISECOND), end // _PER_MILLISECOND)
        for begin, end in pauses
        if end // _PER_MILLISECOND > -(-begin // _PER_MILLISECOND)
    ]
    if not how.cues:
        return tuple(_divided(0, total, quiet, how))
    return tuple(
        stretch
        for begin, end in _gathered(_speech(total, quiet), how)
        for stretch in _divided(begin, end, quiet, how)
    )


def cut_apart(
    count: int, pauses: Sequence[Sequence[tuple[int, int]]], how: Cut
) -> tuple[Stretch, ...]:
    """Cut each channel of `how` by itself, at its own pauses.

    Args:
        count: samples at `RATE` that the recording has.
        pauses: of every channel there is.
        how: the rules, which name the channels.

    Returns:
        The stretches of all channels, in the order in which they begin.
    """
    stretches = [
        replace(stretch, channel=channel)
        for channel in how.channels or ()
        for stretch in cut(count, pauses[channel], how)
    ]
    return tuple(sorted(stretches, key=lambda each: (each.begin, each.channel)))


def _divided(begin: int, end: int, quiet: Sequence[tuple[int, int]], how: Cut) -> Iterator[Stretch]:
    """One stretch cut into as few as the target asks for, all of about the same length."""
    target, most = how.target // _MILLISECOND, _most(how) // _MILLISECOND
    at, overlap = begin, 0
    while end - at > most:
        left = -(-(end - at) // target)
        aim = at + (end - at) // max(left, 2)
        pause = _pause_near(aim, at, quiet, how)
        to = aim if pause is None else pause
        yield Stretch(begin=at, end=to, overlap=overlap)
        overlap = 0 if pause is not None else min(how.overlap // _MILLISECOND, (to - at) // 8)
        at = to - overlap
    yield Stretch(begin=at, end=end, overlap=overlap)


def _most(how: Cut) -> timedelta:
    """What is left in one piece although it is longer than the target: the last one is never a scrap."""
    return how.longest if how.cues else min(how.target + how.reach / 2, how.longest)


def _pause_near(aim: int, begin: int, quiet: Sequence[tuple[int, int]], how: Cut) -> int | None:
    """Where the best pause within reach can be cut: the longest, of two as long the nearer."""
    reach, longest = how.reach // _MILLISECOND, how.longest // _MILLISECOND
    first, last = max(aim - reach, begin + 1), min(aim + reach, begin + longest)
    best: tuple[int, int] | None = None
    chosen = None
    for starts, ends in quiet:
        inside = max(starts, first), min(ends, last)
        if inside[0] > inside[1]:
            continue
        at = (inside[0] + inside[1]) // 2
        worth = (min(inside[1] - inside[0], 2 * JOINED), -abs(at - aim))
        if best is None or worth > best:
            best, chosen = worth, at
    return chosen


def _speech(total: int, quiet: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where somebody speaks, with a margin on both sides; all of it where nothing but pauses was found."""
    found: list[tuple[int, int]] = []
    at = 0
    for begin, end in (*quiet, (total, total)):
        if begin > at:
            found.append((at, begin))
        at = max(at, end)
    if not found:
        return [(0, total)]
    before = [0, *(end for _, end in found[:-1])]
    after = [*(begin for begin, _ in found[1:]), total]
    return [
        (
            max(begin - MARGIN, (earlier + begin) // 2 if earlier else 0),
            min(end + MARGIN, (end + later) // 2 if later < total else total),
        )
        for (begin, end), earlier, later in zip(found, before, after, strict=True)
    ]


def _gathered(speech: Sequence[tuple[int, int]], how: Cut) -> Iterator[tuple[int, int]]:
    """Short stretches with short pauses between them together, as long as they are within the target."""
    target = how.target // _MILLISECOND
    begin, end = speech[0]
    for starts, ends in speech[1:]:
        if starts - end < JOINED and ends - begin <= target:
            end = ends
            continue
        yield begin, end
        begin, end = starts, ends
    yield begin, end
