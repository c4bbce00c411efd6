"""One pass over an inbox or a folder of it: the truth about which files are there.

Folders are opened from the inbox downwards, each from its parent's descriptor and never through a
symlink, so that nobody who may write in an inbox can lead the pass out of it.
"""

import errno as errors
import os
import stat as modes
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from asrwatch.heartbeats import beat
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.looks import Look, ScanTrouble, Signature

__all__ = ["Folder", "look_at", "nearest_device", "scan"]

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Gone, or replaced by something that is not a folder, since its parent was listed: nothing to report.
_VANISHED = frozenset({errors.ENOENT, errors.ENOTDIR, errors.ELOOP})
# Linux takes paths of up to 4,095 bytes: below a folder longer than this not every name could be opened.
_LONGEST_FOLDER = 4095 - 256
# A folder in which no file can be looked at has the same trouble with every one of its million files.
_TROUBLES_NOTED = 100
# A huge folder on a slow share takes its time, and shows that it moves.
_BEAT_EVERY = 256


class Folder:
    """One folder of a pass, open.

    Attributes:
        path: absolute.
        descriptor: open for as long as the pass is in this folder or below it.
        deep: whether the pass enters folders below.
        identity: device and inode.
        troubles: what could not be looked at; final once its files have been listed.
    """

    def __init__(self, rule: IgnoreRule, path: bytes, descriptor: int, *, deep: bool) -> None:
        self.path = path
        self.troubles: list[ScanTrouble] = []
        self.descriptor = descriptor
        self.deep = deep
        self._rule = rule
        self._relative = os.fsdecode(path[len(rule.root) :].lstrip(b"/"))
        self._folders: list[str] = []
        self._listed = False
        status = os.fstat(descriptor)
        self.identity = (status.st_dev, status.st_ino)

    @property
    def device(self) -> int:
        """The device the folder itself is on."""
        return self.identity[0]

    def files(self, wanted: Container[str] = ()) -> Iterator[tuple[str, os.stat_result]]:
        """List the folder, once: its wanted files, each with its `lstat`.

        Args:
            wanted: names known to be wanted, to spare the rule the question.
        """
        self._listed = True
        wants = self._rule.wants_file_named
        below = f"{self._relative}/" if self._relative else ""
        try:
            with os.scandir(self.descriptor) as entries:
                # The hot loop: one round per file and pass, however many million there are.
                for number, entry in enumerate(entries):
                    if not number % _BEAT_EVERY:
                        beat()
                    name = entry.name
                    try:
                        is_folder = entry.is_dir(follow_symlinks=False)
                    except OSError as error:  # of one name, where listings do not say what is what
                        self._note(error, name)
                        continue
                    if is_folder:
                        if self.deep and self._rule.wants_folder_named(name, below + name):
                            self._folders.append(name)
                    elif name in wanted or wants(name, below + name):
                        try:
                            status = entry.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            continue
                        except OSError as error:
                            self._note(error, name)
                            continue
                        if modes.S_ISREG(status.st_mode):
                            yield name, status
        except OSError as error:
            self._note(error)

    @property
    def is_skipped(self) -> bool:
        """Whether it holds the file that says "leave this alone"; what cannot be looked at is no such file."""
        if self._rule.skip_marker is None:
            return False
        with suppress(OSError):
            os.stat(self._rule.skip_marker, dir_fd=self.descriptor, follow_symlinks=False)
            return True
        return False

    def names(self) -> Iterator[str]:
        """List the names once more, all of them.

        Raises:
            OSError: the folder cannot be listed.
        """
        with os.scandir(self.descriptor) as entries:
            for entry in entries:
                yield entry.name

    def finish(self) -> None:
        """Learn which folders are below, if nobody listed the files."""
        if not self._listed:
            for _ in self.files():
                pass

    @property
    def has_folders(self) -> bool:
        """Whether folders below have been found that nobody asked for yet."""
        return bool(self._folders)

    def next_folder(self) -> str | None:
        """A folder below that has not been asked for yet."""
        return self._folders.pop() if self._folders else None

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self.descriptor)

    def _note(self, error: OSError, name: str | None = None) -> None:
        if len(self.troubles) == _TROUBLES_NOTED:
            return
        path = self.path if name is None else _join(self.path, name)
        self.troubles.append(ScanTrouble(path=path, errno=error.errno or errors.EIO))


def scan(
    rule: IgnoreRule, *, folder: bytes | None = None, deep: bool = True
) -> Iterator[Folder | ScanTrouble]:
    """Pass over the inbox, or over one folder of it, and yield folders as they are entered.

    The files of a folder must be listed before the next folder is asked for. A folder that cannot be entered is
    yielded as trouble and the pass goes on; the inbox itself is trouble even when it does not exist.
    A folder that has vanished, that the rule prunes, that is left alone or that is a symlink is not yielded at all.

    Args:
        rule: says what is wanted; its root is the inbox, which itself may be reached through symlinks.
        folder: where to begin, absolute; the inbox if None.
        deep: whether to enter folders below.
    """
    left_out = _identities(rule.leave_out)
    top = _enter_chain(rule, folder or rule.root, deep=deep, left_out=left_out)
    if isinstance(top, Folder):
        yield from _walk(rule, top, left_out)
    elif top is not None:
        yield top


