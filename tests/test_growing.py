"""Where a storage takes a stream of unknown length, a copy is uploaded while it is being encoded."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import media_helpers as media
import numpy as np
import pytest
from fake_engine import FakeOptions, fake_cloud
from test_daemon import Scripted as Quiet
from test_daemon import World
from test_preparing import damage

from asrwatch.audio.diet import Diet
from asrwatch.audio.facts import probe
from asrwatch.audio.studio import Studio
from asrwatch.errors import RecordingError, SourceChanged, TemporaryError
from asrwatch.files import fingerprint_of, hash_whole
from asrwatch.journey.dispatch import Question
from asrwatch.journey.evidence import Reading
from asrwatch.journey.growing import Growing
from asrwatch.journey.journey import advance
from asrwatch.journey.plan import Preparation, Wishes
from asrwatch.journey.planning import plan_for
from asrwatch.journey.preparing import Preparer
from asrwatch.journey.recording import Recording
from asrwatch.journey.route import Route
from asrwatch.journey.speeds import Speedometer
from asrwatch.journey.store import Store
from asrwatch.storages import Published, Source, Storage, StorageOptions


class Streaming(Storage[StorageOptions]):
    """Takes whatever comes, into a list."""

    Options = StorageOptions
    streams = True

    def __init__(self) -> None:
        super().__init__(StorageOptions(), fake_cloud())
        self.whole: list[bytes] = []
        self.streamed: list[bytes] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.trouble: TemporaryError | None = None

    def publish(self, source: Source, *, ask_id: str, model: str) -> Published:
        """All of it, at once."""
        self.whole.append(source.stream.read())
        return Published(url=f"https://there/{ask_id}/{model}", expires=None)

    def publish_stream(
        self, stream: BinaryIO, *, extension: str, mime: str, ask_id: str, model: str
    ) -> Published:
        """Piece by piece; what broke off is not kept."""
        pieces = [stream.read(1000)]
        if self.trouble is not None:
            raise self.trouble
        self.meanwhile()
        while piece := stream.read(50_000):
            pieces.append(piece)
        self.streamed.append(b"".join(pieces))
        return Published(url=f"https://there/{ask_id}.{extension}?{mime}&{model}", expires=None)


class ByUrl(Quiet):
    """An engine that takes URLs."""

    takes_bytes = False
    containers = frozenset({"wav", "flac"})


@dataclass
class Uploading:
    """A recording that is to be uploaded on a diet, over a slow link."""

    root: Path
    route: Route
    storage: Streaming
    now: datetime
    stored: list[Recording] = field(default_factory=list)

    def read(self, file: Path) -> Recording:
        """What is true once it was read and planned."""
        with file.open("rb") as stream:
            facts = probe(stream, bytes(file))
        question = Question(
            facts=facts, size=file.stat().st_size, wishes=Wishes(), region="beijing"
        )
        plan = plan_for(question, self.route)
        assert plan.preparation is Preparation.DIET
        found = Recording.found(
            inbox="inbox", path=bytes(file), fingerprint=fingerprint_of(file.lstat()), now=self.now
        )
        with file.open("rb") as stream:
            sha256 = hash_whole(stream)
        return found.read(Reading(sha256=sha256, facts=facts, plan=plan), now=self.now)

    def stage(self, file: Path) -> Recording:
        """Upload it."""
        return advance(self.read(file), self.route, clock=lambda: self.now)


@pytest.fixture
def uploading(tmp_path: Path, store: Store, now: datetime) -> Uploading:
    """An inbox whose storage takes streams."""
    meter = Speedometer()
    meter.uploaded(1_000_000, took=timedelta(seconds=50))
    storage = Streaming()
    world = World(root=tmp_path, engine=ByUrl(FakeOptions(), fake_cloud()))
    world.inbox.mkdir()
    route = replace(
        world.house(store).routes["inbox"],
        storage=storage,
        diet=Diet.LOSSLESS,
        preparer=Preparer(Studio(), tmp_path / "spool", meter),
    )
    return Uploading(root=world.inbox, route=route, storage=storage, now=now)


def studio(path: Path, seconds: float = 3) -> Path:
    """Two channels at 48 kHz."""
    tone = media.tone(seconds, rate=48_000)
    return media.write(path, media.channels(tone, tone), codec="pcm_s16le", rate=48_000)


def test_a_copy_is_uploaded_while_it_is_made(uploading: Uploading, tmp_path: Path) -> None:
    """The copy never lies in the spool; what arrives is the whole recording, and its size is told."""
    staged = uploading.stage(studio(uploading.root / "talk.wav"))
    (sent,) = uploading.storage.streamed
    assert staged.staging is not None
    assert staged.staging.prepared is not None
    assert staged.staging.prepared.size == len(sent)
    assert staged.staging.prepared.duration == timedelta(seconds=3)
    assert not (tmp_path / "spool").exists()
    (arrived := tmp_path / "arrived.flac").write_bytes(sent)
    samples, rate = media.decoded(arrived)
    assert samples.shape == (1, 3 * 16_000)
    assert rate == 16_000
    assert np.abs(np.fft.rfft(samples[0].astype(float))).argmax() == 3 * 440


def test_half_a_copy_is_never_uploaded(uploading: Uploading) -> None:
    """Where encoding breaks off the upload does, too, and the original goes."""
    file = media.write(
        uploading.root / "talk.flac", media.noise(9, rate=48_000), codec="flac", rate=48_000
    )
    damage(file, 100)
    staged = uploading.stage(file)
    assert not uploading.storage.streamed
    assert uploading.storage.whole == [file.read_bytes()]
    assert staged.staging is not None
    assert staged.staging.prepared is None


def test_an_upload_that_fails_ends_the_encoder(uploading: Uploading) -> None:
    """Trouble with the storage is the storage's: it is tried again later, and nothing stays behind."""
    uploading.storage.trouble = TemporaryError("The line is dead.", code="no-answer")
    with pytest.raises(TemporaryError, match="line is dead"):
        uploading.stage(studio(uploading.root / "talk.wav", seconds=60))
    assert not uploading.storage.whole


