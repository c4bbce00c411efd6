"""Where the system gives no more threads, descriptors or memory: it is said, nothing is lost, leaked or paid twice."""

import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from cloud_helpers import Server, cloud_at, json_answer
from conftest import Keep
from e2e_helpers import Installed
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.cloud.bodies import PlainBody
from asrwatch.crew import begun, handed
from asrwatch.errors import TemporaryError
from asrwatch.journey.store.backup import kept
from asrwatch.sandbox import Knobs, Sandbox, Scripted

NO_ADDRESS_SPACE = 2**47
"""Bytes: a stack that no process has room for, so that the system refuses to start a thread."""


@contextmanager
def no_more_threads() -> Iterator[None]:
    """The system gives none."""
    threading.stack_size(NO_ADDRESS_SPACE)
    try:
        yield
    finally:
        threading.stack_size(0)


def test_without_a_thread_nothing_is_sent() -> None:
    """Without a thread for its deadline a request is not begun, certainly not paid, and says what to do [R01]."""
    with Server(lambda _: json_answer({})) as server:
        cloud = cloud_at(server.url)
        with no_more_threads(), pytest.raises(TemporaryError) as raised:
            cloud.ask(
                "/api/v1/x",
                PlainBody(b"{}"),
                ask_id="ask-1",
                read_timeout=timedelta(seconds=5),
            )
        assert (raised.value.code, server.asked) == ("not-sent", [])
        assert "ulimit -u" in raised.value.advice


def test_work_that_was_refused_is_never_done() -> None:
    """What a pool without threads refused is not done later behind our back: handed out anew, it is paid once [R01]."""
    done: list[str] = []
    let_go, busy = threading.Event(), threading.Event()

    def hold() -> None:
        busy.set()
        let_go.wait(60)

    with ThreadPoolExecutor(2) as pool:
        assert handed(pool, hold)
        assert busy.wait(60)
        with no_more_threads():
            assert not handed(pool, lambda: done.append("refused"))
        let_go.set()
        assert handed(pool, lambda: done.append("taken"))
    assert done == ["taken"]


def test_what_nobody_foresaw_is_told() -> None:
    """Work that ends in an error of ours is told of: its pool would keep it to itself."""
    told: list[BaseException] = []
    with ThreadPoolExecutor(1) as pool:
        assert handed(pool, lambda: 1 // 0, told.append)
    assert [type(error) for error in told] == [ZeroDivisionError]


def test_backups_that_cannot_be_counted_end_nothing(tmp_path: Path) -> None:
    """Without a descriptor the list of backups is empty: the main thread, which asks for it, lives on [R01]."""
    (tmp_path / "backup").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        found = kept(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found == []


def test_a_thread_that_cannot_begin_is_told() -> None:
    """A thread of its own that cannot be started is known for it, and no exception [R01]."""
    with no_more_threads():
        assert not begun(threading.Thread(target=threading.Event))
    one = threading.Thread(target=threading.Event)
    assert begun(one)
    one.join()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_few_descriptors(tmp_path: Path, rounds: Callable[[int, int], int], promise: Keep) -> None:
    """With 64 descriptors hundreds of files, short and long, are all delivered, each paid once; none leaks [R01]."""
    number = rounds(10_000, 240)
    knobs = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
    with Sandbox(recogniser=Scripted(), knobs=knobs) as sandbox:
        world = Installed(
            root=tmp_path,
            url=sandbox.url,
            key=sandbox.key,
            engines={"qwen3-asr-flash": {"longest": "2s"}},
        )
        try:
            process = world.start()
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (64, 64))
            daemon = psutil.Process(process.pid)

            def deliver(first: int, last: int) -> None:
                for each in range(first, last):
                    seconds = 2.5 if each % 12 == 0 else 0.2
                    write_wav(world.inbox / f"{each}.wav", number=2_000 + each, seconds=seconds)
                wait_for(lambda: len(list(world.inbox.glob("*.txt"))) == last, patience=1500)

            deliver(0, 24)
            before = daemon.num_fds()
            deliver(24, number)
            wait_for(lambda: daemon.num_fds() <= before)
            after = daemon.num_fds()
            most, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            assert world.stop(process) == 0
        finally:
            world.kill_all()
        lost = number - len(list(world.inbox.glob("*.txt")))
        twice = len(sandbox.bill.paid) - number
    promise(
        "R01 64 descriptors",
        promised="degrades, 0 lost, 0 double, no leak",
        measured=f"{number} files under a limit of {most}: {lost} lost, {twice} double, "
        f"{before} descriptors before, {after} after",
    )
    assert (lost, twice) == (0, 0)
    assert after <= before
