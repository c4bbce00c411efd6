"""What the kernel refuses in the middle of something: trouble that passes, and nobody's death."""

import ctypes
import errno
import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from files_helpers import a_house
from inbox_helpers import raw, rule_for

from asrwatch.audio.studio import Studio
from asrwatch.bootstrap import build_parts
from asrwatch.clock import SYSTEM, utc_now
from asrwatch.daemon.lookouts import Lookouts
from asrwatch.errors import SourceChanged, TemporaryError
from asrwatch.files import fingerprint_of
from asrwatch.heartbeats import Heartbeats
from asrwatch.inbox.lookout import InboxView, Lookout
from asrwatch.journey.evidence import Fingerprint
from asrwatch.journey.journey import advance
from asrwatch.journey.plan import Prepared
from asrwatch.journey.preparing import Preparer
from asrwatch.journey.recording import Recording
from asrwatch.journey.store import Store, StoreTrouble
from asrwatch.journey.watched import Watched

UNREADABLE = Path("/sys/devices/virtual/net/lo/speed")
"""A regular file of 4,096 bytes that opens and cannot be read: the kernel answers EINVAL."""
PR_SET_NAME = 15


@pytest.fixture
def unreadable() -> Path:
    """A file whose every read fails."""
    try:
        UNREADABLE.read_bytes()
    except FileNotFoundError:
        pytest.skip("needs sysfs with a loopback interface")
    except OSError:
        return UNREADABLE
    pytest.skip("this kernel tells the speed of its loopback interface")


def test_a_read_that_fails_is_tried_again(tmp_path: Path, unreadable: Path) -> None:
    """A disk or share that fails while a recording is read is trouble that passes, not a fault of ours."""
    with a_house(tmp_path) as house:
        route = replace(build_parts(house.settings()).routes["in"], care=None, presence=None)
        found = Recording.found(
            inbox="in",
            path=raw(unreadable),
            fingerprint=fingerprint_of(unreadable.lstat()),
            now=utc_now(),
        )
        with pytest.raises(TemporaryError, match="Cannot read"):
            advance(found, route, clock=utc_now)


def test_a_copy_that_cannot_be_read_is_made_afresh(unreadable: Path) -> None:
    """A prepared copy whose reading fails is no lost answer: nothing was sent, and it is prepared anew."""
    copy = Prepared(
        name=unreadable.name,
        container="flac",
        size=4096,
        sha256="ab" * 32,
        duration=timedelta(seconds=1),
        channels=1,
    )
    with pytest.raises(SourceChanged):
        Preparer(Studio(), unreadable.parent).open(copy)


def test_a_threads_name_ends_no_supervision() -> None:
    """A late thread whose name in the kernel is cut in the middle of a letter, as Python 3.14 names it, is told."""
    clock = [0.0]
    hearts = Heartbeats(lambda: clock[0])
    working, over = threading.Event(), threading.Event()

    def work() -> None:
        ctypes.CDLL(None).prctl(PR_SET_NAME, "lookout 录音录音".encode()[:15])
        with hearts.pulse("looking", usual=timedelta(seconds=1), vital=False):
            working.set()
            over.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert working.wait(30)
        clock[0] = 5.0
        assert [late.doing for late in hearts.late()] == ["looking"]
    finally:
        over.set()
        thread.join()


def test_an_answer_in_hand_outweighs_a_file_that_fails() -> None:
    """A file that cannot even be measured once its answer is in hand is no reason to take the answer for lost."""

    class Stale(io.BytesIO):
        def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
            if whence == io.SEEK_END:
                raise OSError(errno.ESTALE, "stale")
            return super().seek(offset, whence)

    watched = Watched(Stale(b"sound"))
    watched.read()
    assert not watched.all_read


class Unreadable(Store):
    """A database that cannot be read now."""

    def known(self, inbox: str) -> Iterator[tuple[bytes, Fingerprint]]:
        """Refused."""
        raise StoreTrouble(f"What is known of {inbox} cannot be read.", code="database")


def test_a_lookout_that_cannot_be_replaced_ends_nothing(tmp_path: Path) -> None:
    """A lookout that died while the database cannot be read is replaced later; the daemon goes on until then."""
    view = InboxView(name="in", ignore=rule_for(tmp_path))
    dead = Lookout(view, known=(), post=lambda _: None)
    with Unreadable(tmp_path / "state") as store:
        lookouts = Lookouts(
            {"in": lambda **_: dead},
            store=store,
            clock=SYSTEM,
            hearts=Heartbeats(),
            post=lambda _: None,
        )
        lookouts["in"] = dead
        lookouts.replace_the_dead()
    assert not dead.alive
