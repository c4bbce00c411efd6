"""Makes a recording fit for its engine: has it listened to, or re-encoded into the spool, in a child process."""

import hashlib
import os
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from asrwatch.audio.orders import Codec, Encode, Encoded, Piece, Survey, Surveyed, samples, span
from asrwatch.audio.studio import DEMUXERS, EVERY_DEMUXER, Studio, has_codecs
from asrwatch.crash import crash_point
from asrwatch.errors import RecordingError, SourceChanged
from asrwatch.files.folders import open_folder
from asrwatch.files.oserrors import trouble
from asrwatch.journey.recording import AudioFacts, Prepared

__all__ = ["Preparer"]

LONGEST = timedelta(hours=24)
"""Decoding stops there: no engine takes half of it (contract section 4.1), and a header may promise anything."""
CODECS = (Codec.FLAC, Codec.OPUS)
"""Tried in this order: nothing is lost in the first; the second is small enough for every limit there is."""
_COPY_AT_ONCE = 1 << 20


class Preparer:
    """Prepares recordings for one state folder; any number of threads may use it.

    Args:
        studio: where decoding happens.
        spool: the folder for prepared files; made when it is first needed.
    """

    def __init__(self, studio: Studio, spool: Path) -> None:
        self._studio = studio
        self._spool = os.fsencode(spool)

    @property
    def can_encode(self) -> bool:
        """Whether recordings can be decoded here at all (PyAV is installed)."""
        return has_codecs()

    def listen(self, recording: BinaryIO, facts: AudioFacts) -> AudioFacts:
        """Facts that the headers did not tell, from decoding all of it.

        Raises:
            RecordingError: it cannot be decoded, or is longer than anything that can be transcribed.
            TemporaryError: the child process died.
        """
        order = Survey(demuxers=_demuxers(facts), longest=samples(LONGEST))
        heard = self._studio.survey(recording, order)
        if heard.ended_early:
            raise RecordingError(
                f"It goes on for more than {LONGEST.total_seconds() / 3600:g} hours.",
                code="too-long",
                advice="Nothing was sent or paid. Split it.",
            )
        return _listened(facts, heard)

    def is_silent(self, recording: BinaryIO, facts: AudioFacts) -> bool:
        """Whether nobody could hear anything in it, from its start to its end.

        Raises:
            RecordingError: it cannot be decoded.
            TemporaryError: the child process died.
        """
        order = Survey(demuxers=_demuxers(facts), longest=samples(LONGEST), until_sound=True)
        return self._studio.survey(recording, order).silent

    def re_encode(
        self,
        recording: BinaryIO,
        facts: AudioFacts,
        *,
        name: str,
        channels: tuple[int, ...] | None,
        largest: int,
    ) -> Prepared:
        """Put a copy that an engine takes into the spool, complete and durable.

        Args:
            recording: open.
            facts: what is known of it.
            name: of the file, without its ending; unique.
            channels: that are kept apart, counted from 0; None mixes all of them into one.
            largest: bytes it may have.

        Raises:
            RecordingError: it cannot be decoded, lacks a channel, or does not fit in any form.
            TemporaryError: no room, or the child process died.
        """
        for codec in CODECS:
            prepared = self._encoded(recording, facts, f"{name}.{codec.extension}", codec, channels)
            if prepared.size <= largest:
                crash_point("prepared")
                return prepared
            self.discard(prepared)
        raise RecordingError(
            f"Re-encoded as {CODECS[-1]} it still has more than the {largest:,} bytes that its engine takes.",
            code="fits-nowhere",
            advice="Nothing was sent or paid. Split it.",
        )

    def open(self, prepared: Prepared) -> BinaryIO:
        """A prepared file, open at its start.

        Raises:
            SourceChanged: it is not there any more, or not what was prepared; it is prepared afresh.
        """
        path = self._path(prepared)
        try:
            stream = open(path, "rb")  # noqa: SIM115 - the caller's to close
        except OSError as error:
            raise _lost() from error
        if os.fstat(stream.fileno()).st_size != prepared.size:
            stream.close()
            raise _lost()
        return stream

    def discard(self, prepared: Prepared | None) -> None:
        """Nobody needs it any more; one that is gone already is no trouble."""
        if prepared is not None:
            with suppress(OSError):
                os.unlink(self._path(prepared))  # noqa: PTH108 - bytes, as everywhere below the state folder

    def sweep(self, needed: frozenset[str]) -> int:
        """Remove what no recording needs, as after a crash; how many files that were.

        Args:
            needed: names of prepared files that recordings still rest on.
        """
        swept = 0
        with suppress(OSError), os.scandir(self._spool) as entries:
            for entry in entries:
                if os.fsdecode(entry.name) not in needed:
                    with suppress(OSError):
                        os.unlink(entry.path)  # noqa: PTH108 - same
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
        path = os.path.join(self._spool, os.fsencode(name))  # noqa: PTH118 - bytes
        with open_folder(self._spool, b""):  # makes it, durably, where it is missing
            try:
                with open(path, "xb+") as out:
                    encoded = self._studio.encode(
                        recording, _order(facts, codec, channels, out.fileno())
                    )
                    os.fsync(out.fileno())
                    digest = _digest(out)
                _sync_folder(self._spool)
            except OSError as error:
                with suppress(OSError):
                    os.unlink(path)  # noqa: PTH108 - same
                raise trouble(error, "prepare a copy as", path) from error
            except BaseException:
                with suppress(OSError):
                    os.unlink(path)  # noqa: PTH108 - same
                raise
        return _prepared(name, codec, encoded, digest)

    def _path(self, prepared: Prepared) -> bytes:
        return os.path.join(self._spool, os.fsencode(prepared.name))  # noqa: PTH118 - bytes


def _order(
    facts: AudioFacts, codec: Codec, channels: tuple[int, ...] | None, descriptor: int
) -> Encode:
    return Encode(
        demuxers=_demuxers(facts),
        longest=samples(LONGEST),
        codec=codec,
        pieces=(Piece(descriptor=descriptor),),
        channels=channels,
    )


def _prepared(name: str, codec: Codec, encoded: Encoded, digest: str) -> Prepared:
    return Prepared(
        name=name,
        container=codec.container,
        size=encoded.sizes[0],
        sha256=digest,
        duration=span(encoded.samples[0]),
        channels=encoded.channels,
    )


def _demuxers(facts: AudioFacts) -> tuple[str, ...]:
    return DEMUXERS.get(facts.container or "", EVERY_DEMUXER)


def _listened(facts: AudioFacts, heard: Surveyed) -> AudioFacts:
    """What was heard counts where the headers told nothing."""
    return replace(
        facts,
        codec=facts.codec or heard.codec,
        duration=facts.duration or span(heard.samples) or None,
        sample_rate=facts.sample_rate or heard.sample_rate,
        channels=facts.channels or heard.channels,
        silent=heard.silent,
    )


def _digest(stream: BinaryIO) -> str:
    stream.seek(0)
    digest = hashlib.sha256()
    while piece := stream.read(_COPY_AT_ONCE):
        digest.update(piece)
    return digest.hexdigest()


def _sync_folder(folder: bytes) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lost() -> SourceChanged:
    return SourceChanged(
        "The copy that was prepared for its engine is not there any more.",
        code="not-prepared",
        advice="It is prepared afresh by itself.",
    )
