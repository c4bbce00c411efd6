"""Where the system gives no more threads, descriptors or memory: it is said, nothing is lost, leaked or paid twice."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from cloud_helpers import Server, cloud_at, json_answer

from asrwatch.cloud.bodies import PlainBody
from asrwatch.crew import begun, handed
from asrwatch.errors import TemporaryError

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


def test_a_thread_that_cannot_begin_is_told() -> None:
    """A thread of its own that cannot be started is known for it, and no exception [R01]."""
    with no_more_threads():
        assert not begun(threading.Thread(target=threading.Event))
    one = threading.Thread(target=threading.Event)
    assert begun(one)
    one.join()
