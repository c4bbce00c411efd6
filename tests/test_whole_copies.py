"""A copy that is uploaded in the place of a recording lacks nothing of it."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import media_helpers as media
import pytest
from fake_engine import FakeOptions, fake_cloud
from test_daemon import Scripted, World

from asrwatch.audio.cutting import near
from asrwatch.audio.facts import probe
from asrwatch.audio.orders import Codec
from asrwatch.audio.studio import Studio
from asrwatch.errors import RecordingError, SourceChanged
from asrwatch.files import fingerprint_of, hash_whole
from asrwatch.journey.evidence import Reading
from asrwatch.journey.journey import advance
from asrwatch.journey.plan import AudioFacts, Piece, Plan, Preparation, Prepared
from asrwatch.journey.preparing import CutOrder, Preparer
from asrwatch.journey.recording import Recording
from asrwatch.journey.store import Store


def _copied(tmp_path: Path, stream: BinaryIO, *, every_sample: bool) -> Prepared:
    return Preparer(Studio(), tmp_path / "spool").re_encode(
        stream,
        probe(stream, b"talk"),
        name=str(every_sample),
        channels=None,
        largest=1 << 30,
        codecs=(Codec.FLAC,),
        every_sample=every_sample,
    )


def _growing(tmp_path: Path, stream: BinaryIO) -> int:
    preparer = Preparer(Studio(), tmp_path / "spool")
    facts = probe(stream, b"talk")
    with preparer.growing(stream, facts, channels=None, codec=Codec.FLAC) as growing:
        return len(growing.read())


def test_a_scratched_recording_has_no_smaller_copy(tmp_path: Path) -> None:
    """Of a FLAC with a scratch a second is lost, which may be re-encoded where it must, and is no copy to upload."""
    path = media.write(tmp_path / "talk.flac", media.noise(20), codec="flac")
    content = bytearray(path.read_bytes())
    for begin in range(len(content) // 3, len(content) // 3 + 30_000, 3_000):
        content[begin : begin + 50] = bytes(50)
    path.write_bytes(content)
    with path.open("rb") as stream:
        assert 18 < _copied(tmp_path, stream, every_sample=False).duration.total_seconds() < 19.9
        with pytest.raises(RecordingError, match="can be decoded"):
            _copied(tmp_path, stream, every_sample=True)
        with pytest.raises(RecordingError, match="can be decoded"):
            _growing(tmp_path, stream)


@pytest.mark.parametrize("rate", [48_000, 44_100, 11_025])
def test_a_sound_recording_has_one(tmp_path: Path, rate: int) -> None:
    """Resampling loses nothing that would count, whatever the rate."""
    sound = media.noise(3.337, rate=rate)
    path = media.write(tmp_path / "talk.wav", sound, codec="pcm_s16le", rate=rate)
    with path.open("rb") as stream:
        copy = _copied(tmp_path, stream, every_sample=True)
        assert copy.duration.total_seconds() == pytest.approx(3.337, abs=0.01)
        assert _growing(tmp_path, stream) == pytest.approx(copy.size, rel=0.1)


class _Meanwhile(Preparer):
    """A recorder writes on while its recording is re-encoded, or cut."""

    file: Path

    def re_encode(self, recording: BinaryIO, facts: AudioFacts, **how: Any) -> Prepared:
        """As ever."""
        made = super().re_encode(recording, facts, **how)
        self._write_on()
        return made

    def cut(
        self, recording: BinaryIO, facts: AudioFacts, order: CutOrder
    ) -> tuple[tuple[Piece, ...], timedelta]:
        """As ever."""
        made = super().cut(recording, facts, order)
        self._write_on()
        return made

    def _write_on(self) -> None:
        with self.file.open("ab") as more:
            more.write(b"more")


@pytest.mark.parametrize("preparation", [Preparation.RE_ENCODE, Preparation.CUT])
def test_copies_of_a_file_that_changed_do_not_pile_up(
    tmp_path: Path, store: Store, now: datetime, preparation: Preparation
) -> None:
    """A recording that is written to while it is prepared leaves nothing in the spool, however often that happens."""
    spool = tmp_path / "spool"
    path = media.write(tmp_path / "talk.wav", media.tone(3), codec="pcm_s16le")
    preparer = _Meanwhile(Studio(), spool)
    preparer.file = path
    made = World(root=tmp_path, engine=Scripted(FakeOptions(), fake_cloud()))
    route = replace(made.house(store).routes["inbox"], preparer=preparer, care=None)
    (engine,) = route.engines
    cut = near(timedelta(seconds=1), timedelta(seconds=2))
    plan = Plan(engine=engine, model="", preparation=preparation, cut=cut)
    with path.open("rb") as stream:
        facts, sha256 = probe(stream, b"talk"), hash_whole(stream)
    found = Recording.found(
        inbox="inbox", path=bytes(path), fingerprint=fingerprint_of(path.stat()), now=now
    )
    read = found.read(Reading(sha256=sha256, facts=facts, plan=plan), now=now)
    with pytest.raises(SourceChanged):
        advance(read, route, clock=lambda: now)
    assert list(spool.iterdir()) == []
