"""Sends messages to notifiers, one at a time to each, in threads of their own."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from asrwatch import crew, logs
from asrwatch.crash import crash_point
from asrwatch.daemon.mail import Answered
from asrwatch.errors import AsrwatchError, TemporaryError
from asrwatch.heartbeats import Heartbeats
from asrwatch.journey.store import Letter
from asrwatch.news import Message
from asrwatch.notifiers import Notifier

__all__ = ["Courier"]

log = logs.get("notify")

MOST_AT_ONCE = 4
"""Threads: a notifier that takes its time holds up few others."""
USUAL = timedelta(minutes=2)
"""How long a message may take, but for what a notifier's own time limit allows it."""


class Courier:
    """See the module. Used in the daemon's main thread; what became of a message arrives as `Answered`."""

    def __init__(
        self,
        notifiers: Mapping[str, Notifier[Any]],
        *,
        hearts: Heartbeats,
        post: Callable[[Answered], None],
    ) -> None:
        self._notifiers = notifiers
        self._hearts = hearts
        self._post = post
        threads = max(1, min(MOST_AT_ONCE, len(notifiers)))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="courier")
        self.busy: dict[str, Letter] = {}

    def begin(self, letter: Letter) -> None:
        """Send a message; its notifier is busy until `ended`."""
        self.busy[letter.notifier] = letter
        notifier = self._notifiers[letter.notifier]

        def work() -> None:
            with self._hearts.pulse(f"telling {notifier.label}", usual=USUAL, vital=False):
                error = send()
            crash_point("message-answered")
            self._post(Answered(letter=letter, error=error))

        def send() -> AsrwatchError | None:
            crash_point("message-going")
            try:
                said = notifier.send(Message(id=letter.message, news=letter.news))
            except AsrwatchError as error:
                return error
            except Exception as surprise:  # a message fails alone, whatever a library raises
                log.exception("notifier-broke", notifier=notifier.label)
                return TemporaryError(
                    f"{notifier.label} met an error nobody foresaw: {type(surprise).__name__}.",
                    code="our-bug",
                    advice="Please report this with the log.",
                )
            log.info("told", notifier=notifier.label, kind=letter.kind, message=letter.message)
            if said:
                log.debug("told-and-heard", notifier=notifier.label, said=said)
            return None

        if not crew.handed(self._pool, work):
            self._post(Answered(letter=letter, error=crew.no_threads()))

    def ended(self, letter: Letter) -> None:
        """The notifier is free again."""
        self.busy.pop(letter.notifier, None)

    def shut_down(self, *, wait: bool) -> None:
        """Nothing is begun any more."""
        self._pool.shutdown(wait=wait, cancel_futures=True)
