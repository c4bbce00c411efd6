"""Finds where a stream of sound holds nothing for a while, so that what follows keeps its place in time."""

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

__all__ = ["Gaps"]

_TELL_TIMES = ("matroska", "mov", "flv")
"""Demuxers of containers that hold a time for each packet. In others it is counted from bytes, or jumps at will."""
_FROM_ZERO = "matroska"
"""Its lengths are counted from zero, wherever the first packet lies; elsewhere from the first packet of any stream."""
LEAST = 0.06
"""Seconds: what is shorter is how inexactly times are written."""
LONGEST = 3600.0
"""Seconds: what is longer is a clock that jumped, and nobody wants to pay for hours of nothing."""
_BETWEEN = 4096
"""Bytes that headers between two packets may take."""
_SPARE = 1.0
"""Seconds that a gap may go beyond the length that the container tells; a time far beyond it is a broken one."""


class Gaps:
    """Follows the frames of one stream.

    Meetings are recorded so: nothing is written while somebody is muted, nor what the network lost, and a track of
    sound may begin later than its pictures. What a decoder could not make anything of leaves a gap as well.
    """

    def __init__(self, container: InputContainer) -> None:
        name = container.format.name
        told = container.duration is not None and name.startswith(_TELL_TIMES)
        self._length = (container.duration or 0) / 1e6 if told else None
        self._origin = 0.0 if name.startswith(_FROM_ZERO) else (container.start_time or 0) / 1e6
        self._alone = name.startswith(_FROM_ZERO) and len(container.streams) == 1
        self._read: int | None = None
        self._done = 0.0
        self._ended: float | None = None

    def skipped(self, packet: "Packet[AudioStream]") -> bool:
        """Whether bytes before this packet, which is the next, were passed over without a word, as they made no sense.

        Only where nothing else can lie between the packets.
        """
        if not self._alone or packet.pos is None:
            return False
        before, self._read = self._read, packet.pos + packet.size
        return before is not None and packet.pos > before + _BETWEEN

    def before(self, frame: AudioFrame) -> float:
        """Seconds that are missing before this frame, which is the next."""
        begins, lasts = frame.time, frame.samples / frame.sample_rate
        if begins is None or self._length is None:
            return 0.0
        since = begins - (self._origin if self._ended is None else self._ended)
        # a clock that runs a little faster than the samples is no gap, and what came twice fills one up
        gap = min(since, begins - self._origin - self._done)
        if not LEAST <= gap <= LONGEST or self._done + gap > self._length + _SPARE:
            gap = 0.0
        self._ended = begins + lasts
        self._done += gap + lasts
        return gap
