import io

import pytest
from audio_helpers import encode, pcm, wav

from asrwatch.audio.containers import (
    CONTAINERS,
    EXTENSIONS,
    container_by_extension,
    extension_of,
    mime_of,
    taken_by,
)
from asrwatch.audio.facts import probe
from asrwatch.audio.magic import container_of, looks_like_audio, refuse_other
from asrwatch.errors import RecordingError

OTHERS = {
    "text": b"Dear all,\nplease find the recording attached.\n",
    "latin-1 text": b"Gr\xfc\xdfe aus K\xf6ln, das ist kein Ton.\r\n" * 5,
    "utf-16 text": "\ufeffnot a sound".encode("utf-16-le"),
    "utf-8 text": "Ceci n\u2019est pas un enregistrement, hélas".encode() * 200,
    "json": b'{"talkgroup": 1, "freq": 851000000}',
    "html": b"<!DOCTYPE html><html><head><title>404</title></head></html>",
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    "gif": b"GIF89a\x01\0\x01\0",
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0",
    "webp": b"RIFF\x24\0\0\0WEBPVP8 ",
    "zip": b"PK\x03\x04\x14\0\0\0",
    "midi": b"MThd\0\0\0\x06\0\x01",
    "program": b"\x7fELF\x02\x01\x01",
    "zeros": bytes(5_000),
    "noise": bytes(range(1, 256)) * 20,
}
PLAYLISTS = {
    "hls": b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:9,\nfile:///etc/passwd\n",
    "hls after blanks": b"\n\n  #EXTM3U\nhttp://169.254.169.254/latest\n",
    "hls with a mark": b"\xef\xbb\xbf#EXTM3U\nx.mp3\n",
    "concat": b"ffconcat version 1.0\nfile ../other/secret.wav\n",
    "pls": b"[playlist]\nFile1=http://127.0.0.1/a.mp3\n",
    "dash": b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">',
    "smil": b"<smil><body><audio src='x'/></body></smil>",
    "asx": b"<asx version='3.0'><entry/></asx>",
    "sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\n",
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", [b"memo.wav", b"memo.mp3", b"memo.m4a", b"memo"])
def test_other_files_are_refused(kind: str, name: bytes) -> None:
    """Text, documents, pictures and noise under an audio name are refused before anything is paid."""
    if kind == "noise" and name == b"memo":
        assert probe(io.BytesIO(OTHERS[kind]), name).container is None
        return
    with pytest.raises(RecordingError) as caught:
        probe(io.BytesIO(OTHERS[kind]), name)
    assert caught.value.code == "not-audio"
    assert name.decode() in caught.value.message
    assert "Nothing was sent or paid" in caught.value.advice


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("name", [b"a.wav", b"a.mp3", b"a.aac"])
def test_playlists_are_refused(kind: str, name: bytes) -> None:
    """A playlist under an audio name is refused as one, so that no decoder ever follows it."""
    with pytest.raises(RecordingError, match="playlist") as caught:
        probe(io.BytesIO(PLAYLISTS[kind]), name)
    assert caught.value.code == "not-audio"


def test_playlist_behind_a_tag_is_refused() -> None:
    """An ID3 tag in front does not make a playlist a recording."""
    content = b"ID3\x04\0\0\0\0\0\x05abcde" + PLAYLISTS["hls"]
    with pytest.raises(RecordingError, match="playlist"):
        probe(io.BytesIO(content), b"a.mp3")


def test_hostile_name_in_the_message() -> None:
    """A name with line breaks and control sequences is shown escaped."""
    with pytest.raises(RecordingError) as caught:
        refuse_other(b"a\n\x1b[31m\xff.wav", b"some text")
    assert "a\\n\\x1b[31m\\xff.wav" in caught.value.message


def test_content_beats_name() -> None:
    """A container is what its first bytes say, whatever the file is called."""
    mp3 = encode("mp3", "libmp3lame", 1)
    assert probe(io.BytesIO(mp3), b"call.wav").container == "mp3"
    assert probe(io.BytesIO(wav(pcm(1))), b"call.mp3").container == "wav"
    assert extension_of("mp3", b"call.wav") == "mp3"
    assert mime_of("mp3", b"call.wav") == "audio/mpeg"


def test_name_decides_where_content_does_not() -> None:
    """With no bytes at hand the name's ending decides, in upper case too."""
    found = container_of(b"/inbox/REC0001.WMA", b"")
    assert found is not None
    assert found.name == "asf"
    assert container_of(b"README", b"") is None
    assert container_by_extension(b".wav") is None
    assert container_by_extension(b"a.wav/b") is None


def test_mime_and_ending_follow_the_name_inside_a_container() -> None:
    """An M4A stays one, a WMV is not called WMA, and the unknown is called neither."""
    assert (extension_of("mp4", b"a.M4A"), mime_of("mp4", b"a.M4A")) == ("m4a", "audio/mp4")
    assert mime_of("mp4", b"a.mov") == "video/quicktime"
    assert mime_of("asf", b"a.wmv") == "video/x-ms-wmv"
    assert mime_of("wav", b"a") == "audio/wav"
    assert (extension_of(None, b"a.xyz"), mime_of(None, b"a")) == (
        "bin",
        "application/octet-stream",
    )


def test_engines_extensions_find_their_containers() -> None:
    """Every extension the vendor documents (contract sections 3 and 4.1) belongs to a container."""
    documented = {
        "aac",
        "amr",
        "avi",
        "aiff",
        "flac",
        "flv",
        "m4a",
        "mkv",
        "mov",
        "mp3",
        "mp4",
        "mpeg",
        "ogg",
        "opus",
        "wav",
        "webm",
        "wma",
        "wmv",
    }
    assert documented <= EXTENSIONS
    # TypeScript's sources are looked at only if somebody asks for them.
    assert EXTENSIONS.isdisjoint({"ts", "txt"})
    assert container_by_extension(b"memo.dss") is CONTAINERS["dss"]
    assert taken_by("mp4", {"m4a"})
    assert not taken_by("mp4", {"wav", "mp3"})
    assert not taken_by("dss", documented)
    assert not taken_by(None, documented)


def test_containers_do_not_share_extensions() -> None:
    """No extension belongs to two containers, and all are lower case without a dot."""
    extensions = [ending for kind in CONTAINERS.values() for ending in kind.extensions]
    assert len(extensions) == len(set(extensions))
    assert all(ending.isalnum() and ending == ending.lower() for ending in extensions)
    assert all("/" in mime for kind in CONTAINERS.values() for mime in kind.mimes.values())
    assert all(kind.extension in kind.mimes and kind.mime for kind in CONTAINERS.values())


@pytest.mark.parametrize(
    ("container", "head"),
    [
        ("dss", b"\x02dss" + bytes(60)),
        ("ds2", b"\x03ds2" + bytes(60)),
        ("caf", b"caff\0\x01\0\0"),
        ("mpeg", b"\0\0\x01\xba\x44\0\x04"),
        ("mpegts", (b"\x47" + b"\xff" * 187) * 3),
        ("aac", b"\xff\xf1\x50\x80\x02\x1f\xfc"),
        ("mp3", b"\xff\xfb\x90\xc4"),
        ("flac", b"fLaC\0\0\0\x22"),
        ("flac", b"ID3\x04\0\0\0\0\0\x02xxfLaC\0\0\0\x22"),
        ("mkv", b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska"),
        ("webm", b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm"),
    ],
)
def test_marks(container: str, head: bytes) -> None:
    """Containers are known by their marks, without any name."""
    found = container_of(b"recording", head)
    assert found is not None
    assert found.name == container
    assert looks_like_audio(b"recording", head)
