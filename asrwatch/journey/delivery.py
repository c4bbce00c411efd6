"""Where transcripts go, and what becomes of the original.

`decide` names the outputs (main thread, no file touched), the row is saved, `write` puts them there and
`finish` deals with the original (a worker). All three may be repeated after a crash at any point: names
are decided once, a file that holds exactly what is to be written is ours, and a finished move is
found at its target. Nothing we did not write, and nothing edited since, is ever overwritten.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Literal, Self

from asrwatch.crash import crash_point
from asrwatch.errors import OurBug, SourceChanged, Vanished
from asrwatch.files import split_below
from asrwatch.files.filenames import LONGEST_NAME, fitted, portable, split_name
from asrwatch.files.folders import Folder, open_folder
from asrwatch.files.moving import delete, move_without_clobbering
from asrwatch.journey.evidence import Output
from asrwatch.journey.recording import Recording

__all__ = ["Original", "Rendered", "Rules", "decide", "finish", "save", "write"]

_NEW = re.compile(rb"\.new([2-9]|[1-9][0-9]+)?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What an inbox wants done with its transcripts and originals.

    `inbox` is the inbox's folder; `output` is `beside` or a folder in which its sub-folders are mirrored;
    `after` is `keep`, `delete` or a folder the originals are moved to, mirrored too. `portable` gives the
    outputs, and the folders mirrored for them, names that every common file system takes.
    """

    inbox: bytes
    output: Literal["beside"] | bytes
    formats: tuple[str, ...]
    after: Literal["keep", "delete"] | bytes = "keep"
    portable: bool = False

    @property
    def outputs_root(self) -> bytes:
        """The folder all outputs lie in or below; symbolic links below it are not followed."""
        return self.inbox if self.output == "beside" else self.output


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A format's file as it is to be written."""

    format: str
    content: bytes

    @classmethod
    def of(cls, name: str, text: str) -> Self:
        """Of a format's name and text; what UTF-8 cannot hold is escaped."""
        return cls(format=name, content=text.encode("utf-8", "backslashreplace"))

    @property
    def sha256(self) -> str:
        """Of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Original:
    """Where the recording lies now (None: nowhere), and why it was left alone if it should not be."""

    path: bytes | None
    left_alone: str = ""


def decide(
    recording: Recording,
    rules: Rules,
    *,
    owners_of: Callable[[Sequence[bytes]], frozenset[int]],
    limit: int = LONGEST_NAME,
) -> tuple[Output, ...]:
    """Name the outputs of a recording: one per wanted format, none written yet (sha256 "").

    A path that was decided before is kept. `<stem>.<format>`; if another recording owns one of these,
    `<stem>.<ext>.<format>`, then `<stem>.<ext>.2.<format>` and so on, the same for all formats.

    Args:
        recording: whose outputs; its `outputs` are those decided before.
        rules: of its inbox.
        owners_of: the ids of the recordings whose outputs hold any of these paths.
        limit: how many bytes a name may have; `write` shortens further where a folder takes less.
    """
    decided = {output.format: output for output in recording.outputs}
    folder = output_folder(recording, rules)

    def is_free(base: bytes) -> bool:
        # a recording that had to write beside a file keeps the whole family of names
        paths = [
            _join(folder, fitted(stem, _ending(name), limit))
            for name in rules.formats
            for stem in _family(base)
        ]
        return recording.path not in paths and owners_of(paths) <= {recording.id}

    base = next(base for base in _bases(_name_of(recording.path), rules) if is_free(base))
    paths = {name: _join(folder, fitted(base, _ending(name), limit)) for name in rules.formats}
    return tuple(
        decided.get(name, Output(format=name, path=path, sha256="")) for name, path in paths.items()
    )


def write(recording: Recording, rules: Rules, rendered: Sequence[Rendered]) -> tuple[Output, ...]:
    """Put every output in its place, complete and durable.

    A file that is not ours, or was edited since, stays; ours appears beside it as
    `<stem>.new.<format>`, `.new2` and so on.

    Args:
        recording: with its `outputs` decided, and saved.
        rules: of its inbox.
        rendered: one for each of the outputs' formats.

    Returns:
        The outputs as they are now, with the hashes of what was written.

    Raises:
        TemporaryError: no space, no permission, the share is away; nothing half-written stays.
        RecordingError: something is in the way that waiting does not remove.
    """
    decided = {output.format: output for output in recording.outputs}
    if missing := [piece.format for piece in rendered if piece.format not in decided]:
        msg = f"recording {recording.id} has no place decided for {', '.join(missing)}"
        raise OurBug(msg)
    return tuple(_put(decided[piece.format], rules, piece) for piece in rendered)


def finish(recording: Recording, rules: Rules) -> Original:
    """Do with the original what the inbox wants, once `write` has returned.

    An original that is not the file that settled any more is left alone.

    Raises:
        TemporaryError: not now; nothing is lost, and nothing half-done is seen.
    """
    path = recording.path
    try:
        match rules.after:
            case "keep":
                return Original(path=path)
            case "delete":
                delete(path, recording.fingerprint, root=rules.inbox)
                return Original(path=None)
            case folder:
                moved = move_without_clobbering(
                    path,
                    _join(folder, _inside(recording, rules)),
                    _name_of(path),
                    fingerprint=recording.fingerprint,
                    sha256=recording.reading.sha256 if recording.reading else None,
                    root=folder,
                    source_root=rules.inbox,
                )
                return Original(path=moved)
    except SourceChanged as error:
        return Original(path=path, left_alone=error.message)
    except Vanished as error:
        return Original(path=None, left_alone=error.message)


def save(folder: bytes, stem: bytes, rendered: Sequence[Rendered]) -> tuple[Output, ...]:
    """Write outputs that belong to no inbox: never over another file, and all of them under one stem.

    Where a file with other content has one of their names, all are called `<stem>.new.<format>`, then
    `.new2` and so on; a file that holds exactly what is to be written is taken as written.

    Args:
        folder: where; created if missing.
        stem: of the files' names.
        rendered: what; the formats' names are the endings.

    Raises:
        TemporaryError: no space, no permission.
        RecordingError: something is in the way.
    """
    with open_folder(folder) as opened:
        for base in _beside(stem, 0):
            if _save_as(opened, base, rendered):
                return tuple(
                    Output(format=piece.format, path=opened.path_of(name), sha256=piece.sha256)
                    for name, piece in _named(opened, base, rendered)
                )
    raise AssertionError  # pragma: no cover - _beside never ends


def _save_as(folder: Folder, base: bytes, rendered: Sequence[Rendered]) -> bool:
    """Write all of them under one stem, or none if one of the names is another file's."""
    named = _named(folder, base, rendered)
    if any(
        folder.look(name) is not None and folder.sha256_of(name) != piece.sha256
        for name, piece in named
    ):
        return False
    # a name that another process takes meanwhile is seen here: then the next stem, for all of them
    return all(_write_here(folder, name, "", piece) for name, piece in named)


