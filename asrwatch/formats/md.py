"""Markdown: a title, where it comes from, and paragraphs with their times."""

import re
from datetime import UTC, timedelta
from urllib.parse import unquote, urlsplit

from asrwatch.files.filenames import split_name
from asrwatch.formats import Format, FormatOptions
from asrwatch.formats._alignment import milliseconds
from asrwatch.formats._cues import timestamp
from asrwatch.formats._text import Paragraph, paragraphs
from asrwatch.journey.transcript import Provenance, Transcript
from asrwatch.values import format_duration, printable

# an underscore means something only at the edge of a word, an ampersand only before an entity
_SPECIAL = re.compile(r"([\\`*\[\]<$]|~(?=~)|(?<=~)~|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;))")
_SPECIAL_FIRST = re.compile(r"^([#+\-=:>|~]|\d{1,9}(?=[.)]))")


class Md(Format[FormatOptions]):
    """Markdown: title, date, duration and engine, then paragraphs with [hh:mm:ss] where known."""

    def render(self, transcript: Transcript, provenance: Provenance) -> str:
        """The whole page; "No speech was found" where nothing was said."""
        heard_by = dict.fromkeys((provenance.engine, provenance.model))
        facts = ["- Engine: " + ", ".join(_escaped(name) for name in heard_by)]
        duration = provenance.duration or transcript.duration
        if duration is not None:
            facts.insert(0, f"- Duration: {format_duration(duration)}")
        moment = provenance.recorded_at or provenance.found_at
        if moment is not None:
            facts.insert(0, f"- Date: {moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
        said = [_paragraph(paragraph) for paragraph in paragraphs(transcript)]
        title = f"# {_escaped(_title(provenance.source))}"
        body = said or ["*No speech was found in this recording.*"]
        return "\n\n".join([title, "\n".join(facts), *body]) + "\n"


def _title(source: str) -> str:
    """The stem of a recording's name, or of the last part of its URL."""
    if source.startswith(("http://", "https://", "oss://")):
        source = unquote(urlsplit(source).path.rstrip("/"))
    name = source.rpartition("/")[2].encode("utf-8", "surrogateescape")
    return printable(split_name(name)[0]) or "Transcript"


def _paragraph(paragraph: Paragraph) -> str:
    time = f"[{_clock(paragraph.begin)}] " if paragraph.begin is not None else ""
    label = f"**{_escaped(paragraph.label)}:** " if paragraph.label else ""
    text = _escaped(paragraph.text)
    return f"{time}{label}{text}" if time or label else _SPECIAL_FIRST.sub(_backslash, text)


def _clock(begin: timedelta) -> str:
    return timestamp(milliseconds(begin), ".").partition(".")[0]


def _escaped(text: str) -> str:
    """Foreign text that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", text)


def _backslash(match: re.Match[str]) -> str:
    """A first character that would start a heading, a list or a line; a number keeps its digits."""
    return f"{match[0]}\\" if match[0].isdigit() else f"\\{match[0]}"
