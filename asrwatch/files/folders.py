"""An open folder: looking, reading, writing and placing files through its descriptor.

Everything goes through one descriptor (`dir_fd`), so that a folder that is swapped for a symbolic
link between two calls cannot send a file elsewhere. `files.py` offers the same by path.
"""

import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader

from asrwatch.crash import crash_point
from asrwatch.errors import RecordingError
from asrwatch.files.filenames import LONGEST_NAME
from asrwatch.files.oserrors import trouble
from asrwatch.values import printable

__all__ = ["TEMPORARY_PREFIX", "Draft", "Folder", "descend", "open_folder"]

TEMPORARY_PREFIX = b".asrwatch-"
"""How our temporary files begin; with 16 more bytes, as encrypted shares allow only 143 (N05)."""

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DRAFT_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_CANNOT_LINK = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
_CANNOT_SYNC_FOLDER = frozenset({errno.EINVAL, errno.EOPNOTSUPP})


@contextmanager
def open_folder(
    root: bytes, inside: bytes = b"", *, create: bool = True, create_root: bool = True
) -> Iterator["Folder"]:
    """The folder `inside` of `root`, open until the block ends.

    Symbolic links are followed in `root`, which a person configured, never below it. Missing folders
    are created where `create` is set (0777 narrowed by the umask) and survive a power cut; `root` and what is
    above it only with `create_root`: a share that is away would come back beside what was put into its place.

    Raises:
        TemporaryError: no permission, no space, the share is away, or a folder is missing.
        RecordingError: something that is no folder is in the way.
    """
    descriptor = _open_root(root, create=create and create_root)
    path = root
    try:
        for step in inside.split(b"/"):
            if step in (b"", b"."):
                continue
            path = os.path.join(path, step)  # noqa: PTH118 - bytes, which pathlib cannot hold
            below = _open_below(descriptor, step, path, create=create)
            os.close(descriptor)
            descriptor = below
        yield Folder(descriptor, path)
    finally:
        os.close(descriptor)


