"""SubRip subtitles: numbered cues, which every player and editor reads."""

from asrwatch.formats import Format
from asrwatch.formats._cues import Cue, CueOptions, cues, timestamp
from asrwatch.journey.transcript import Provenance, Transcript


class Srt(Format[CueOptions]):
    """SubRip subtitles, two lines a cue, cut at punctuation and at the times of words."""

    Options = CueOptions
    timestamps = True

    def render(self, transcript: Transcript, provenance: Provenance) -> str:
        """Numbered cues; a single line break where nothing was said.

        Raises:
            RecordingError: there is text, but no times.
        """
        del provenance
        found = cues(transcript, self.options)
        return "\n".join(_block(number, cue) for number, cue in enumerate(found, 1)) or "\n"


# a name in brackets would be taken for a tag, which players obey or hide
_TAGS = str.maketrans("<>{}", "[]()")


def _block(number: int, cue: Cue) -> str:
    # SubRip knows no escapes: an arrow in the text would be taken for a line of times
    text = "\n".join(cue.lines).replace("-->", "->")
    label = f"{cue.label}: ".replace("-->", "->").translate(_TAGS) if cue.label else ""
    times = f"{timestamp(cue.begin, ',')} --> {timestamp(cue.end, ',')}"
    return f"{number}\n{times}\n{label}{text}\n"