def look_at(
    rule: IgnoreRule, folder: bytes, names: Iterable[str]
) -> Iterator[Look | ScanTrouble | bytes]:
    """Look at single files of one folder, in the pass's own careful way.

    Yields for each name its look, or the trouble with it, or its bare path where it is no longer there
    (vanished, or not a regular file any more).
    """
    opened = _enter_chain(rule, folder, deep=False, left_out=_identities(rule.leave_out))
    try:
        for name in names:
            path = _join(folder, name)
            if opened is None:
                yield path
            elif isinstance(opened, ScanTrouble):
                yield ScanTrouble(path=path, errno=opened.errno)
            else:
                yield _look_at(opened, path, name)
    finally:
        if isinstance(opened, Folder):
            opened.close()


def nearest_device(folder: bytes) -> int | None:
    """The device of `folder` or of its nearest parent that still exists; None if it cannot be told."""
    look: Callable[[bytes], os.stat_result] = os.lstat
    while True:
        try:
            return look(folder).st_dev
        except (FileNotFoundError, NotADirectoryError):
            folder = folder.rpartition(b"/")[0] or b"/"
            look = os.stat  # a parent may be the inbox, and the inbox a symlink
        except OSError:
            return None


def _look_at(folder: Folder, path: bytes, name: str) -> Look | ScanTrouble | bytes:
    try:
        status = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return path
    except OSError as error:
        return ScanTrouble(path=path, errno=error.errno or errors.EIO)
    if not modes.S_ISREG(status.st_mode):
        return path
    return Look(path, Signature.of(status), status.st_nlink)


def _walk(
    rule: IgnoreRule, top: Folder, left_out: Collection[tuple[int, int]]
) -> Iterator[Folder | ScanTrouble]:
    """Depth first, so that no more descriptors are open than the tree is deep."""
    parents: list[Folder] = [top]
    try:
        yield top
        top.finish()
        while parents:
            name = parents[-1].next_folder()
            if name is None:
                parents.pop().close()
                continue
            found = _enter(rule, parents[-1], name, left_out)
            if isinstance(found, Folder):
                parents.append(found)
                yield found
                found.finish()
            elif found is not None:
                yield found
    finally:
        for parent in parents:
            parent.close()


def _enter_chain(
    rule: IgnoreRule, folder: bytes, *, deep: bool, left_out: Collection[tuple[int, int]]
) -> Folder | ScanTrouble | None:
    """Open the inbox and, name by name, the folders down to `folder`."""
    try:
        here = _opened(rule, rule.root, rule.root, deep=deep)
    except OSError as error:
        return ScanTrouble(path=rule.root, errno=error.errno or errors.EIO)
    if here.is_skipped:
        here.close()
        return None
    for name in os.fsdecode(folder[len(rule.root) :]).split("/"):
        if not name or name == ".":
            continue
        if name == "..":  # never upwards, whoever asks
            here.close()
            return None
        relative = os.fsdecode(_join(here.path, name)[len(rule.root) :].lstrip(b"/"))
        wanted = rule.wants_folder_named(name, relative)
        below = _enter(rule, here, name, left_out) if wanted else None
        here.close()
        if not isinstance(below, Folder):
            return below
        here = below
    return here


def _enter(
    rule: IgnoreRule, parent: Folder, name: str, left_out: Collection[tuple[int, int]]
) -> Folder | ScanTrouble | None:
    path = _join(parent.path, name)
    if len(path) > _LONGEST_FOLDER:
        return ScanTrouble(path=path, errno=errors.ENAMETOOLONG)
    try:
        folder = _opened(rule, path, name, deep=parent.deep, above=parent.descriptor)
    except OSError as error:
        if error.errno in _VANISHED:
            return None
        return ScanTrouble(path=path, errno=error.errno or errors.EIO)
    # the same folder under another name (a symlinked config path); or one that somebody wants left alone
    if folder.identity in left_out or folder.is_skipped:
        folder.close()
        return None
    return folder


def _opened(
    rule: IgnoreRule, path: bytes, name: str | bytes, *, deep: bool, above: int | None = None
) -> Folder:
    """The folder, open; links are followed in the inbox's own path only.

    Raises:
        OSError: as the system says.
    """
    flags = _OPEN_FOLDER if above is None else _OPEN_FOLDER | os.O_NOFOLLOW
    descriptor = os.open(name, flags, dir_fd=above)
    try:
        return Folder(rule, path, descriptor, deep=deep)
    except OSError:  # a share may give a folder away and not let it be looked at
        os.close(descriptor)
        raise


def _identities(folders: Iterable[bytes]) -> frozenset[tuple[int, int]]:
    found = set()
    for folder in folders:
        try:
            status = Path(os.fsdecode(folder)).stat()
        except OSError:  # not made yet, or not ours to see: then it is known by its path alone
            continue
        found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _join(folder: bytes, name: str) -> bytes:
    return folder.rstrip(b"/") + b"/" + os.fsencode(name)