@contextmanager
def descend(root: bytes, inside: bytes = b"") -> Iterator[int]:
    """The descriptor of the folder `inside` of `root`, opened step by step; nothing is created.

    Symbolic links are followed in `root`, which a person configured, never below it.

    Raises:
        OSError: as the system says; a link on the way is ENOTDIR or ELOOP.
    """
    descriptor = os.open(root, _FOLDER_FLAGS)
    try:
        for step in inside.split(b"/"):
            if step in (b"", b"."):
                continue
            below = os.open(step, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _open_root(root: bytes, *, create: bool) -> int:
    try:
        return os.open(root, _FOLDER_FLAGS)
    except FileNotFoundError as error:
        above, name = os.path.split(root.rstrip(b"/"))
        if not create or not name:
            raise trouble(error, "open the folder", root) from error
    except OSError as error:
        raise trouble(error, "open the folder", root) from error
    with open_folder(above or b".", create=True) as parent:
        return _open_below(parent.descriptor, name, root, create=True, follow=True)


def _open_below(above: int, name: bytes, path: bytes, *, create: bool, follow: bool = False) -> int:
    flags = _FOLDER_FLAGS if follow else _FOLDER_FLAGS | os.O_NOFOLLOW
    try:
        try:
            return os.open(name, flags, dir_fd=above)
        except FileNotFoundError:
            if not create:
                raise
        with suppress(FileExistsError):
            os.mkdir(name, 0o777, dir_fd=above)
            _sync_folder(above)
        return os.open(name, flags, dir_fd=above)
    except OSError as error:
        raise trouble(error, "open the folder", path) from error


def _sync_folder(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        # some shares cannot sync a folder: then durability is the server's, there is no other way
        if error.errno not in _CANNOT_SYNC_FOLDER:
            raise


class Folder:
    """A folder held open by its descriptor; `path` only serves messages."""

    def __init__(self, descriptor: int, path: bytes) -> None:
        self.descriptor = descriptor
        self.path = path

    def path_of(self, name: bytes) -> bytes:
        """The path of `name` in this folder, for messages and rows."""
        return os.path.join(self.path, name)  # noqa: PTH118 - bytes, which pathlib cannot hold

    def name_limit(self) -> int:
        """How many bytes a name may have here; never more than 255, so that copies can keep it."""
        try:
            told = os.fpathconf(self.descriptor, "PC_NAME_MAX")
        except (OSError, ValueError):
            return LONGEST_NAME
        return min(told, LONGEST_NAME) if told > 0 else LONGEST_NAME

    def look(self, name: bytes) -> os.stat_result | None:
        """What `lstat` says of `name`, None if there is nothing of that name."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise trouble(error, "look at", self.path_of(name)) from error

    @contextmanager
    def reading(self, name: bytes) -> Iterator[BufferedReader]:
        """`name` open for reading; never a link, never something that blocks.

        Raises:
            OSError: as the system says; the caller knows what it was for.
        """
        with os.fdopen(os.open(name, _READ_FLAGS, dir_fd=self.descriptor), "rb") as stream:
            yield stream

    def sha256_of(self, name: bytes, *, size: int | None = None) -> str | None:
        """The hash of a file's content, None where it cannot be the one meant.

        That is: there is none, it is not regular, not of `size` bytes, or not ours to read.
        """
        seen = self.look(name)
        if seen is None or not stat.S_ISREG(seen.st_mode) or size not in (None, seen.st_size):
            return None
        try:
            with self.reading(name) as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except (FileNotFoundError, PermissionError):
            return None
        except OSError as error:
            raise trouble(error, "read", self.path_of(name)) from error

    def write(self, name: bytes, content: bytes, *, replace: bool) -> bool:
        """Put a file of `content` under `name`: complete and durable, or not at all.

        The permissions are 0666 narrowed by the umask, or what the folder's default ACL says.

        Returns:
            False if `name` is taken and `replace` is not set; nothing was changed then.

        Raises:
            TemporaryError: no space, no permission, a failing disk; nothing half-written stays.
            RecordingError: a folder is in the way of a replacement.
        """
        with self.draft(name) as draft:
            try:
                draft.write(content)
                crash_point("draft-written")
                return draft.place(replace=replace)
            except OSError as error:
                raise trouble(error, "write", self.path_of(name)) from error

    @contextmanager
    def draft(self, wanted: bytes) -> Iterator["Draft"]:
        """A temporary file beside `wanted`, gone at the end of the block unless it was placed."""
        name = TEMPORARY_PREFIX + secrets.token_hex(8).encode()
        try:
            descriptor = os.open(name, _DRAFT_FLAGS, 0o666, dir_fd=self.descriptor)
        except OSError as error:
            raise trouble(error, "write", self.path_of(wanted)) from error
        draft = Draft(self, name, descriptor, wanted)
        try:
            # tells `sweep` that somebody is at work; where a share has no locks, age must tell
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            crash_point("draft-opened")
            yield draft
        finally:
            os.close(descriptor)
            if not draft.placed:
                # best effort: what stays after a failing unlink, `sweep` finds
                with suppress(OSError):
                    os.unlink(name, dir_fd=self.descriptor)

    def place(self, name: bytes, source: "Folder", source_name: bytes, *, replace: bool) -> bool:
        """Rename `source_name` of `source` to `name` here, and make both folders durable.

        Without `replace` an existing `name` is left alone and False returned. Where the file system
        knows no hard links (exFAT, many SMB shares) a file that appears under `name` in the same
        microsecond would be replaced; everywhere else the system itself rules that out.

        Raises:
            OSError: as the system says; the caller knows what it was for (EXDEV among them).
        """
        if replace:
            self._rename(name, source, source_name)
        elif not self._link(name, source, source_name):
            return False
        crash_point("named")
        self.sync()
        if source is not self:
            source.sync()
        crash_point("folder-synced")
        return True

    def _rename(self, name: bytes, source: "Folder", source_name: bytes) -> None:
        os.rename(source_name, name, src_dir_fd=source.descriptor, dst_dir_fd=self.descriptor)

    def hard_link(self, name: bytes, source: "Folder", source_name: bytes) -> None:
        """Give a file a second name, here; raises OSError, FileExistsError where that is taken."""
        os.link(
            source_name,
            name,
            src_dir_fd=source.descriptor,
            dst_dir_fd=self.descriptor,
            follow_symlinks=False,
        )

    def _link(self, name: bytes, source: "Folder", source_name: bytes) -> bool:
        try:
            self.hard_link(name, source, source_name)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _CANNOT_LINK:
                raise
            if self.look(name) is not None:
                return False
            self._rename(name, source, source_name)
            return True
        # a file that took the source's name meanwhile is not the one that was linked: it stays
        crash_point("linked")
        placed, left = self.look(name), source.look(source_name)
        if placed is not None and left is not None and os.path.samestat(placed, left):
            os.unlink(source_name, dir_fd=source.descriptor)
        return True

    def make_durable(self, name: bytes) -> None:
        """Make a file that is there already survive a power cut."""
        try:
            with self.reading(name) as stream:
                os.fsync(stream.fileno())
            self.sync()
        except OSError as error:
            raise trouble(error, "write", self.path_of(name)) from error

    def remove(self, name: bytes) -> None:
        """Delete `name`; already gone is fine."""
        try:
            os.unlink(name, dir_fd=self.descriptor)
            self.sync()
        except FileNotFoundError:
            return
        except OSError as error:
            raise trouble(error, "delete", self.path_of(name)) from error

    def sync(self) -> None:
        """Make the names in this folder survive a power cut."""
        _sync_folder(self.descriptor)


class Draft:
    """A temporary file, written piece by piece, that becomes the wanted one by `place`."""

    def __init__(self, folder: Folder, name: bytes, descriptor: int, wanted: bytes) -> None:
        self.folder = folder
        self.name = name
        self.descriptor = descriptor
        self.wanted = wanted
        self.placed = False

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Append all of `piece`; raises OSError as the system says."""
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]

    def place(self, *, replace: bool) -> bool:
        """Make the content durable, then give the file its wanted name; False if that is taken.

        Raises:
            RecordingError: a folder has that name.
            OSError: as the system says.
        """
        os.fsync(self.descriptor)
        crash_point("draft-synced")
        try:
            self.placed = self.folder.place(self.wanted, self.folder, self.name, replace=replace)
        except IsADirectoryError as error:
            raise RecordingError(
                f"Cannot write {printable(self.folder.path_of(self.wanted))}: it is a folder.",
                code="folder-in-the-way",
                advice="Move the folder, then retry.",
            ) from error
        return self.placed
