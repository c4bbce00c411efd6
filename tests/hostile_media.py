"""Files that are not what their names say, or that promise what they do not hold: at least forty of them."""

import struct
import zlib
from pathlib import Path

import media_helpers as media

MPEG_FRAME = b"\xff\xfb\x90\x00" + b"\0" * 413


def crafted(folder: Path, *, url: str, neighbour: Path) -> list[Path]:
    """Write them all.

    Args:
        folder: where to.
        url: an address that must not be asked.
        neighbour: a file that must not be opened.
    """
    files = {**_playlists(url, neighbour), **_wrong_kinds(), **_liars(), **_torn(folder)}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def _playlists(url: str, neighbour: Path) -> dict[str, bytes]:
    """Lists that name other files, remote and local, under names of recordings (M02, M03)."""
    targets = {
        "remote": f"{url}/stolen.mp3",
        "local": str(neighbour),
        "file": f"file://{neighbour}",
        "relative": neighbour.name,
    }
    found: dict[str, bytes] = {}
    for which, target in targets.items():
        hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n"
        key = f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n'
        concat = f"ffconcat version 1.0\nfile '{target}'\n"
        dash = (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            f'mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" '
            f'bandwidth="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>'
        )
        found |= {
            f"hls-{which}.mp3": hls.encode(),
            f"hls-{which}.wav": hls.encode(),
            f"key-{which}.aac": key.encode(),
            f"concat-{which}.wav": concat.encode(),
            f"dash-{which}.m4a": dash.encode(),
        }
    sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"
    found |= {
        "session.mp3": sdp.encode(),
        "list.ogg": f"[playlist]\nFile1={targets['remote']}\nNumberOfEntries=1\n".encode(),
        "redirect.wma": f'<asx version="3.0"><entry><ref href="{targets["remote"]}"/></entry></asx>'.encode(),
        "reference.mov": _reference_movie(targets["local"]),
        "reference-remote.m4a": _reference_movie(targets["remote"]),
        "avi-with-list.avi": b"RIFF\xff\xff\xff\x7fAVI "
        + f"#EXTM3U\n{targets['local']}\n".encode(),
    }
    return found


def _reference_movie(target: str) -> bytes:
    """A QuickTime file whose sound lies in another file."""
    alias = target.encode() + b"\0"
    data_reference = _box(b"url ", struct.pack(">I", 0) + alias)
    dref = _box(b"dref", struct.pack(">II", 0, 1) + data_reference)
    entry = struct.pack(">IHHIHHHHI", 0, 0, 1, 0, 1, 16, 0, 0, 16_000 << 16)
    stsd = _box(b"stsd", struct.pack(">II", 0, 1) + _box(b"sowt", b"\0" * 2 + entry))
    stbl = _box(
        b"stbl",
        stsd
        + _box(b"stts", struct.pack(">IIII", 0, 1, 16_000, 1))
        + _box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 16_000, 1))
        + _box(b"stsz", struct.pack(">III", 0, 2, 16_000))
        + _box(b"stco", struct.pack(">III", 0, 1, 0)),
    )
    smhd = _box(b"smhd", b"\0" * 8)
    minf = _box(b"minf", smhd + _box(b"dinf", dref) + stbl)
    mdhd = _box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, 16_000, 16_000, 0, 0))
    hdlr = _box(b"hdlr", struct.pack(">I4s4s", 0, b"mhlr", b"soun") + b"\0" * 13)
    tkhd = _box(b"tkhd", struct.pack(">IIIII", 1, 0, 0, 1, 0) + b"\0" * 64)
    trak = _box(b"trak", tkhd + _box(b"mdia", mdhd + hdlr + minf))
    mvhd = _box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1000, 1000) + b"\0" * 80)
    return _box(b"ftyp", b"qt  \0\0\0\0qt  ") + _box(b"moov", mvhd + trak) + _box(b"mdat", b"")


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def _wrong_kinds() -> dict[str, bytes]:
    """Text, pictures, documents under names of recordings (M01)."""
    pixel = zlib.compress(b"\0\xff\xff\xff")
    png = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    )
    return {
        "text.wav": b"Minutes of the meeting.\n" * 200,
        "page.mp3": b"<!doctype html><html><body>Sign in to continue</body></html>",
        "picture.flac": png + b"\0\0\0\0" + struct.pack(">I", len(pixel)) + b"IDAT" + pixel,
        "paper.m4a": b"%PDF-1.7\n1 0 obj << >> endobj\n%%EOF\n",
        "photo.ogg": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + b"\0" * 2000,
        "archive.aac": b"PK\3\4" + b"\0" * 3000,
        "zeros.wav": b"\0" * 100_000,
        "program.amr": b"\x7fELF\2\1\1" + b"\0" * 4000,
    }


def _liars() -> dict[str, bytes]:
    """Headers that promise a billion seconds, a million channels, one sample a second (M05)."""
    sound = b"\1\0" * 16_000
    return {
        "endless.wav": media.wav_header(data=0xFFFFFFF0) + sound,
        "channels.wav": media.wav_header(channels=65_535, data=len(sound)) + sound,
        "slow.wav": media.wav_header(rate=1, data=len(sound)) + sound,
        "fast.wav": media.wav_header(rate=0x7FFFFFFF, data=len(sound)) + sound,
        "no-channels.wav": media.wav_header(channels=0, data=len(sound)) + sound,
        "no-rate.wav": media.wav_header(rate=0, data=len(sound)) + sound,
        "bits.wav": media.wav_header(bits=65_528, data=len(sound)) + sound,
        "unknown-codec.wav": media.wav_header(tag=0x7777, data=len(sound)) + sound,
        "deep.mp4": _deep(3000),
        "art.mp3": _picture(2_000_000) + MPEG_FRAME * 40,
    }


def _deep(levels: int) -> bytes:
    """Boxes in boxes in boxes."""
    inner = b""
    for _ in range(levels):
        inner = _box(b"moov", inner)
    return _box(b"ftyp", b"isom\0\0\0\0") + inner


def _picture(size: int) -> bytes:
    """An ID3 tag with a picture (M09)."""
    body = b"APIC" + struct.pack(">I", size) + b"\0\0" + b"\0" * size
    length = len(body)
    safe = bytes((length >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + safe + body


def _torn(folder: Path) -> dict[str, bytes]:
    """Good recordings, cut, and with bytes that were flipped: what a fuzzer begins with (M07)."""
    sound = media.tone(1)
    made = {
        "flac": media.write(folder / "whole.flac", sound, codec="flac"),
        "m4a": media.write(folder / "whole.m4a", sound, codec="aac"),
        "mp3": media.write(folder / "whole.mp3", sound, codec="libmp3lame"),
        "mka": media.write(folder / "whole.mka", sound, codec="flac"),
        "wv": media.write(folder / "whole.wv", sound, codec="wavpack"),
    }
    torn = {}
    for ending, path in made.items():
        whole = path.read_bytes()
        path.unlink()
        flipped = bytearray(whole)
        for place in range(40, len(flipped), 97):
            flipped[place] ^= 0xFF
        torn[f"cut.{ending}"] = whole[: len(whole) // 3]
        torn[f"flipped.{ending}"] = bytes(flipped)
    return torn
