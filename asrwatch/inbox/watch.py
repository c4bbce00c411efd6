"""Listens to the kernel's events below an inbox, and says no more than "look again, there".

Events are hints: they get lost by the thousand in a burst, stop without a word when the inbox is replaced,
and one exception in a handler ends them for good (reliability.md section 0). So nothing is decided here,
and `deaf` tells what watchdog itself does not.
"""

import errno as errors
import os
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver
from watchdog.utils import UnsupportedLibcError

from asrwatch.inbox.messages import Deafness
from asrwatch.inbox.nudges import Heard, Nudge
from asrwatch.inbox.signs import is_note

try:
    from watchdog.observers.inotify import InotifyEmitter, InotifyWatchGroup
    from watchdog.observers.inotify_c import (
        CallbackId,
        InotifyEvent,
        InotifyFD,
        Mask,
        WatchCallback,
        WatchDescriptor,
    )
except UnsupportedLibcError as error:
    raise ImportError("events need inotify, which this system does not have") from error

__all__ = ["Watch"]

# Folders that are made while they are being listed get their watch twice, which watchdog warns of and
# which does no harm.
warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)

# More watches than any tree is expected to have at odds with watchdog's books.
_STUMBLES = 10_000

# Opened and modified events come by the thousand and fill the queue, so that others are lost; a file that
# is still being written is looked at anyway.
_EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]


_WATCHED_INODE = re.compile(r"^inotify .*?\bino:([0-9a-f]+)", re.MULTILINE)


