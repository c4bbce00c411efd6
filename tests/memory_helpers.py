"""How much memory the processes take that this one starts."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil


@contextmanager
def largest_child() -> Iterator[Callable[[], int]]:
    """The largest resident size that any child of this process had meanwhile, in bytes."""
    largest, over = 0, threading.Event()

    def look() -> None:
        nonlocal largest
        while not over.wait(0.02):
            for child in psutil.Process().children():
                with suppress(psutil.NoSuchProcess):
                    largest = max(largest, child.memory_info().rss)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield lambda: largest
    finally:
        over.set()
        looker.join()
