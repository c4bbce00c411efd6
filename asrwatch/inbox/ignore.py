"""What in an inbox is never a recording."""

import fnmatch
import os
import re
from collections.abc import Collection, Iterator, Sequence

from asrwatch.inbox.marker import Marker
from asrwatch.inbox.signs import is_note, skipped_by

__all__ = ["IgnoreRule"]

# Sources: how recorders, synchronisers, browsers and NAS systems name what is not (yet) a recording,
# recorders.md sections 1.1 and 1.2. Compared in lower case: shares fold it.
_IGNORED_FOLDERS = frozenset(
    {
        "@eadir",
        "#recycle",
        "#snapshot",
        "@recycle",
        "system volume information",
        "$recycle.bin",
        "lost+found",
        "__macosx",
        # These also begin with a dot; they are named so that a reader can look them up.
        ".@__thumb",
        ".appledouble",
        ".snapshot",
        ".snapshots",
        ".zfs",
        ".git",
        ".stfolder",
        ".stversions",
        ".spotlight-v100",
        ".trashes",
        ".fseventsd",
    }
)
_IGNORED_FILES = frozenset({"thumbs.db", "desktop.ini"})
# A leading dot covers rsync's and our own temporary files, AppleDouble twins and Synology's databases;
# a tilde covers editors' backups and Syncthing's temporary files on Windows.
_IGNORED_STARTS = (".", "~")
_IGNORED_ENDINGS = ("~", "@synoeastream", "@synoresource")
_IGNORED_EXTENSIONS = frozenset(
    {
        "tmp",
        "temp",
        "part",
        "partial",
        "filepart",
        "crdownload",
        "download",
        "!ut",
        "swp",
        "lock",
        "processing",
        "zoom",
    }
)
_SYNC_CONFLICT = ".sync-conflict-"