class Watch:
    """Events of one inbox, with an inotify instance of its own: what breaks for one breaks for one.

    Args:
        root: the inbox, absolute.
        recursive: whether sub-folders belong to it.
        wants: whether a file's name is worth a nudge; our own transcripts are not.
        nudge: called from watchdog's threads; must neither block nor log.
        heard: the same, told of each file that was closed by a writer or moved in, as the kernel says it; without
            it the file's folder is nudged.
        is_sign: whether a file is no recording, but says something about others when it comes or goes.
    """

    def __init__(
        self,
        root: bytes,
        *,
        recursive: bool,
        wants: Callable[[bytes], bool],
        nudge: Nudge,
        heard: Heard | None = None,
        is_sign: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        self._root = root
        self._recursive = recursive
        self._handler = _Handler(root, wants, nudge, heard, is_sign)
        self._nudge = nudge
        self._heard = None if heard is None else _wanted(wants, heard)
        self._observer: BaseObserver | None = None
        self._reader: _Reader | None = None
        self._armed: tuple[int, int] | None = None

    @property
    def exceptions(self) -> int:
        """How many events could not be passed on for a fault of ours."""
        return self._handler.exceptions

    @property
    def overflows(self) -> int:
        """How often the kernel's queue ran over since it was last armed; each asked for a whole pass."""
        return 0 if self._reader is None else self._reader.overflows

    def folders(self) -> frozenset[int] | None:
        """The inodes of the folders the kernel watches for us, by its own word; None where it does not say.

        Watchdog's books would not do: it enters folders there that it may not watch.
        """
        reader = self._reader
        return None if reader is None else reader.watched()

    def arm(self) -> Deafness | None:
        """Listen, afresh if need be; returns what is in the way, if something is."""
        self.disarm()
        try:
            self._armed = self._identity()
            self._reader = _Reader(lambda: self._nudge(self._root, deep=True), self._heard)
            self._reader.start()
            observer = BaseObserver(InotifyEmitter, inotify_fd=self._reader)
            self._observer = observer
            observer.schedule(
                self._handler,
                os.fsdecode(self._root),
                recursive=self._recursive,
                event_filter=_EVENTS,
            )
            observer.start()
        except OSError as error:
            self.disarm()
            return _explain(error, self._root)
        except RuntimeError:  # what threading raises where no more threads are to be had
            self.disarm()
            return _deafness("events-threads", "has no events: no more threads are to be had")
        return self.deaf()

    def disarm(self) -> None:
        """Stop listening; no nudge comes after this returned."""
        observer, self._observer = self._observer, None
        reader, self._reader = self._reader, None
        self._armed = None
        if observer is not None:
            _unschedule(observer)
            with suppress(KeyError, OSError):
                observer.stop()
            if observer.is_alive():
                observer.join()
        if reader is not None:
            with suppress(OSError):
                reader.stop()
            if reader.is_alive():
                reader.join()

    def deaf(self) -> Deafness | None:
        """Why events are not to be relied upon; None if they come.

        Asks every thread involved whether it lives, and whether the path still leads to the very folder
        that is listened to: it may have been recreated, unmounted or mounted over.
        """
        observer, reader = self._observer, self._reader
        if observer is None or reader is None:
            return _deafness("events-off", "is not listened to")
        try:
            identity = self._identity()
        except OSError as error:
            return _explain(error, self._root)
        if identity != self._armed:
            return _deafness("events-replaced", "was replaced, mounted or unmounted")
        emitters = list(observer.emitters)
        alive = (observer, reader, *emitters)
        if not emitters or reader.faults or not all(thread.is_alive() for thread in alive):
            return _deafness("events-stopped", "lost its events: a thread failed")
        if reader.limit is not None:
            return _explain(reader.limit, self._root, partial=True)
        return None

    def _identity(self) -> tuple[int, int]:
        status = Path(os.fsdecode(self._root)).stat()
        return status.st_dev, status.st_ino


def _unschedule(observer: BaseObserver) -> None:
    """Stop all emitters, also where watchdog's books are at odds with the kernel's.

    Folders swapped by rename leave it a `KeyError`, watches that the kernel took back an `OSError`.
    Each attempt drops what it stumbled over.
    """
    for _ in range(_STUMBLES):
        with suppress(KeyError, OSError):
            observer.unschedule_all()
            return


class _Handler(FileSystemEventHandler):
    """Turns events into nudges. Runs in watchdog's dispatcher, which an exception would end for good."""

    def __init__(
        self,
        root: bytes,
        wants: Callable[[bytes], bool],
        nudge: Nudge,
        heard: Heard | None,
        is_sign: Callable[[bytes], bool],
    ) -> None:
        self.exceptions = 0
        self._is_sign = is_sign
        self._root = root
        self._wants = wants
        self._nudge = nudge
        self._heard = heard

    def dispatch(self, event: FileSystemEvent) -> None:
        try:
            for path in (event.src_path, event.dest_path):
                if path:
                    self._look_again(os.fsencode(path), event)
        except Exception:  # noqa: BLE001 - whatever it is, the events must go on; the scan makes up for this one
            self.exceptions += 1

    def _look_again(self, path: bytes, event: FileSystemEvent) -> None:
        folder = path.rpartition(b"/")[0] or b"/"
        if path == self._root:
            self._nudge(path, deep=True)
        elif not event.is_directory:
            if self._is_sign(path):
                self._read_sign(path, folder, event)
                return
            if not self._wants(path):
                return
            if self._heard is not None and isinstance(event, FileClosedEvent):
                return  # the reader has told
            if self._heard is not None and isinstance(event, FileCreatedEvent):
                self._heard(path, moved=False, at_once=False)
            else:
                self._nudge(folder, deep=False)
        elif isinstance(event, DirDeletedEvent) or (
            isinstance(event, DirMovedEvent) and path == os.fsencode(event.src_path)
        ):
            self._nudge(folder, deep=False)
        else:
            self._nudge(path, deep=True)

    def _read_sign(self, path: bytes, folder: bytes, event: FileSystemEvent) -> None:
        """Of a note it matters that it goes; of what says "leave this alone" also that it comes."""
        goes = isinstance(event, FileDeletedEvent | FileMovedEvent)
        if not is_note(os.fsdecode(path)):
            self._nudge(folder, deep=True)
        elif goes:
            self._nudge(folder, deep=False)


class _Reader(InotifyFD):
    """Watchdog's reader of inotify, which also tells what watchdog only logs or swallows."""

    def __init__(self, everything: Callable[[], None], heard: Heard | None) -> None:
        super().__init__()
        self.overflows = 0
        self.faults = 0
        self.limit: OSError | None = None
        self._everything = everything
        self._heard = heard

    def run(self) -> None:
        try:
            super().run()
        finally:
            self.close()  # where it ends by an exception, or the descriptors would stay open

    def watched(self) -> frozenset[int] | None:
        """The inodes in the kernel's own list of this instance's watches (proc(5), fdinfo)."""
        if self._closed:
            return None
        try:
            told = Path(f"/proc/self/fdinfo/{self._inotify_fd}").read_text(encoding="utf-8")
        except OSError:  # /proc is hidden, or the instance is closed
            return None
        return frozenset(int(inode, 16) for inode in _WATCHED_INODE.findall(told))

    def handle_event(self, event: InotifyEvent) -> None:
        try:
            if self._heard is not None and not event.is_directory:
                self._tell(event, self._heard)
            super().handle_event(event)
        except Exception:  # noqa: BLE001 - watchdog trips over a race now and then; we start it afresh
            self.faults += 1
            self._everything()
        if event.is_queue_overflow:
            self.overflows += 1
            self._everything()

    def _tell(self, event: InotifyEvent, heard: Heard) -> None:
        """Of a file that may be whole now, without watchdog's way of half a second behind every file moved away."""
        if not event.is_close_write and not event.is_moved_to:
            return
        watch = self._watch_for_wd.get(event.wd)
        for group in list(watch.callbacks.values()) if watch is not None else ():
            if isinstance(group, InotifyWatchGroup):
                path = group._build_event_source_path(event)  # noqa: SLF001 - the only one who knows moved folders' paths
                if path is not None:
                    heard(path, moved=event.is_moved_to, at_once=True)

    def add_callback(
        self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> WatchDescriptor:
        try:
            return super().add_callback(path, mask, callback, id_)
        except OSError as error:
            if error.errno == errors.ENOSPC:  # below the root watchdog goes on without a word
                self.limit = error
            raise


def _wanted(wants: Callable[[bytes], bool], heard: Heard) -> Heard:
    """Told of nothing but what is worth a nudge."""

    def told(path: bytes, *, moved: bool, at_once: bool) -> None:
        if wants(path):
            heard(path, moved=moved, at_once=at_once)

    return told


def _explain(error: OSError, root: bytes, *, partial: bool = False) -> Deafness:
    match error.errno:
        case errors.ENOSPC:
            return Deafness(
                code="events-watch-limit",
                message="the kernel's limit of watched folders is reached"
                + (", so some sub-folders raise no events" if partial else ""),
                advice="Raise it: sysctl fs.inotify.max_user_watches=1048576",
                partial=partial,
            )
        case errors.EMFILE:
            return Deafness(
                code="events-instance-limit",
                message="no more inotify instances or open files are to be had",
                advice="Raise the limits: sysctl fs.inotify.max_user_instances=1024, ulimit -n",
            )
        case _:
            return Deafness(
                code="events-root",
                message=f"there is nothing to listen to: {os.strerror(error.errno or errors.EIO)}",
                advice="",
                root_away=not os.access(root, os.R_OK | os.X_OK),
            )


def _deafness(code: str, message: str) -> Deafness:
    return Deafness(code=code, message=f"the inbox {message}", advice="")
