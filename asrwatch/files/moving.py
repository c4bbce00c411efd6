"""Take a recording away without ever losing it: move without clobbering, delete."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count

from asrwatch.crash import crash_point
from asrwatch.errors import Vanished
from asrwatch.files import (
    changed,
    check_unchanged,
    fingerprint_of,
    hash_whole,
    open_recording,
    split_below,
)
from asrwatch.files.filenames import fitted, split_name
from asrwatch.files.folders import Folder, descend, open_folder
from asrwatch.files.oserrors import trouble
from asrwatch.journey.evidence import Fingerprint
from asrwatch.journey.recording import VANISHED
from asrwatch.values import printable

__all__ = ["delete", "move_without_clobbering"]

_COPY_AT_ONCE = 2**20
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


def move_without_clobbering(
    source: bytes,
    target_folder: bytes,
    name: bytes,
    *,
    fingerprint: Fingerprint,
    sha256: str | None = None,
    root: bytes | None = None,
    source_root: bytes | None = None,
) -> bytes:
    """Move the recording `source` into a folder; never over another file, on whichever file system.

    A taken name becomes `NAME (2).EXT`. May be repeated after a crash at any point: what has arrived
    is recognised, and the source goes away only after the copy is durable.

    Args:
        source: the recording.
        target_folder: where it goes; created if missing.
        name: what it is to be called there.
        fingerprint: of the recording that is meant.
        sha256: of its content, if known; recognises a copy that arrived before a crash.
        root: a folder above `target_folder`, below which symbolic links are not followed.
        source_root: the same above `source`.

    Returns:
        Where it lies now.

    Raises:
        SourceChanged: another file lies at `source`; it was left there.
        Vanished: it lies neither at its source nor at the target.
        TemporaryError: not now; nothing is lost.
    """
    original = _Original(path=source, root=source_root, fingerprint=fingerprint, sha256=sha256)
    with open_folder(*split_below(target_folder, root)) as target:
        for candidate in _names(name, target.name_limit()):
            if _has_arrived(target, candidate, original):
                if _is_second_name(target, candidate, original):
                    delete(source, fingerprint, root=source_root)
            elif target.look(candidate) is not None or not _move(original, target, candidate):
                continue
            return target.path_of(candidate)
    raise AssertionError  # pragma: no cover - _names never ends


def delete(path: bytes, fingerprint: Fingerprint, *, root: bytes | None = None) -> None:
    """Delete the recording; one that is gone already is fine.

    Args:
        path: where it lies.
        fingerprint: of the recording that is meant.
        root: a folder above `path`, below which symbolic links are not followed.

    Raises:
        SourceChanged: another file lies there; it was left alone.
        Vanished: its folder went while this was under way.
        TemporaryError: not now.
    """
    if _look(path, root) is None:
        return
    with _folder_of(path, root) as folder:
        seen = folder.look(_name_of(path))
        if seen is not None and fingerprint_of(seen) != fingerprint:
            raise changed(path)
        folder.remove(_name_of(path))
    crash_point("original-deleted")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Original:
    path: bytes
    root: bytes | None
    fingerprint: Fingerprint
    sha256: str | None

    def lies(self) -> bool:
        """Whether it is still where it was."""
        seen = _look(self.path, self.root)
        return seen is not None and fingerprint_of(seen) == self.fingerprint


def _look(path: bytes, root: bytes | None) -> os.stat_result | None:
    try:
        with descend(*split_below(_above(path), root)) as above:
            return os.stat(_name_of(path), dir_fd=above, follow_symlinks=False)
    except OSError as error:
        # a folder on the way that became a link is no folder of the inbox any more
        if error.errno in _GONE:
            return None
        raise trouble(error, "look at", path) from error


@contextmanager
def _folder_of(path: bytes, root: bytes | None) -> Iterator[Folder]:
    """The folder a recording lies in; Vanished where it went, or became a link, since it was looked at."""
    above = _above(path)
    with ExitStack() as opened:
        try:
            descriptor = opened.enter_context(descend(*split_below(above, root)))
        except OSError as error:
            if error.errno in _GONE:
                raise _gone(f"{printable(path)} is gone.") from error
            raise trouble(error, "open the folder", above) from error
        yield Folder(descriptor, above)


def _gone(message: str) -> Vanished:
    return Vanished(message, code=VANISHED, advice="Its transcript is safe.")


def _above(path: bytes) -> bytes:
    return os.path.dirname(path) or b"."  # noqa: PTH120 - bytes, which pathlib cannot hold


def _name_of(path: bytes) -> bytes:
    return os.path.basename(path)  # noqa: PTH119 - bytes, which pathlib cannot hold


def _names(name: bytes, limit: int) -> Iterator[bytes]:
    """`name`, then `NAME (2).EXT`, `NAME (3).EXT` ... without end, none longer than `limit` bytes."""
    stem, ending = split_name(name)
    yield fitted(stem, ending, limit)
    for number in count(2):
        yield fitted(stem, b" (%d)%s" % (number, ending), limit)


def _has_arrived(target: Folder, name: bytes, original: _Original) -> bool:
    """Whether `name` is the recording, moved or copied there before a crash."""
    seen = target.look(name)
    if seen is None or seen.st_size != original.fingerprint.size or not stat.S_ISREG(seen.st_mode):
        return False
    if fingerprint_of(seen) == original.fingerprint:
        return True
    sha256 = original.sha256
    if sha256 is None and original.lies():
        with open_recording(original.path, original.fingerprint, root=original.root) as stream:
            sha256 = hash_whole(stream)
    return sha256 is not None and target.sha256_of(name, size=seen.st_size) == sha256


def _is_second_name(target: Folder, name: bytes, original: _Original) -> bool:
    """Whether the source still lies beside what has arrived, and is not the very same entry.

    It is the same where recordings are "moved" into the folder they lie in. On file systems that fold
    case, or through a bind mount, only the count of names tells.
    """
    if not original.lies():
        return False
    with _folder_of(original.path, original.root) as folder:
        here, there = os.fstat(folder.descriptor), os.fstat(target.descriptor)
    arrived = target.look(name)
    if arrived is None or (os.path.samestat(here, there) and name == _name_of(original.path)):
        return False
    same_file = fingerprint_of(arrived) == original.fingerprint
    return arrived.st_nlink > 1 if same_file else True


def _move(original: _Original, target: Folder, name: bytes) -> bool:
    """Rename, or copy over a file system's border; False if `name` was taken meanwhile."""
    source = original.path
    seen = _look(source, original.root)
    if seen is None:
        raise _gone(f"{printable(source)} is gone, and not in {printable(target.path)}.")
    if fingerprint_of(seen) != original.fingerprint:
        raise changed(source)
    with _folder_of(source, original.root) as folder:
        try:
            if not target.place(name, folder, _name_of(source), replace=False):
                return False
        except OSError as error:
            if error.errno == errno.EXDEV:
                return _copy(original, target, name)
            raise trouble(error, "move", source) from error
        # another file may have taken the source's name since it was looked at: that one goes back
        arrived = target.look(name)
        if arrived is not None and fingerprint_of(arrived) != original.fingerprint:
            try:
                folder.place(_name_of(source), target, name, replace=False)
            except OSError as error:
                raise trouble(error, "move back", target.path_of(name)) from error
            raise changed(source)
    crash_point("original-moved")
    return True


def _copy(original: _Original, target: Folder, name: bytes) -> bool:
    """Copy, make the copy durable, and only then delete the source; False if `name` is taken."""
    source = original.path
    root = original.root
    with (
        open_recording(source, original.fingerprint, root=root) as stream,
        target.draft(name) as draft,
    ):
        digest = hashlib.sha256()
        status = os.fstat(stream.fileno())
        try:
            while piece := stream.read(_COPY_AT_ONCE):
                digest.update(piece)
                draft.write(piece)
            # a share may know neither permissions nor dates; the content is what counts
            with suppress(OSError):
                os.fchmod(draft.descriptor, stat.S_IMODE(status.st_mode) & 0o777)
                os.utime(draft.descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
            check_unchanged(stream, source, original.fingerprint, root=root)
            if original.sha256 not in (None, digest.hexdigest()):
                raise changed(source)
            if not draft.place(replace=False):
                return False
        except OSError as error:
            raise trouble(error, "copy", source) from error
    crash_point("original-copied")
    delete(source, original.fingerprint, root=root)
    return True
