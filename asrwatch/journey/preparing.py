"""Makes a recording fit for its engine: has it listened to, or re-encoded into the spool, in a child process."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from asrwatch.audio.orders import Codec, Encode, Encoded, Piece, Survey, Surveyed, samples, span
from asrwatch.audio.studio import DEMUXERS, EVERY_DEMUXER, Studio
from asrwatch.crash import crash_point
from asrwatch.errors import RecordingError, SourceChanged
from asrwatch.files.folders import open_folder
from asrwatch.files.oserrors import trouble
from asrwatch.journey.recording import AudioFacts, Prepared
from asrwatch.journey.speeds import Speedometer
from asrwatch.values import format_duration

__all__ = ["CODECS", "Preparer", "falls_short"]

LONGEST = timedelta(hours=24)
"""Decoding stops there: no engine takes half of it (contract section 4.1), and a header may promise anything."""
CODECS = (Codec.FLAC, Codec.OPUS)
"""Tried in this order: nothing is lost in the first; the second is small enough for every limit there is."""
MOST_TRACKS = 32
"""That are looked through for one with a sound."""
_COPY_AT_ONCE = 1 << 20


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
        return replace(facts, silent=heard.silent and whole, tracks=heard.tracks)

    def _heard(self, recording: BinaryIO, order: Survey) -> Surveyed:
        """The track that is meant; of tracks that are all silent the first choice."""
        first = self._studio.survey(recording, order)
        if not first.silent or order.track is not None:
            return first
        for track in range(min(first.tracks, MOST_TRACKS)):
            if track != first.track:
                other = self._studio.survey(recording, replace(order, track=track))
                if not other.silent:
                    return other
        return first

    def re_encode(
        self,
        recording: BinaryIO,
        facts: AudioFacts,
        *,
        name: str,
        channels: tuple[int, ...] | None,
        largest: int,
        codecs: Sequence[Codec] = CODECS,
    ) -> Prepared:
        """Put a copy that an engine takes into the spool, complete and durable.

        Args:
            recording: open.
            facts: what is known of it.
            name: of the file, without its ending; unique.
            channels: that are kept apart, counted from 0; None mixes all of them into one.
            largest: bytes it may have.
            codecs: to be tried, in this order.

        Raises:
            RecordingError: it cannot be decoded, lacks a channel, or does not fit in any form.
            TemporaryError: no room, or the child process died.
        """
        for codec in codecs:
            prepared = self._encoded(recording, facts, f"{name}.{codec.extension}", codec, channels)
            if falls_short(samples(prepared.duration), facts.duration):
                self.discard(prepared)
                raise _damaged(prepared, facts)
            if prepared.size <= largest:
                crash_point("prepared")
                return prepared
            self.discard(prepared)
        raise RecordingError(
            f"Re-encoded as {codecs[-1]} it still has more than the {largest:,} bytes that its engine takes.",
            code="fits-nowhere",
            advice="Nothing was sent or paid. Split it.",
        )

    def open(self, prepared: Prepared) -> BinaryIO:
        """A prepared file, open at its start.

        Raises:
            SourceChanged: it is not there any more, or not what was prepared; it is prepared afresh.
        """
        try:
            stream = self._path(prepared.name).open("rb")
        except OSError as error:
            raise _lost() from error
        if _digest(stream) != prepared.sha256:
            stream.close()
            raise _lost()
        stream.seek(0)
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

    def _encoded(
        self,
        recording: BinaryIO,
        facts: AudioFacts,
        name: str,
        codec: Codec,
        channels: tuple[int, ...] | None,
    ) -> Prepared:
        path = self._path(name)
        try:
            with open_folder(os.fsencode(self._spool)) as folder, ExitStack() as on_trouble:
                out = on_trouble.enter_context(path.open("xb+"))
                on_trouble.callback(path.unlink, missing_ok=True)
                begun = time.monotonic()
                with _naming(facts):
                    encoded = self._studio.encode(
                        recording, _order(facts, codec, channels, out.fileno())
                    )
                os.fsync(out.fileno())
                digest = _digest(out)
                os.fsync(folder.descriptor)
                took = timedelta(seconds=time.monotonic() - begun)
                self.meter.encoded(codec, span(encoded.samples[0]), took=took)
                on_trouble.pop_all()
                out.close()
        except OSError as error:
            raise trouble(error, "prepare a copy as", os.fsencode(path)) from error
        return _prepared(name, codec, encoded, digest)

    def _path(self, name: str) -> Path:
        return self._spool / name


def falls_short(count: int, promised: timedelta | None) -> bool:
    """Whether `count` samples are clearly fewer than the headers promise: two seconds or a hundredth are let pass."""
    if promised is None:
        return False
    return span(count) < promised - max(timedelta(seconds=2), promised / 100)


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


def _damaged(prepared: Prepared, facts: AudioFacts) -> RecordingError:
    promised = format_duration(facts.duration) if facts.duration is not None else "?"
    return RecordingError(
        f"Only {format_duration(prepared.duration)} of its {promised} can be decoded.",
        code="cut-off",
        advice="Nothing was sent or paid. Copy it once more, or repair it.",
    )


def _order(
    facts: AudioFacts, codec: Codec, channels: tuple[int, ...] | None, descriptor: int
) -> Encode:
    return Encode(
        demuxers=_demuxers(facts),
        longest=samples(LONGEST),
        codec=codec,
        pieces=(Piece(descriptor=descriptor),),
        channels=channels,
        track=facts.track if facts.tracks is not None else None,
    )


def _prepared(name: str, codec: Codec, encoded: Encoded, digest: str) -> Prepared:
    return Prepared(
        name=name,
        container=codec.container,
        size=encoded.sizes[0],
        sha256=digest,
        duration=span(encoded.samples[0]),
        channels=encoded.channels,
        tracks=encoded.tracks,
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
