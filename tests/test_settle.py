import sys
import tracemalloc
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from inbox_helpers import HandClock, look

from asrwatch.inbox.looks import Why
from asrwatch.inbox.settle import Settler
from asrwatch.journey.evidence import Fingerprint

A = b"/in/a.wav"


def settler(seconds: float = 5) -> Settler:
    """A settler with this quiet time."""
    return Settler(settle=timedelta(seconds=seconds))


def test_quiet_file_settles_once() -> None:
    """A file that stayed the same for the quiet time over two looks settles, and settles once."""
    deciding = settler()
    assert not deciding.look(look(), 100)
    assert not deciding.look(look(), 104.9)
    assert deciding.look(look(), 105)
    assert not deciding.look(look(), 106)
    assert not deciding.look(look(), 1000)
    assert deciding.waiting() == ()


def test_change_begins_quiet_time_anew() -> None:
    """Any change of the signature, if only of mtime, ctime, blocks or inode, begins the quiet time anew [C03]."""
    deciding = settler()
    base = look()
    changes = [
        base._replace(signature=base.signature._replace(**{name: 77}))
        for name in ("device", "inode", "size", "blocks", "mtime_ns", "ctime_ns")
    ]
    now = 0.0
    deciding.look(base, now)
    for change in changes:
        now += 4.9
        assert not deciding.look(change, now)
    assert not deciding.look(changes[-1], now + 4.9)
    assert deciding.look(changes[-1], now + 5)


def test_one_look_is_never_enough() -> None:
    """Even with no quiet time at all a file must have been looked at twice."""
    deciding = settler(0)
    assert not deciding.look(look(), 100)
    assert deciding.look(look(), 100)


def test_a_start_in_the_middle_of_a_copy_counts_from_its_own_looks() -> None:
    """What was seen before a restart counts for nothing: the quiet time is whole again, and anew if it grows [C15]."""
    before = settler()
    half = look(mtime=1)
    whole = half._replace(signature=half.signature._replace(size=half.signature.size + 1))
    before.look(half, 100)
    assert not before.look(half, 104.9)
    restarted = settler()
    assert not restarted.look(half, 105)
    assert not restarted.look(whole, 109.9)
    assert not restarted.look(whole, 114.8)
    assert restarted.look(whole, 114.9)


def test_mtime_is_not_compared_with_any_clock() -> None:
    """A file from 1970 and one from 2100 settle like any other [C10] [T02]."""
    for mtime in (0, 4_102_444_800 * 10**9):
        deciding = settler()
        assert not deciding.look(look(mtime=mtime), 10)
        assert deciding.look(look(mtime=mtime), 15)


def test_empty_file_waits_for_its_first_byte() -> None:
    """Zero bytes do not settle with the quiet time; with the first byte it begins [C08]."""
    deciding = settler()
    for now in range(0, 1000, 10):
        assert not deciding.look(look(size=0), now)
    (waiting,) = deciding.waiting()
    assert waiting.why is Why.EMPTY
    assert waiting.age(1000) == timedelta(seconds=1000)
    assert not deciding.look(look(size=1), 1000)
    assert deciding.waiting()[0].why is Why.CHANGING
    assert deciding.look(look(size=1), 1005)


def test_known_file_is_not_reported() -> None:
    """What the store has under this fingerprint is not reported, whatever its blocks say now."""
    known = Fingerprint(device=1, inode=1, size=1, mtime_ns=0)
    deciding = Settler(settle=timedelta(0), known=[(A, known)])
    grown = look()._replace(signature=look().signature._replace(blocks=99))
    assert not any(deciding.look(each, now) for now in range(5) for each in (look(), grown))
    assert deciding.waiting() == ()
    assert deciding.known_count == 1


def test_known_file_that_changes_settles_again() -> None:
    """A new fingerprint under a known path is a new recording, after its own quiet time."""
    deciding = settler()
    deciding.look(look(), 0)
    assert deciding.look(look(), 5)
    assert not deciding.look(look(size=2), 100)
    assert deciding.look(look(size=2), 105)
    assert not deciding.look(look(size=2), 106)


def test_latest_of_several_fingerprints_counts() -> None:
    """The store may know a path under several fingerprints; the last one given is the current one."""
    old, new = (Fingerprint(device=1, inode=1, size=size, mtime_ns=0) for size in (1, 2))
    deciding = Settler(settle=timedelta(0), known=[(A, old), (A, new)])
    assert not any(deciding.look(look(size=2), now) for now in range(5))


