"""Turns what is wrong with an inbox into messages: one when it begins or changes, one when it is over."""

import errno as errors
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from asrwatch.inbox.looks import ABSENT, EMPTIED, MARKER_MISSING, ScanTrouble
from asrwatch.inbox.messages import About, Deafness, InboxHealed, InboxTrouble, Message
from asrwatch.values import printable

__all__ = ["Troubles", "root_trouble"]


class Troubles:
    """Remembers which troubles have been told.

    Args:
        inbox: whose.
        post: takes the messages.
    """

    def __init__(self, inbox: str, post: Callable[[Message], None]) -> None:
        self._inbox = inbox
        self._post = post
        self._told: dict[About, InboxTrouble] = {}
        self.now: tuple[InboxTrouble, ...] = ()

    def begin(self, trouble: InboxTrouble) -> None:
        """Tell of trouble, unless trouble of this kind was told already."""
        before = self._told.get(trouble.about)
        old = before is not None and before.code == trouble.code
        since = before.since if before is not None and old else datetime.now(tz=UTC)
        trouble = replace(trouble, since=since)
        self._told[trouble.about] = trouble
        self.now = tuple(self._told.values())
        if not old:
            self._post(trouble)

    def healed(self, about: About) -> None:
        """Tell that trouble is over, if there was any."""
        if self._told.pop(about, None) is not None:
            self.now = tuple(self._told.values())
            self._post(InboxHealed(inbox=self._inbox, about=about))

    def below(self, troubles: Sequence[ScanTrouble], root: bytes) -> None:
        """Tell which places in the inbox could not be looked at in a whole pass."""
        places = [trouble for trouble in troubles if trouble.path != root]
        if not places:
            self.healed(About.BELOW)
            return
        more = f", and {len(places) - 1} more" if places[1:] else ""
        self.begin(
            InboxTrouble(
                inbox=self._inbox,
                about=About.BELOW,
                code="inbox-places",
                message=f"Inbox {self._inbox} cannot be looked at everywhere: {places[0]}{more}.",
                advice="What is there is found once it can be read; nothing is forgotten meanwhile.",
            )
        )

    def events(self, deafness: Deafness | None) -> None:
        """Tell why events do not come; not where the inbox itself went away, which is told by itself."""
        if deafness is None:
            self.healed(About.EVENTS)
        elif not deafness.root_away:
            message = f"Inbox {self._inbox}: {deafness.message}. New files are found by scanning."
            self.begin(
                InboxTrouble(
                    inbox=self._inbox,
                    about=About.EVENTS,
                    code=deafness.code,
                    message=message,
                    advice=deafness.advice,
                )
            )


def root_trouble(inbox: str, root: bytes, troubles: Iterable[ScanTrouble]) -> InboxTrouble | None:
    """What is wrong with the inbox folder itself, if something is."""
    for trouble in troubles:
        if trouble.path == root:
            code, what, advice = _in_words(trouble.errno)
            return InboxTrouble(
                inbox=inbox,
                about=About.ROOT,
                code=code,
                message=f"Inbox {inbox}: {printable(root)} {what}.",
                advice=advice,
            )
    return None


def _in_words(errno: int) -> tuple[str, str, str]:
    """Code, sentence and advice for a folder that could not be looked at."""
    kept = "Nothing is forgotten; it is looked at again every few seconds."
    match errno:
        case errors.ENOENT | errors.ENOTDIR:
            return "inbox-missing", "is not a folder that exists", f"Create or mount it. {kept}"
        case errors.EACCES | errors.EPERM:
            who = f"the user asrwatch runs as (uid {os.geteuid()})"
            return "inbox-unreadable", "may not be read", f"Allow {who} to read and enter it."
        case errors.ENODEV:
            return (
                "inbox-unmounted",
                "is empty and on another device than before, as if unmounted",
                f"Mount it again. {kept}",
            )
        case _ if errno == MARKER_MISSING:
            return (
                "inbox-unmarked",
                "does not hold its marker, as if unmounted",
                f"Mount it, or create the file that `marker:` names. {kept}",
            )
        case _ if errno == EMPTIED:
            return (
                "inbox-emptied",
                "lost all of its files and folders at once, as if unmounted",
                "Mount it again. If it was tidied, that is believed after an hour; `marker:` tells them apart.",
            )
        case _ if errno in ABSENT:
            return "inbox-away", f"does not answer ({os.strerror(errno)})", kept
        case _:
            return "inbox-trouble", f"cannot be looked at ({os.strerror(errno)})", kept
