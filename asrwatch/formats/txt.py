"""Plain text: what was said, in paragraphs; nothing but a line break where nothing was said."""

from collections.abc import Iterator

from asrwatch.formats import Format, FormatOptions
from asrwatch.formats._text import Paragraph, paragraphs
from asrwatch.journey.transcript import Provenance, Transcript


class Txt(Format[FormatOptions]):
    """Plain text, in paragraphs; several channels or speakers are labelled."""

    def render(self, transcript: Transcript, provenance: Provenance) -> str:
        """The text; a single line break where nothing was said.

        An empty file looks like a broken one, and words of ours in a text file would be taken for words
        of the recording; the json format is the one that says `no_speech`.
        """
        del provenance
        return "\n\n".join(_blocks(paragraphs(transcript))) + "\n"


def _blocks(found: tuple[Paragraph, ...]) -> Iterator[str]:
    before = ""
    for paragraph in found:
        label = "" if paragraph.label == before else f"{paragraph.label}:\n"
        yield (label if paragraph.label else "") + paragraph.text
        before = paragraph.label