class IgnoreRule:
    """Decides by name alone which files may be recordings and which folders are worth entering.

    A file is wanted if `include` matches it (where `include` is empty: if its extension is one of
    `containers`), `exclude` does not match it, and the built-in rule does not name it.
    A folder is entered unless `exclude`, the built-in rule or `leave_out` names it.

    Patterns are shell globs (`*`, `?`, `[a-z]`) that ignore case. A pattern is tried against the path
    relative to the inbox and against the bare name; `*` also matches slashes, so `calls/*.wav` takes
    everything below `calls`. With a slash at its end it is tried against folders only.
    Names that are not UTF-8 are matched with surrogate escapes.

    Args:
        root: the inbox, absolute.
        include: patterns of files that are wanted, instead of `containers`.
        exclude: patterns of files and folders that are not, added to the built-in rule.
        containers: extensions of audio and video files, such as "wav".
        outputs: extensions our own transcripts have in this inbox; part of the built-in rule.
        leave_out: absolute folders to stay out of, such as output folders.
        defaults: False switches the built-in rule off.
        marker: what a recording's marker is called, which is never a recording itself.
        skip_marker: the name of a file that keeps a folder, and what is below it, from being entered.
    """

    def __init__(
        self,
        *,
        root: bytes,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        containers: Collection[str],
        outputs: Collection[str] = (),
        leave_out: Collection[bytes] = (),
        defaults: bool = True,
        marker: Marker | None = None,
        skip_marker: str | None = None,
    ) -> None:
        self.skip_marker = skip_marker
        self.marker = marker
        self.root = os.path.normpath(root)
        self.leave_out = frozenset(os.path.normpath(folder) for folder in leave_out)
        self._include = _either(include)
        self._exclude_folder = _either([pattern.rstrip("/") for pattern in exclude])
        self._exclude_file = _either([pattern for pattern in exclude if not pattern.endswith("/")])
        self._containers = frozenset(_extension_of(name) for name in containers)
        self._outputs = frozenset(map(_extension_of, outputs))
        self._ignored_extensions = _IGNORED_EXTENSIONS | self._outputs
        self._defaults = defaults
        self._left_out_here = {
            os.fsdecode(relative)
            for folder in self.leave_out
            if (relative := _below(folder, self.root)) is not None
        }

    def wants_file(self, path: bytes) -> bool:
        """Whether the name may be a recording's; absolute, or relative to the inbox."""
        relative = self._relative(path)
        return relative is not None and self.wants_file_named(relative.rpartition("/")[2], relative)

    def concerns(self, path: bytes) -> bool:
        """Whether an event at this path is a reason to look: it may be a recording, or the marker of one."""
        if self.wants_file(path):
            return True
        name = os.fsdecode(path.rpartition(b"/")[2])
        return self.marker is not None and self.marker.is_one(name)

    def is_sign(self, path: bytes) -> bool:
        """Whether a file is one that people and asrwatch leave for each other: what happens to it is news."""
        name = os.fsdecode(path.rpartition(b"/")[2])
        return is_note(name) or name == self.skip_marker

    def wants_folder(self, path: bytes) -> bool:
        """Whether to enter the folder; absolute, or relative to the inbox."""
        relative = self._relative(path)
        return relative is not None and self.wants_folder_named(
            relative.rpartition("/")[2], relative
        )

    def why_not(self, path: bytes) -> str | None:
        """The reason, in words, why a file is left alone; None where it is wanted."""
        relative = self._relative(path)
        if relative is None:
            return "it is outside the inbox"
        for folder in _parents(relative):
            if not self.wants_folder_named(folder.rpartition("/")[2], folder):
                return f"its folder {folder!a} is left out{self._by_whom(folder)}"
        absolute = path if path.startswith(b"/") else self.root + b"/" + path
        if skip := skipped_by(absolute, self.root, self.skip_marker):
            where = os.fsdecode(skip)
            return f"its folder {where!a} is left out: it holds {self.skip_marker}"
        name = relative.rpartition("/")[2]
        return None if self.wants_file_named(name, relative) else self._why_not(name, relative)

    def wants_file_named(self, name: str, relative: str) -> bool:
        """The same for the scanner, which has the names at hand; asked once per file and pass."""
        lower = name.lower()
        if self._include is None:
            _, dot, extension = lower.rpartition(".")
            if not dot or extension not in self._containers:
                return False
        elif is_note(lower) or not _matches(self._include, name, relative):
            return False
        if self._defaults and self._is_ignored_file(lower):
            return False
        if self.marker is not None and self.marker.is_one(name):
            return False
        return self._exclude_file is None or not _matches(self._exclude_file, name, relative)

    def wants_folder_named(self, name: str, relative: str) -> bool:
        """The same for the scanner, which has the names at hand."""
        if not relative:
            return True
        if relative in self._left_out_here:
            return False
        if self._defaults and (name.startswith(".") or name.lower() in _IGNORED_FOLDERS):
            return False
        return self._exclude_folder is None or not _matches(self._exclude_folder, name, relative)

    def _why_not(self, name: str, relative: str) -> str:
        if self._defaults and self._is_ignored_file(name.lower()):
            return f"{self._kind_of_ignored(name.lower())} (the built-in ignore rule)"
        if self.marker is not None and self.marker.is_one(name):
            return "its name is that of a marker (the inbox's `done_marker`)"
        if self._exclude_file and _matches(self._exclude_file, name, relative):
            return "the inbox's `exclude` names it"
        if is_note(name):
            return "it is a note of asrwatch about a recording"
        if self._include:
            return "the inbox's `include` does not name it"
        ending = _extension(name)
        return f"no engine takes .{ending} files" if ending else "its name has no extension"

    def _kind_of_ignored(self, lower: str) -> str:
        """What a file that the built-in rule names is, in words."""
        extension = _extension(lower)
        if lower.startswith("."):
            return "its name begins with a dot, so it is hidden or temporary"
        if lower.startswith("~") or lower.endswith("~"):
            return "names like this are those of backup and temporary files"
        if lower in _IGNORED_FILES or lower.endswith(_IGNORED_ENDINGS):
            return "it belongs to the system that keeps the folder"
        if _SYNC_CONFLICT in lower:
            return "it is the other version of a file in a synchronisation conflict"
        if extension in self._outputs:
            return f"transcripts of this inbox are called .{extension}"
        return f"names in .{extension} are those of temporary or unfinished files"

    def _is_ignored_file(self, lower: str) -> bool:
        return (
            lower.startswith(_IGNORED_STARTS)
            or lower.endswith(_IGNORED_ENDINGS)
            or lower in _IGNORED_FILES
            or _SYNC_CONFLICT in lower
            or _extension(lower) in self._ignored_extensions
        )

    def _by_whom(self, folder: str) -> str:
        if folder in self._left_out_here:
            return ": outputs or finished recordings go there"
        if self._exclude_folder and _matches(
            self._exclude_folder, folder.rpartition("/")[2], folder
        ):
            return " by the inbox's `exclude`"
        return " by the built-in ignore rule"

    def _relative(self, path: bytes) -> str | None:
        below = _below(path, self.root) if path.startswith(b"/") else path
        return None if below is None else os.fsdecode(below)


def _either(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns), re.IGNORECASE)


def _matches(pattern: re.Pattern[str], name: str, relative: str) -> bool:
    return pattern.match(relative) is not None or pattern.match(name) is not None


def _extension_of(written: str) -> str:
    return written.removeprefix("*").removeprefix(".").lower()


def _extension(name: str) -> str:
    return name[name.rfind(".") + 1 :] if "." in name else ""


def _below(path: bytes, root: bytes) -> bytes | None:
    if path == root:
        return b""
    prefix = root.rstrip(b"/") + b"/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def _parents(relative: str) -> Iterator[str]:
    for at, character in enumerate(relative):
        if character == "/":
            yield relative[:at]