def test_a_recording_that_changes_meanwhile_is_not_asked_about(uploading: Uploading) -> None:
    """What was uploaded is of other content then than what was read: it has to settle anew [C02]."""
    file = studio(uploading.root / "talk.wav")
    uploading.storage.meanwhile = lambda: file.write_bytes(file.read_bytes() + b"more")
    with pytest.raises(SourceChanged):
        uploading.stage(file)


def test_a_plan_that_needs_codecs_fails_where_they_are_gone(uploading: Uploading) -> None:
    """Planned with PyAV and carried out without: it fails with what to do, and nothing is sent [M10]."""
    recording = uploading.read(studio(uploading.root / "talk.wav"))
    assert recording.reading is not None
    plan = replace(recording.reading.plan, preparation=Preparation.RE_ENCODE)
    planned = replace(recording, reading=replace(recording.reading, plan=plan))
    bare = Preparer(Studio(codecs=lambda: False), uploading.root / "spool")
    with pytest.raises(RecordingError, match="PyAV is not installed"):
        advance(planned, replace(uploading.route, preparer=bare), clock=lambda: uploading.now)


def test_an_end_is_only_seen_where_the_encoder_came_to_its_own() -> None:
    """An encoder that fails after its last byte makes reading fail, not end."""

    def fails(into: int) -> None:
        with open(into, "wb", closefd=False) as out:
            out.write(b"half")
        raise RecordingError("It broke.", code="broke")

    with Growing(fails) as growing:  # type: ignore[arg-type] # it never returns
        assert growing.read(100) == b"half"
        with pytest.raises(RecordingError, match="It broke"):
            growing.read(100)
