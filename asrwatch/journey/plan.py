"""The plan: what a recording is, what is wanted of it, what is done for that, what would be bought."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from pydantic import JsonValue

__all__ = [
    "AudioFacts",
    "Cut",
    "Piece",
    "Plan",
    "Preparation",
    "Prepared",
    "Wishes",
    "purchase_key",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioFacts:
    """What the file's own headers tell, and decoding where they do not; `None` is unknown, never zero.

    What follows is only known of what was listened to: `silent` if nobody could hear anything in it, `same_channels`
    if every channel carries the same sound, `silent_channels` those in which nobody could hear anything. `tracks` is
    how many streams of sound there are, `track` the one that everything else is said of; both, like channels, count
    from 0. `decoded` says that the length was counted and not told by headers, `pictures` whether it is a video.
    """

    container: str | None = None
    codec: str | None = None
    duration: timedelta | None = None
    sample_rate: int | None = None
    channels: int | None = None
    silent: bool | None = None
    same_channels: bool | None = None
    silent_channels: tuple[int, ...] = ()
    tracks: int | None = None
    track: int = 0
    decoded: bool = False
    pictures: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What is wanted of a transcript: the inbox's keys, or the seed's normalized request.

    Languages are codes of contract section 2.1; channels count from 0; `timestamps` is set where an output
    needs times (subtitles, words). An engine says of each option whether it honours it. `split` wants every channel
    there is, each as a speaker of its own, whatever `channels` says; `speakers` are their names, from the first on.
    """

    language: str | None = None
    language_hints: tuple[str, ...] = ()
    context: str = ""
    words: bool = False
    timestamps: bool = False
    channels: tuple[int, ...] = (0,)
    split: bool = False
    speakers: tuple[str, ...] = ()
    sample_rate: int | None = None
    vocabulary_id: str | None = None
    disfluency_removal: bool | None = None


class Preparation(StrEnum):
    """What is done to the audio before it is sent."""

    AS_IT_IS = "as_it_is"
    RE_ENCODE = "re_encode"
    DIET = "diet"
    """A smaller copy is uploaded; where none can be made, the original."""
    CUT = "cut"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """How a recording is cut: pieces of about `target`, none longer than `longest`.

    A pause is looked for as far as `reach` from where a piece should end; where there is none, the next piece
    begins `overlap` before that. With `cues` every piece is about one stretch of speech, so that its place tells
    when it was said, and pauses between pieces are not sent. `channels` are pieces of their own, counted from 0;
    None mixes all of them into one (or leaves them to an engine that tells channels apart).
    """

    target: timedelta
    longest: timedelta
    reach: timedelta
    overlap: timedelta = timedelta(seconds=2)
    cues: bool = False
    channels: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Which engine gets the recording, how, and why.

    `options` are those that go over the wire and can change the answer; `left_out` names the wishes the
    engine cannot honour, one sentence each; `reasons` explain the choice, in the order they were found; `sends` is
    about how many bytes go up, None where that is the file as it is. `channels` are those that are asked about,
    counted from 0; None in plans of versions that took the inbox's. `cut` says how it is cut where the preparation is
    to cut it.
    """

    engine: str
    model: str
    preparation: Preparation = Preparation.AS_IT_IS
    cut: Cut | None = None
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    channels: tuple[int, ...] | None = None
    sends: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A copy made fit for the engine: its name in the spool, its container, size in bytes, sha256, length, channels.

    `tracks` is how many streams of sound the recording has; the copy is of one. `missing` is for how long the
    recording holds no sound that could be decoded, where that is worth telling.
    """

    name: str
    container: str
    size: int
    sha256: str
    duration: timedelta
    channels: int
    tracks: int = 1
    missing: timedelta = timedelta(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One piece of a recording that was cut, which is asked about, paid for and remembered by itself.

    It is a row among the recordings, whose `part_of` is the recording it was cut from; it travels like any other
    and is `delivered` once its answer can be read. When all pieces of a cut are, their transcripts are joined.

    Args:
        number: from 1 to `of`, in the order of `begin`, then `channel`.
        begin: where it lies in the recording, in whole milliseconds; `end` likewise.
        overlap: how much of its beginning the piece before it (of the same channel) ends with, as no pause was
            near; words that both have are joined into one.
        channel: which one it is, counted from 0. None: all mixed into one, or all kept apart for an engine whose
            answer names channels itself. With a channel, every sentence of its transcript gets that channel when
            pieces are joined: `channels: split` on an engine that hears one channel is a `Cut` with `channels`,
            one piece for each of them (times as many as its length needs).
        copy: its audio in the spool.
    """

    number: int
    of: int
    begin: timedelta
    end: timedelta
    overlap: timedelta = timedelta(0)
    channel: int | None = None
    copy: Prepared | None = None

    @property
    def place(self) -> tuple[timedelta, timedelta, int | None]:
        """What is bought with it: from where to where, of which channel."""
        return self.begin, self.end, self.channel


def purchase_key(sha256: str, plan: Plan, piece: Piece | None = None) -> str:
    """Name what would be bought, stable over versions: content, engine, model, options sent, and which piece.

    Args:
        sha256: of the recording's content, in hexadecimal.
        plan: whose engine, model and options decide the answer, and how it is cut; how the audio travels does not.
        piece: of which nothing but its place counts, however the rest of the recording was cut.
    """
    bought: dict[str, JsonValue] = {
        "version": 1,
        "sha256": sha256,
        "engine": plan.engine,
        "model": plan.model,
        "preparation": Preparation.AS_IT_IS.value,  # of the first version, when there was no other
        "options": dict(plan.options),
    }
    if piece is not None:
        bought["piece"] = [
            _milliseconds(piece.begin),
            _milliseconds(piece.end),
            -1 if piece.channel is None else piece.channel,
        ]
    elif plan.cut is not None:
        cut = plan.cut
        bought["cut"] = {
            "target": _milliseconds(cut.target),
            "longest": _milliseconds(cut.longest),
            "cues": cut.cues,
            "channels": list(cut.channels) if cut.channels is not None else None,
        }
    canonical = json.dumps(bought, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
