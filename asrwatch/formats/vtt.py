"""WebVTT subtitles: the web's format, with voices."""

from asrwatch.formats import Format
from asrwatch.formats._cues import Cue, CueOptions, cues, timestamp
from asrwatch.journey.transcript import Provenance, Transcript

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class Vtt(Format[CueOptions]):
    """WebVTT subtitles, two lines a cue; several channels or speakers are voices."""

    Options = CueOptions
    timestamps = True

    def render(self, transcript: Transcript, provenance: Provenance) -> str:
        """The header and cues; a note where nothing was said.

        Raises:
            RecordingError: there is text, but no times.
        """
        del provenance
        found = cues(transcript, self.options)
        if not found:
            return "WEBVTT\n\nNOTE No speech was found in this recording.\n"
        return "WEBVTT\n\n" + "\n".join(_block(cue) for cue in found)


def _block(cue: Cue) -> str:
    text = "\n".join(cue.lines).translate(_ESCAPES)
    voice = f"<v {cue.voice.translate(_ESCAPES)}>" if cue.voice else ""
    return f"{timestamp(cue.begin, '.')} --> {timestamp(cue.end, '.')}\n{voice}{text}\n"
