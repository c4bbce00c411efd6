"""Tell by a file's first bytes which container it is, or that it is no recording at all."""

import re

from asrwatch.audio.containers import CONTAINERS, Container, container_by_extension
from asrwatch.errors import RecordingError
from asrwatch.values import printable

__all__ = ["HEAD", "container_of", "id3_size", "looks_like_audio", "marked", "refuse_other"]

HEAD = 4096
"""How many first bytes decide."""

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"

# Where the mark lies, the mark, the container.
_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (0, _W64, "w64"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, _ASF, "asf"),
    (0, b"#!AMR", "amr"),
    (0, b"FLV\x01", "flv"),
    (0, b"ADIF", "aac"),
    (0, b"\x00\x00\x01", "mpeg"),
    (0, b"MAC ", "ape"),
    (0, b"wvpk", "wavpack"),
    (0, b"TTA1", "tta"),
    (0, b"MPCK", "musepack"),
    (0, b"MP+", "musepack"),
    (0, b"caff", "caf"),
    (0, b".snd", "au"),
    (0, b"\x02dss", "dss"),
    (0, b"\x03dss", "dss"),
    (0, b"\x03ds2", "ds2"),
    (0, b"\x03enc", "ds2"),
    (0, b"\x0b\x77", "ac3"),
    # QuickTime files older than `ftyp` begin with any of these boxes.
    (4, b"ftyp", "mp4"),
    (4, b"moov", "mp4"),
    (4, b"mdat", "mp4"),
    (4, b"wide", "mp4"),
    (4, b"pnot", "mp4"),
)
_PICTURE_BRANDS = (b"heic", b"heix", b"heif", b"mif1", b"msf1", b"avif", b"avis")

# What people and tools give an audio name by mistake.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3", "a database"),
    (b"MThd", "a MIDI file, notes without sound"),
)

# Texts that name other files or hosts: a decoder that follows them reads what its user may not.
_PLAYLIST = re.compile(
    r"\s*(#EXTM3U|#EXTINF|ffconcat|\[playlist\]|\[reference\]|RTSPtext|SMILtext|v=0\s"
    r"|<\?wpl|<asx|<smil|(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(MPD|smil|playlist|asx)\b)",
    re.IGNORECASE | re.DOTALL,
)
_WEB_PAGE = re.compile(r"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)

_ID3_HEADER = 10


def container_of(name: bytes, head: bytes) -> Container | None:
    """Which container a file is: by its first bytes, else by its name; None if neither tells.

    Args:
        name: file name or path.
        head: its first `HEAD` bytes (fewer if it is shorter); empty to go by the name alone.
    """
    found = marked(head)
    if found is not None:
        return CONTAINERS[found]
    return container_by_extension(name)


def refuse_other(name: bytes, head: bytes) -> None:
    """Raise if the first bytes show that this is no recording, whatever its name says.

    Raises:
        RecordingError: `not-audio`, in plain words.
    """
    other = _other(name, head)
    if other is not None:
        raise RecordingError(
            f"{printable(name)} is not a recording: it is {other}.",
            code="not-audio",
            advice="Nothing was sent or paid. Remove or rename it, or put the recording in its place.",
        )


def looks_like_audio(name: bytes, head: bytes) -> bool:
    """Whether `refuse_other` would let the file pass."""
    return _other(name, head) is None


def id3_size(head: bytes) -> int:
    """How many bytes an ID3v2 tag at the start of `head` takes; 0 if there is none."""
    if len(head) < _ID3_HEADER or not head.startswith(b"ID3") or max(head[6:10]) > 0x7F:  # noqa: PLR2004 - seven bits of each byte count
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    footer = _ID3_HEADER if head[5] & 0x10 else 0
    return _ID3_HEADER + size + footer


def _other(name: bytes, head: bytes) -> str | None:
    """What the file is instead of a recording; None if it may well be one."""
    if marked(head) is not None or not head:
        return None
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS:
        return "a picture"
    if head.startswith((b"RIFF", b"RIFX")) and len(head) >= 12:  # noqa: PLR2004 - "RIFF", size, kind
        return f"a RIFF file of kind {printable(head[8:12])!r}, neither WAVE nor AVI"
    for mark, what in _OTHERS:
        if head.startswith(mark):
            return what
    text = _as_text(head)
    if text is not None:
        return _kind_of_text(text)
    if not head.strip(b"\x00"):
        return "nothing but zeros at the start; the copy may not have finished"
    promised = container_by_extension(name)
    if promised is not None and promised.marked:
        return f"some other data; a {promised.extension} file begins differently"
    return None


def marked(head: bytes) -> str | None:
    """The name of the container whose mark stands at the start of `head`, if one does."""
    if head[:4] in {b"RIFF", b"RIFX", b"RF64", b"BW64"}:
        return {b"WAVE": "wav", b"AVI ": "avi"}.get(head[8:12])
    if head[:4] == b"FORM":
        return "aiff" if head[8:12] in {b"AIFF", b"AIFC"} else None
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "webm" if b"webm" in head[:64] else "mkv"
    if head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS:
        return None
    for offset, mark, container in _MARKS:
        if head[offset : offset + len(mark)] == mark:
            return container
    if (tag := id3_size(head)) and tag < len(head):
        return marked(head[tag:]) or "mp3"
    if head[:3] == b"ID3":
        return "mp3"
    if head[:1] == b"\x47" and len(head) > 188 and head[188] == 0x47:  # noqa: PLR2004 - MPEG-TS packet length and mark
        return "mpegts"
    return _by_sync(head)


def _by_sync(head: bytes) -> str | None:
    """MPEG audio has no mark, only eleven set bits; the fields behind them must make sense too."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:  # noqa: PLR2004 - a frame header, its sync
        return None
    if head[1] & 0xF6 == 0xF0:  # noqa: PLR2004 - ADTS: twelve set bits, layer 0
        return "aac" if (head[2] >> 2) & 0xF < 13 else None  # noqa: PLR2004 - sample rates there are
    version, layer = (head[1] >> 3) & 3, (head[1] >> 1) & 3
    bit_rate, sample_rate = head[2] >> 4, (head[2] >> 2) & 3
    valid = version != 1 and layer != 0 and bit_rate not in {0, 15} and sample_rate != 3  # noqa: PLR2004 - reserved values
    return "mp3" if valid else None


def _as_text(head: bytes) -> str | None:
    """The first bytes as text, if text is what they are."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head[: len(head) & ~1].decode("utf-16", "replace")
        return text if _reads_well(text) else None
    # The last character may be cut in the middle.
    text = head.decode("utf-8", "ignore").lstrip("\ufeff")
    # Up to three bytes of the last character, three of the byte order mark.
    if len(head) - len(text.encode()) <= 3 + 3 and _reads_well(text):
        return text
    single_byte = head.decode("latin-1")
    letters = sum(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in head)  # noqa: PLR2004 - printable ASCII
    mostly_ascii = letters >= 0.8 * len(head)
    return single_byte if mostly_ascii and _reads_well(single_byte, c1=True) else None


def _reads_well(text: str, *, c1: bool = False) -> bool:
    controls = (
        r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]"
        if c1
        else r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x9f]"
    )
    return re.search(controls, text) is None and "\ufffd" not in text[:-1]


def _kind_of_text(text: str) -> str:
    if _PLAYLIST.match(text):
        return "a playlist, which only names other files"
    if _WEB_PAGE.search(text):
        return "a web page, perhaps the error page of a failed download"
    return "text"
