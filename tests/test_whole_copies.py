"""A copy that is uploaded in the place of a recording lacks nothing of it."""

from pathlib import Path
from typing import BinaryIO

import media_helpers as media
import pytest

from asrwatch.audio.facts import probe
from asrwatch.audio.orders import Codec
from asrwatch.audio.studio import Studio
from asrwatch.errors import RecordingError
from asrwatch.journey.preparing import Preparer
from asrwatch.journey.recording import Prepared


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
