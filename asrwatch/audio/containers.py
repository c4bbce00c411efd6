"""The containers there are, with their file name extensions and MIME types.

The names are those of `AudioFacts.container`. Which of them an engine takes is the engine's business
(contract sections 3 and 4.1); it names extensions, and `taken_by` compares.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "CONTAINERS",
    "EXTENSIONS",
    "Container",
    "container_by_extension",
    "extension_of",
    "mime_of",
    "taken_by",
]

UNKNOWN_EXTENSION = "bin"
UNKNOWN_MIME = "application/octet-stream"


@dataclass(frozen=True, kw_only=True, slots=True)
class Container:
    """A kind of file: its name, and the MIME type of each extension it goes by, the usual one first.

    `marked` containers always begin with a mark of their own, so a file that goes by such a name and
    lacks the mark is something else; the others are streams of frames that may begin with anything.
    """

    name: str
    mimes: Mapping[str, str]
    marked: bool = True

    @property
    def extensions(self) -> tuple[str, ...]:
        """Every extension it goes by, lower case, no dot, the usual one first."""
        return tuple(self.mimes)

    @property
    def extension(self) -> str:
        """The usual extension."""
        return next(iter(self.mimes))

    @property
    def mime(self) -> str:
        """The MIME type of the usual extension."""
        return next(iter(self.mimes.values()))


def _container(name: str, *, marked: bool = True, **mimes: str) -> Container:
    return Container(name=name, mimes=MappingProxyType(mimes), marked=marked)


_TAKEN = (
    _container("wav", wav="audio/wav", wave="audio/wav", rf64="audio/wav"),
    _container(
        "mp3",
        marked=False,
        mp3="audio/mpeg",
        mp2="audio/mpeg",
        mpga="audio/mpeg",
    ),
    _container("aac", marked=False, aac="audio/aac", adts="audio/aac"),
    _container("flac", flac="audio/flac"),
    _container(
        "ogg",
        ogg="audio/ogg",
        opus="audio/ogg",
        oga="audio/ogg",
        spx="audio/ogg",
        ogv="video/ogg",
    ),
    Container(
        name="mp4",
        mimes=MappingProxyType(
            {
                "mp4": "video/mp4",
                "m4a": "audio/mp4",
                "m4b": "audio/mp4",
                "m4v": "video/mp4",
                "m4p": "audio/mp4",
                "aax": "audio/vnd.audible.aax",
                "mov": "video/quicktime",
                "qt": "video/quicktime",
                "3gp": "video/3gpp",
                "3g2": "video/3gpp2",
            }
        ),
    ),
    _container("asf", wma="audio/x-ms-wma", wmv="video/x-ms-wmv", asf="video/x-ms-asf"),
    _container("amr", amr="audio/amr", awb="audio/amr-wb"),
    _container("aiff", aiff="audio/aiff", aif="audio/aiff", aifc="audio/aiff"),
    _container("mkv", mkv="video/x-matroska", mka="audio/x-matroska"),
    _container("webm", webm="video/webm"),
    _container("avi", avi="video/x-msvideo"),
    _container("flv", flv="video/x-flv"),
    _container("mpeg", mpeg="video/mpeg", mpg="video/mpeg", vob="video/mpeg"),
)
# No engine takes these as they are: they are re-encoded, or refused by their name.
_OTHERS = (
    _container("w64", w64="audio/x-w64"),
    _container(
        "mpegts",
        marked=False,
        ts="video/mp2t",
        mts="video/mp2t",
        m2ts="video/mp2t",
    ),
    _container("ac3", ac3="audio/ac3"),
    _container("ape", ape="audio/x-ape"),
    _container("wavpack", wv="audio/x-wavpack"),
    _container("tta", tta="audio/x-tta"),
    _container("musepack", mpc="audio/x-musepack"),
    _container("caf", caf="audio/x-caf"),
    _container("au", au="audio/basic", snd="audio/basic"),
    _container("dss", dss="audio/x-dss"),
    _container("ds2", ds2="audio/x-ds2"),
)

CONTAINERS: Mapping[str, Container] = MappingProxyType(
    {container.name: container for container in (*_TAKEN, *_OTHERS)}
)

_BY_EXTENSION: Mapping[str, Container] = MappingProxyType(
    {
        extension: container
        for container in CONTAINERS.values()
        for extension in container.extensions
    }
)

EXTENSIONS: frozenset[str] = frozenset(_BY_EXTENSION) - {"ts"}
"""What an inbox looks for unless told otherwise; `ts` has to be asked for, as TypeScript's sources end so, too."""


def container_by_extension(name: bytes) -> Container | None:
    """What a file name or path promises, whatever the case of its ending."""
    return _BY_EXTENSION.get(_ending(name))


def taken_by(container: str | None, extensions: Collection[str]) -> bool:
    """Whether an engine that documents these extensions takes the container; unknown is not taken."""
    known = CONTAINERS.get(container) if container is not None else None
    return known is not None and not set(known.extensions).isdisjoint(extensions)


def extension_of(container: str | None, name: bytes) -> str:
    """The ending, without the dot, under which to upload a file: ASCII, and true to its content.

    A name's own ending is kept where it belongs to the container (`m4a` stays `m4a`), a wrong one is
    replaced by the usual one.
    """
    known = CONTAINERS.get(container) if container is not None else None
    if known is None:
        return UNKNOWN_EXTENSION
    ending = _ending(name)
    return ending if ending in known.mimes else known.extension


def mime_of(container: str | None, name: bytes) -> str:
    """The MIME type for a data URI or an upload (contract section 2.1: the container's)."""
    known = CONTAINERS.get(container) if container is not None else None
    if known is None:
        return UNKNOWN_MIME
    return known.mimes[extension_of(container, name)]


def _ending(name: bytes) -> str:
    base = name.rpartition(b"/")[2]
    stem, dot, ending = base.rpartition(b".")
    return ending.decode("ascii", "replace").lower() if dot and stem else ""
