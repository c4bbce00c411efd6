"""Makes a recording fit for its engine: has it listened to, or re-encoded into the spool, in a child process."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from asrwatch.audio import cutting
from asrwatch.audio.cutting import Stretch
from asrwatch.audio.orders import Codec, Encode, Encoded, Survey, Surveyed, samples, span
from asrwatch.audio.orders import Piece as Written
from asrwatch.audio.studio import DEMUXERS, EVERY_DEMUXER, Studio
from asrwatch.crash import crash_point
from asrwatch.errors import RecordingError, SourceChanged
from asrwatch.files.folders import open_folder
from asrwatch.files.oserrors import trouble
from asrwatch.journey.growing import Growing
from asrwatch.journey.lacking import (
    check_every_sample,
    check_whole,
    damaged,
    falls_short,
    missing,
)
from asrwatch.journey.plan import AudioFacts, Cut, Piece, Prepared
from asrwatch.journey.speeds import Speedometer
from asrwatch.values import format_duration

__all__ = ["CODECS", "CutOrder", "Preparer"]

LONGEST = timedelta(hours=24)
"""Decoding stops there: no engine takes half of it (contract section 4.1), and a header may promise anything."""
CODECS = (Codec.FLAC, Codec.OPUS)
"""Tried in this order: nothing is lost in the first; the second is small enough for every limit there is."""
MOST_TRACKS = 16
"""That are looked through for one with a sound; with more of them, nobody has listened to all."""
_COPY_AT_ONCE = 1 << 20
_AT_ONCE = 64
"""Pieces that one pass over the recording writes: each has a file open meanwhile."""
_LONGEST_CUT = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class CutOrder:
    """How a recording is to be cut.

    Args:
        how: the rules; with channels of its own, each of them has pieces of its own.
        name: of the cut; unique. Its copies' names begin with it.
        channels: that each copy keeps apart, where the rules name none; None mixes them.
        largest: bytes that a copy may have.
        places: where it was cut before, so that the same pieces come of it; empty: it is listened to.
    """

    how: Cut
    name: str
    channels: tuple[int, ...] | None
    largest: int
    places: tuple[Stretch, ...] = ()

    def pieces_at(self, places: Sequence[Stretch]) -> tuple[Piece, ...]:
        """The pieces, without their copies."""
        return tuple(
            Piece(
                number=number,
                of=len(places),
                begin=timedelta(milliseconds=place.begin),
                end=timedelta(milliseconds=place.end),
                overlap=timedelta(milliseconds=place.overlap),
                channel=place.channel,
            )
            for number, place in enumerate(places, start=1)
        )


@dataclass(frozen=True)
class _Job:
    """Pieces that one pass over a recording writes, all of one channel."""

    recording: BinaryIO
    facts: AudioFacts
    order: CutOrder
    pieces: tuple[Piece, ...]

    @property
    def channels(self) -> tuple[int, ...] | None:
        """What their copies keep apart."""
        one = self.pieces[0].channel
        return self.order.channels if one is None else (one,)

    def of(self, pieces: tuple[Piece, ...]) -> "_Job":
        """The same for other pieces."""
        return replace(self, pieces=pieces)


@dataclass(frozen=True)
class _Copy:
    """A copy of all of a recording, and whether one that lacks anything will do."""

    name: str
    codec: Codec
    channels: tuple[int, ...] | None
    _: KW_ONLY
    every_sample: bool


class Preparer:
    """Prepares recordings for one state folder; any number of threads may use it.

    Args:
        studio: where decoding happens.
        spool: the folder for prepared files; made when it is first needed.
        meter: told how quick it was.
    """

    def __init__(self, studio: Studio, spool: Path, meter: Speedometer | None = None) -> None:
        self._studio = studio
        self._spool = spool
        self.meter = meter or Speedometer()

    @property
    def can_encode(self) -> bool:
        """Whether recordings can be decoded here at all (PyAV is installed)."""
        return self._studio.has_codecs

    def listen(
        self, recording: BinaryIO, facts: AudioFacts, *, track: int | None = None
    ) -> AudioFacts:
        """Facts that the headers did not tell, from decoding all of it.

        Of several tracks it is `track`, else the one that is marked as the default, or else the first, unless that is
        silent throughout and another is not.

        Raises:
            RecordingError: it cannot be decoded, or is longer than anything that can be transcribed.
            TemporaryError: the child process died.
        """
        order = Survey(demuxers=_demuxers(facts), longest=samples(LONGEST), track=track)
        with _naming(facts):
            heard = self._heard(recording, order)
        if heard.ended_early:
            raise RecordingError(
                f"It goes on for more than {LONGEST.total_seconds() / 3600:g} hours.",
                code="too-long",
                advice="Nothing was sent or paid. Split it.",
            )
        return _listened(facts, heard)

    def until_sound(self, recording: BinaryIO, facts: AudioFacts) -> AudioFacts:
        """Whether nobody could hear anything in it, and which of its tracks is meant, from decoding up to a sound.

        What is damaged or shorter than its headers say is never silent: nobody listened to all of it. Where another
        track is meant than the first, of which headers tell, it is decoded whole, as in `listen`.

        Raises:
            RecordingError: it cannot be decoded.
            TemporaryError: the child process died.
        """
        order = Survey(demuxers=_demuxers(facts), longest=samples(LONGEST), until_sound=True)
        with _naming(facts):
            heard = self._heard(recording, order)
        if heard.track:
            return self.listen(recording, facts, track=heard.track)
        whole = not falls_short(heard.samples, facts.duration)
        return replace(
            facts, silent=heard.silent and whole, tracks=heard.tracks, pictures=heard.pictures
        )

    def _heard(self, recording: BinaryIO, order: Survey) -> Surveyed:
        """The track that is meant; of tracks that are all silent the first choice, which is silent only then."""
        first = self._studio.survey(recording, order)
        if not first.silent or order.track is not None:
            return first
        all_heard = first.tracks <= MOST_TRACKS
        for track in range(min(first.tracks, MOST_TRACKS)):
            if track == first.track:
                continue
            try:
                other = self._studio.survey(recording, replace(order, track=track))
            except RecordingError:  # this one cannot be decoded
                all_heard = False
                continue
            if not other.silent:
                return other
        return replace(first, silent=all_heard)

    def re_encode(
        self,
        recording: BinaryIO,
        facts: AudioFacts,
        *,
        name: str,
        channels: tuple[int, ...] | None,
        largest: int,
        codecs: Sequence[Codec] = CODECS,
        every_sample: bool = False,
    ) -> Prepared:
        """Put a copy that an engine takes into the spool, complete and durable.

        Args:
            recording: open.
            facts: what is known of it.
            name: of the file, without its ending; unique.
            channels: that are kept apart, counted from 0; None mixes all of them into one.
            largest: bytes it may have.
            codecs: to be tried, in this order.
            every_sample: a copy that lacks anything is refused, where headers count exactly what there is.

        Raises:
            RecordingError: it cannot be decoded, lacks a channel, or does not fit in any form.
            TemporaryError: no room, or the child process died.
        """
        for codec in codecs:
            order = _Copy(f"{name}.{codec.extension}", codec, channels, every_sample=every_sample)
            prepared = self._encoded(recording, facts, order)
            if prepared.size <= largest:
                crash_point("prepared")
                return prepared
            self.discard(prepared)
        raise RecordingError(
            f"Re-encoded as {codecs[-1]} it still has more than the {largest:,} bytes that its engine takes.",
            code="fits-nowhere",
            advice="Nothing was sent or paid. Split it.",
        )

    def cut(
        self, recording: BinaryIO, facts: AudioFacts, order: CutOrder
    ) -> tuple[tuple[Piece, ...], timedelta]:
        """Put a copy of every piece into the spool, complete and durable; also how much the recording lacks.

        Args:
            recording: open.
            facts: what is known of it.
            order: how, and what the copies are to be like.

        Raises:
            RecordingError: it cannot be decoded, or a piece does not fit in any form.
            TemporaryError: no room, or the child process died.
        """
        longest = samples(min(max(LONGEST, (facts.duration or LONGEST) * 1.1), _LONGEST_CUT))
        places, lacks = order.places, timedelta(0)
        if not places:
            survey = Survey(
                demuxers=_demuxers(facts),
                longest=longest,
                track=_track(facts),
                by_channel=order.how.channels is not None,
            )
            with _naming(facts):
                heard = self._studio.survey(recording, survey)
            check_whole(facts, heard, heard.samples)
            lacks = missing(facts, heard.samples, heard.filled)
            places = (
                cutting.cut(heard.samples, heard.pauses, order.how)
                if order.how.channels is None
                else cutting.cut_apart(heard.samples, heard.channel_pauses, order.how)
            )
        pieces = order.pieces_at(places)
        made: dict[int, Prepared] = {}
        with ExitStack() as on_trouble:
            on_trouble.callback(self._discard_all, order.name)
            for channel in order.how.channels or (None,):
                waiting = [piece for piece in pieces if piece.channel == channel]
                for first in range(0, len(waiting), _AT_ONCE):
                    job = _Job(recording, facts, order, tuple(waiting[first : first + _AT_ONCE]))
                    made |= self._copies(job, longest)
            on_trouble.pop_all()
        crash_point("cut")
        return tuple(replace(piece, copy=made[piece.number]) for piece in pieces), lacks

    def _copies(self, job: "_Job", longest: int) -> dict[int, Prepared]:
        """By number, a copy of each; those that are too large in one form are written in the next."""
        made: dict[int, Prepared] = {}
        left, largest = job, job.order.largest
        for codec in CODECS:
            for piece, copy in zip(left.pieces, self._written(left, codec, longest), strict=True):
                if falls_short(samples(copy.duration), piece.end - piece.begin):
                    raise damaged(piece.begin + copy.duration, job.facts)
                if copy.size <= largest:
                    made[piece.number] = copy
                else:
                    self.discard(copy)
            left = left.of(tuple(piece for piece in left.pieces if piece.number not in made))
            if not left.pieces:
                return made
        length = format_duration(left.pieces[0].end - left.pieces[0].begin)
        raise RecordingError(
            f"Re-encoded as {CODECS[-1]} a piece of {length} still has more than the {largest:,} bytes that its "
            "engine takes.",
            code="fits-nowhere",
            advice="Nothing was sent or paid. Have it cut shorter (`cut: {target: ...}` of its inbox).",
        )

    def _written(self, job: "_Job", codec: Codec, longest: int) -> tuple[Prepared, ...]:
        """All pieces of a job in one pass over the recording."""
        names = [f"{job.order.name}-{piece.number}.{codec.extension}" for piece in job.pieces]
        try:
            with open_folder(os.fsencode(self._spool)) as folder, ExitStack() as files:
                outs = [files.enter_context(self._path(name).open("xb+")) for name in names]
                order = Encode(
                    demuxers=_demuxers(job.facts),
                    longest=longest,
                    codec=codec,
                    pieces=tuple(
                        Written(
                            descriptor=out.fileno(),
                            start=samples(piece.begin),
                            end=samples(piece.end),
                        )
                        for piece, out in zip(job.pieces, outs, strict=True)
                    ),
                    channels=job.channels,
                    track=_track(job.facts),
                )
                encoded = self._studio.encode(job.recording, order)
                digests = []
                for out in outs:
                    os.fsync(out.fileno())
                    digests.append(_digest(out))
                os.fsync(folder.descriptor)
        except OSError as error:
            raise trouble(error, "prepare pieces in", os.fsencode(self._spool)) from error
        return tuple(
            _prepared(name, codec, encoded, digest, number)
            for number, (name, digest) in enumerate(zip(names, digests, strict=True))
        )

    def _discard_all(self, name: str) -> None:
        """What a cut that failed has written so far."""
        with suppress(OSError):
            for path in self._spool.glob(f"{name}-*"):
                path.unlink(missing_ok=True)

    def growing(
        self,
        recording: BinaryIO,
        facts: AudioFacts,
        *,
        channels: tuple[int, ...] | None,
        codec: Codec,
    ) -> Growing:
        """A copy that can be read while it is being made; arguments and faults are those of `re_encode`.

        One that lacks anything ends in a fault, as with `every_sample`.

        Raises:
            TemporaryError: nothing could be started.
        """

        def encode(into: int) -> Encoded:
            with _naming(facts):
                encoded = self._studio.encode(recording, _order(facts, codec, channels, into))
            check_whole(facts, encoded, encoded.samples[0])
            check_every_sample(facts, encoded, encoded.samples[0])
            return encoded

        return Growing(encode)

    def grown(self, growing: Growing, facts: AudioFacts, name: str, codec: Codec) -> Prepared:
        """What it was, once it has been read to its end. It never lay in the spool."""
        assert growing.encoded is not None  # noqa: S101 - it came to its end
        encoded = replace(growing.encoded, sizes=(growing.size,))
        return _prepared(name, codec, encoded, growing.digest, facts=facts)

    def open(self, prepared: Prepared) -> BinaryIO:
        """A prepared file, open at its start.

        Raises:
            SourceChanged: it is not there any more, or not what was prepared; it is prepared afresh.
        """
        with ExitStack() as on_trouble:
            try:
                stream = on_trouble.enter_context(self._path(prepared.name).open("rb"))
                digest = _digest(stream)
                stream.seek(0)
            except OSError as error:
                raise _lost() from error
            if digest != prepared.sha256:
                raise _lost()
            on_trouble.pop_all()
        return stream

    def discard(self, prepared: Prepared | None) -> None:
        """Nobody needs it any more; one that is gone already is no trouble."""
        if prepared is not None:
            with suppress(OSError):
                self._path(prepared.name).unlink()

    def sweep(self, needed: frozenset[str], *, unchanged_for: timedelta = timedelta(0)) -> int:
        """Remove what no recording needs, as after a crash; how many files that were.

        Args:
            needed: names of prepared files that recordings still rest on.
            unchanged_for: younger ones may be in the making, or not be written down yet.
        """
        latest = time.time() - unchanged_for.total_seconds()
        swept = 0
        with suppress(OSError):
            for path in self._spool.iterdir():
                if path.name not in needed and path.stat().st_mtime <= latest:
                    path.unlink()
                    swept += 1
        return swept

    def _encoded(self, recording: BinaryIO, facts: AudioFacts, copy: "_Copy") -> Prepared:
        path = self._path(copy.name)
        try:
            with open_folder(os.fsencode(self._spool)) as folder, ExitStack() as on_trouble:
                out = on_trouble.enter_context(path.open("xb+"))
                on_trouble.callback(path.unlink, missing_ok=True)
                begun = time.monotonic()
                with _naming(facts):
                    encoded = self._studio.encode(
                        recording, _order(facts, copy.codec, copy.channels, out.fileno())
                    )
                check_whole(facts, encoded, encoded.samples[0])
                if copy.every_sample:
                    check_every_sample(facts, encoded, encoded.samples[0])
                os.fsync(out.fileno())
                digest = _digest(out)
                os.fsync(folder.descriptor)
                took = timedelta(seconds=time.monotonic() - begun)
                self.meter.encoded(copy.codec, span(encoded.samples[0]), took=took)
                on_trouble.pop_all()
                out.close()
        except OSError as error:
            raise trouble(error, "prepare a copy as", os.fsencode(path)) from error
        return _prepared(copy.name, copy.codec, encoded, digest, facts=facts)

    def _path(self, name: str) -> Path:
        return self._spool / name


@contextmanager
def _naming(facts: AudioFacts) -> Iterator[None]:
    """Whoever is told that a codec is unknown is told which one, as far as the headers say."""
    try:
        yield
    except RecordingError as error:
        if error.code != "unknown-codec" or facts.codec is None:
            raise
        message = f"Its sound is {facts.codec}, which nothing here can decode."
        raise RecordingError(message, code=error.code, advice=error.advice) from error


def _order(
    facts: AudioFacts, codec: Codec, channels: tuple[int, ...] | None, descriptor: int
) -> Encode:
    return Encode(
        demuxers=_demuxers(facts),
        longest=samples(LONGEST),
        codec=codec,
        pieces=(Written(descriptor=descriptor),),
        channels=channels,
        track=_track(facts),
    )


def _track(facts: AudioFacts) -> int | None:
    """The stream of sound that was chosen, if there was a choice."""
    return facts.track if facts.tracks is not None else None


def _prepared(
    name: str,
    codec: Codec,
    encoded: Encoded,
    digest: str,
    number: int = 0,
    *,
    facts: AudioFacts | None = None,
) -> Prepared:
    """What was written; with the `facts` of the whole recording also what it lacks of that."""
    count = encoded.samples[number]
    return Prepared(
        name=name,
        container=codec.container,
        size=encoded.sizes[number],
        sha256=digest,
        duration=span(count),
        channels=encoded.channels,
        tracks=encoded.tracks,
        missing=missing(facts, count, encoded.filled) if facts else timedelta(0),
    )


def _demuxers(facts: AudioFacts) -> tuple[str, ...]:
    return DEMUXERS.get(facts.container or "", EVERY_DEMUXER)


def _listened(facts: AudioFacts, heard: Surveyed) -> AudioFacts:
    """What was heard counts where the headers told nothing, or of another track; of channels it always does."""
    told = facts if not heard.track else AudioFacts(container=facts.container)
    whole = not heard.broken and not falls_short(heard.samples, told.duration)
    return replace(
        told,
        codec=told.codec or heard.codec,
        duration=told.duration or span(heard.samples) or None,
        sample_rate=told.sample_rate or heard.sample_rate,
        channels=heard.channels,
        silent=heard.silent and whole,
        same_channels=heard.same_channels if whole else None,
        silent_channels=heard.silent_channels if whole else (),
        tracks=heard.tracks,
        track=heard.track,
        decoded=told.duration is None,
        pictures=heard.pictures,
    )


def _digest(stream: BinaryIO) -> str:
    stream.seek(0)
    digest = hashlib.sha256()
    while piece := stream.read(_COPY_AT_ONCE):
        digest.update(piece)
    return digest.hexdigest()


def _lost() -> SourceChanged:
    return SourceChanged(
        "The copy that was prepared for its engine is not there any more.",
        code="not-prepared",
        advice="It is prepared afresh by itself.",
    )
