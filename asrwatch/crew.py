"""Hands work to threads, where the system may have none left to give."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future

from asrwatch.errors import TemporaryError

__all__ = ["begun", "handed", "no_threads"]


def no_threads() -> TemporaryError:
    """What is said of work that was not begun."""
    return TemporaryError(
        "No more threads are to be had.",
        code="not-sent",
        advice="Raise the limit (TasksMax=, ulimit -u); it is tried again by itself.",
    )


def handed(
    pool: Executor,
    work: Callable[[], object],
    surprised: Callable[[BaseException], None] = lambda _: None,
) -> bool:
    """Whether a pool took the work; if it did not, the work is never begun, so that it may be handed out anew.

    Python's pool queues the work first and starts a thread for it then: where that fails, the work stays in
    the queue although `submit` raised, and another thread would do it later, perhaps for the second time.
    `surprised` is told what nobody foresaw, in the work's thread; the pool would keep it to itself.
    """
    claim = threading.Lock()

    def once() -> None:
        if claim.acquire(blocking=False):
            work()

    def told(done: Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            surprised(error)

    try:
        future = pool.submit(once)
    except RuntimeError:
        return not claim.acquire(blocking=False)  # somebody was free meanwhile and is at it
    future.add_done_callback(told)
    return True


def begun(thread: threading.Thread) -> bool:
    """Whether a thread could be started."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True