def test_forgotten_file_is_reported_again() -> None:
    """`forget` makes a known file settle and be reported once more."""
    deciding = settler()
    deciding.look(look(), 0)
    assert deciding.look(look(), 5)
    deciding.forget(A)
    assert deciding.known_count == 0
    assert not deciding.look(look(), 6)
    assert deciding.look(look(), 11)


def test_a_waiting_file_does_not_begin_anew() -> None:
    """Somebody stumbling over a file every minute does not keep it from settling after two; nor an empty one."""
    deciding = settler(120)
    for now in (0, 60):
        deciding.look(look(), now)
        deciding.settle_again(A)
    assert deciding.look(look(), 120)
    deciding.settle_again(A)
    assert not deciding.look(look(), 130)
    assert deciding.look(look(), 250)
    deciding.look(look(size=0), 300)
    deciding.settle_again(A)
    assert [each.first_seen for each in deciding.waiting()] == [300]


def test_failed_look_is_no_evidence_of_quiet() -> None:
    """A look that failed begins the quiet time anew; the file keeps waiting."""
    deciding = settler()
    deciding.look(look(), 0)
    deciding.could_not_look(A, 4)
    assert deciding.next_look() == 9
    assert not deciding.look(look(), 9)
    assert deciding.look(look(), 14)
    assert deciding.waiting() == ()


def test_next_look_is_when_first_quiet_time_ends() -> None:
    """Due looks are told in time, and only for files whose quiet time would be over."""
    deciding = settler()
    assert deciding.next_look() is None
    b = b"/in/b.wav"
    deciding.look(look(), 0)
    deciding.look(look(b), 2)
    assert deciding.next_look() == 5
    assert deciding.due(4.9) == ()
    assert deciding.due(5) == (A,)
    deciding.look(look(size=2), 5)
    assert deciding.next_look() == 7
    assert deciding.due(10) == (b, A)


def test_empty_files_are_looked_at_slowly() -> None:
    """Placeholders do not keep the thread busy: half a minute between looks."""
    deciding = settler(0.1)
    deciding.look(look(size=0), 0)
    assert deciding.next_look() == 30
    assert deciding.due(29) == ()
    assert deciding.due(30) == (A,)
    deciding.look(look(size=0), 30)
    assert deciding.next_look() == 60


def test_vanished_file_is_told_only_while_it_waits() -> None:
    """`gone` says whether anybody waited for the file, and forgets it in any case."""
    deciding = settler(0)
    deciding.look(look(), 0)
    assert deciding.gone(A)
    assert not deciding.gone(A)
    deciding.look(look(), 1)
    assert deciding.look(look(), 2)
    assert not deciding.gone(A)
    assert deciding.known_count == 0


happenings = st.lists(
    st.tuples(
        st.floats(0.01, 3),  # seconds until it happens
        st.sampled_from(["stay", "stay", "grow", "touch", "empty", "fail", "vanish"]),
    ),
    max_size=60,
)


@given(happenings, st.sampled_from([0.0, 0.5, 1.0, 2.5]))
def test_settling_is_exactly_quiet_over_two_looks(
    story: list[tuple[float, str]], quiet: float
) -> None:
    """Never while it changes, always once quiet over two looks, never twice for one fingerprint."""
    deciding = settler(quiet)
    clock = HandClock()
    size, mtime = 1, 0
    quiet_looks: list[float] = []  # when it was looked at and was as it is now, since anything else
    reported = False
    for pause, happening in story:
        now = clock.forward(pause)
        if happening in {"grow", "touch", "empty", "vanish"}:
            size = {"grow": size + 1, "empty": 0}.get(happening, size)
            mtime += 1
            quiet_looks, reported = [], False
        if happening == "vanish":
            deciding.gone(A)
        elif happening == "fail":
            deciding.could_not_look(A, now)
            quiet_looks = []
        else:
            quiet_looks.append(now)
            settled = deciding.look(look(size=size, mtime=mtime), now)
            proven = len(quiet_looks) >= 2 and now >= quiet_looks[0] + quiet
            assert settled == (size > 0 and proven and not reported)
            reported = reported or settled


def test_memory_of_known_files_is_small() -> None:
    """A hundred thousand known files take no more than 40 MB."""
    fingerprint = Fingerprint(device=1, inode=1, size=1, mtime_ns=2**60 + 1)
    tracemalloc.start()
    try:
        deciding = Settler(
            settle=timedelta(seconds=5),
            known=(
                (b"/srv/recordings/2024/%02d/call-in-%08d.wav" % (i % 50, i), fingerprint)
                for i in range(100_000)
            ),
        )
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert deciding.known_count == 100_000
    assert size < 40_000_000, f"{size} bytes on Python {sys.version}"