def _named(
    folder: Folder, base: bytes, rendered: Sequence[Rendered]
) -> list[tuple[bytes, Rendered]]:
    limit = folder.name_limit()
    return [(fitted(base, _ending(piece.format), limit), piece) for piece in rendered]


def output_folder(recording: Recording, rules: Rules) -> bytes:
    if rules.output == "beside":
        return _folder_of(recording.path)
    inside = _inside(recording, rules)
    if rules.portable:
        inside = b"/".join(portable(step) for step in inside.split(b"/"))
    return _join(rules.output, inside)


def _inside(recording: Recording, rules: Rules) -> bytes:
    """The recording's folder as the steps below its inbox; empty where it does not lie in it."""
    root, inside = split_below(_folder_of(recording.path), rules.inbox)
    return inside if root == rules.inbox else b""


def _bases(name: bytes, rules: Rules) -> Iterator[bytes]:
    """What the outputs may be called without their endings, best first.

    None ends as `write` ends those it puts beside a foreign file: no recording's `.new` transcript may
    have the name that is decided for another.
    """
    stem, _ = split_name(name)
    if rules.portable:
        stem, name = portable(stem), portable(name)
    numbered = (b"%s.%d" % (name, number) for number in count(2))
    return (base for base in chain((stem, name), numbered) if not _NEW.search(base))


def _family(base: bytes) -> list[bytes]:
    return [base, base + b".new", *(base + b".new%d" % number for number in range(2, 10))]


def _put(output: Output, rules: Rules, piece: Rendered) -> Output:
    lies_in = _folder_of(output.path)
    root, inside = split_below(lies_in, rules.outputs_root)
    # an inbox that is away this very moment comes back where it was, if nobody made another in its place
    with open_folder(root, inside, create_root=root != rules.inbox) as folder:
        limit = folder.name_limit()
        for stem in _stems(output):
            name = fitted(stem, _ending(output.format), limit)
            if _write_here(folder, name, output.sha256, piece):
                crash_point("output-placed")
                return replace(output, path=_join(lies_in, name), sha256=piece.sha256)
    raise AssertionError  # pragma: no cover - _stems never ends


def _stems(output: Output) -> Iterator[bytes]:
    """The stem that was decided, then those beside it, counted on from where it is."""
    stem = _name_of(output.path).removesuffix(_ending(output.format))
    told = _NEW.search(stem)
    if told is None:
        return _beside(stem, 0)
    return _beside(stem[: told.start()], int(told[1] or 1))


def _beside(stem: bytes, first: int) -> Iterator[bytes]:
    """`stem`, `stem.new`, `stem.new2` and so on, without end, from the one with this number."""
    for number in count(first):
        match number:
            case 0:
                yield stem
            case 1:
                yield stem + b".new"
            case _:
                yield stem + b".new%d" % number


def _write_here(folder: Folder, name: bytes, ours: str, piece: Rendered) -> bool:
    """Write under `name` unless somebody else's file has it; `ours` is the hash of what we wrote there."""
    if folder.look(name) is None:
        return folder.write(name, piece.content, replace=False)
    there = folder.sha256_of(name)
    if there == piece.sha256:
        # written before a crash: complete, but perhaps not on the disk yet
        folder.make_durable(name)
        return True
    return there == ours and folder.write(name, piece.content, replace=True)


def _ending(name: str) -> bytes:
    return b"." + name.encode()


def _join(folder: bytes, name: bytes) -> bytes:
    return os.path.join(folder, name) if name else folder  # noqa: PTH118 - bytes


def _folder_of(path: bytes) -> bytes:
    return os.path.dirname(path)  # noqa: PTH120 - bytes


def _name_of(path: bytes) -> bytes:
    return os.path.basename(path)  # noqa: PTH119 - bytes
