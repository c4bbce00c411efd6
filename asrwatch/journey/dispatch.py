"""Which engine gets a recording, in which preparation, and why: pure decisions.

The rules, in the order they are tried (design section 5): an engine named by the inbox is the only
candidate; otherwise every automatic engine of the region, those that take the bytes in the request first,
because they answer at once. A candidate that cannot give what is wanted, or takes no recording of this length,
is passed over with the reason. One against which only the file's form or size speaks gets it re-encoded. What an
inbox wants cut is cut for the first that only lacks length or times; what is too long for all, for the one that
takes the longest pieces.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from asrwatch.audio import cutting
from asrwatch.audio.containers import taken_by
from asrwatch.errors import RecordingError
from asrwatch.journey.channels import ordinal
from asrwatch.journey.plan import AudioFacts, Cut, Preparation, Wishes
from asrwatch.values import format_duration, format_size

__all__ = ["Candidate", "Choice", "Question", "choose", "decoded_size", "encoded_size"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """What the dispatcher needs to know of an engine (see `engines.Engine` for the words).

    `longest_copy` is how long a re-encoded copy may be, where that is more than `longest`.
    """

    name: str
    takes_bytes: bool
    base64: bool
    timestamps: bool
    channels: bool
    tasks: bool
    automatic: bool
    regions: frozenset[str]
    containers: frozenset[str]
    longest: timedelta
    largest: int
    longest_copy: timedelta | None = None
    codecs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    fastest_rate: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is to be sent where: facts of the audio, its size in bytes, the wishes, the inbox's choice.

    `engine` is None for automatic choice; `refused` names engines that refused this recording before.
    `size` is None where the audio is a URL that nobody has measured. `can_encode` says that the file can be
    re-encoded here, `can_publish` that a re-encoded copy can be given a URL. `cut` is the length of the pieces that
    the inbox wants it cut into; None has it cut only where nothing takes it whole. `split` says that its inbox wants
    every channel as a speaker, however many are left of this recording.
    """

    facts: AudioFacts
    size: int | None
    wishes: Wishes
    region: str
    engine: str | None = None
    refused: tuple[str, ...] = ()
    can_encode: bool = False
    can_publish: bool = False
    cut: timedelta | None = None
    split: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The engine, the preparation, how it is cut if it is, and the reasons in the order they were found."""

    engine: str
    preparation: Preparation
    reasons: tuple[str, ...]
    cut: Cut | None = None


def encoded_size(size: int) -> int:
    """How many bytes `size` bytes take as Base64: four for every three begun."""
    return 4 * ((size + 2) // 3)


def decoded_size(size: int) -> int:
    """How many bytes fit into `size` characters of Base64."""
    return size // 4 * 3


def choose(question: Question, candidates: Sequence[Candidate]) -> Choice:
    """Decide.

    Raises:
        RecordingError: no engine takes this recording; the message holds every reason and limit.
    """
    reasons: list[str] = []
    ordered = _in_order(question, candidates)
    if question.cut is not None:
        wanted = _cut_as_wanted(question, ordered, reasons)
        if wanted is not None:
            return wanted
    for candidate in ordered:
        lasting, in_form = _lasting(question, candidate), _in_form(question, candidate)
        if not lasting and not in_form:
            reasons.append(_fits(question, candidate))
            return Choice(
                engine=candidate.name, preparation=Preparation.AS_IT_IS, reasons=tuple(reasons)
            )
        if not lasting and _can_encode(question, candidate):
            reasons.append(f"{candidate.name}: re-encoded, as {' and '.join(in_form)}")
            return Choice(
                engine=candidate.name, preparation=Preparation.RE_ENCODE, reasons=tuple(reasons)
            )
        reasons.extend(f"not {candidate.name}: {obstacle}" for obstacle in (*lasting, *in_form))
    needed = _cut_as_needed(question, ordered, reasons)
    if needed is not None:
        return needed
    last = _best_of_a_bad_lot(question, ordered)
    if last is not None:
        reasons.append(
            f"{last.name}: the length is unknown and no other engine is left; "
            "the cloud refuses it, for nothing, if it is too long"
        )
        return Choice(engine=last.name, preparation=Preparation.AS_IT_IS, reasons=tuple(reasons))
    why = "; ".join(reasons) or f"no engine is offered in region {question.region}"
    raise RecordingError(
        f"No engine takes this recording as it is: {why}.",
        code="fits-nowhere",
        advice="Split or convert it, change what the inbox asks for, or name another engine for the inbox.",
    )


def _cut_as_wanted(
    question: Question, ordered: Sequence[Candidate], reasons: list[str]
) -> Choice | None:
    """For the first engine that takes it once it is cut; None where none does, or one piece is all of it."""
    duration, target = question.facts.duration, question.cut
    if duration is None or target is None:
        return None
    if not question.can_encode:
        reasons.append("not cut, although the inbox wants it: nothing here can decode it")
        return None
    for candidate in ordered:
        apart = _pieces_of_channels(question, candidate)
        times = not candidate.timestamps and (question.wishes.timestamps or len(apart) > 1)
        if question.wishes.words and not candidate.timestamps:
            continue  # the place of a piece tells when a sentence was said, and not when a word was
        if _lasting(question, candidate, cut=True) or not _can_encode(question, candidate):
            continue
        how = (cutting.for_cues if times else cutting.near)(target, candidate.longest)
        if cutting.about(duration, how) == 1 and not times and not apart:
            reasons.append(
                f"not cut: {_seconds(duration)} is no more than a piece of {_seconds(how.target)}"
            )
            return None
        return _cut_for(question, candidate, how, (*reasons, "the inbox wants it cut"))
    return None


def _cut_as_needed(
    question: Question, ordered: Sequence[Candidate], reasons: Sequence[str]
) -> Choice | None:
    """For the engine that takes the longest pieces, where nothing but its length speaks against it."""
    if question.facts.duration is None:
        return None
    able = [
        candidate
        for candidate in ordered
        if _can_encode(question, candidate)
        and not _lasting(question, candidate, cut=True)
        and (not _no_times(question, candidate) or _is_cut_at_turns(question, candidate))
    ]
    if not able:
        return None
    best = max(able, key=lambda candidate: candidate.longest)
    cut_at = cutting.for_cues if _is_cut_at_turns(question, best) else cutting.near
    how = cut_at(best.longest, best.longest)
    return _cut_for(question, best, how, reasons)


def _pieces_of_channels(question: Question, candidate: Candidate) -> tuple[int, ...]:
    """The channels that an engine which hears one is given piece by piece; none where all are sent as one."""
    wanted = question.wishes.channels
    return () if candidate.channels or wanted == (0,) else wanted


def _is_cut_at_turns(question: Question, candidate: Candidate) -> bool:
    """Whether the place of its pieces tells who speaks when: as exactly as sentences, and not as words."""
    several = len(_pieces_of_channels(question, candidate)) > 1
    alone = question.split and question.wishes.timestamps and not candidate.timestamps
    return (several or alone) and not question.wishes.words


def _cut_for(question: Question, candidate: Candidate, how: Cut, reasons: Sequence[str]) -> Choice:
    how = replace(how, channels=_pieces_of_channels(question, candidate) or None)
    duration = question.facts.duration or timedelta(0)
    number = cutting.about(duration, how)
    pieces = "pieces" if number > 1 else "piece"
    said = f"{candidate.name}: cut at pauses into about {number} {pieces} of {_seconds(how.target)}"
    why = ", so that subtitles have their times" if how.cues else ""
    if how.channels is not None:
        why = ", each of one channel, so that it is known who speaks when"
    billed = "; each is paid by itself, its last second begun counts as whole"
    return Choice(
        engine=candidate.name,
        preparation=Preparation.CUT,
        reasons=(*reasons, f"{said}{why}{billed}"),
        cut=how,
    )


def _in_order(question: Question, candidates: Sequence[Candidate]) -> list[Candidate]:
    if question.engine is not None:
        return [candidate for candidate in candidates if candidate.name == question.engine]
    automatic = [candidate for candidate in candidates if candidate.automatic]
    return sorted(automatic, key=lambda candidate: (candidate.tasks, candidate.name))


def _lasting(question: Question, candidate: Candidate, *, cut: bool = False) -> list[str]:
    """Everything that speaks against a candidate whatever is done to the file but to `cut` it, in words."""
    return [
        obstacle
        for obstacle in (
            _refused_before(question, candidate),
            _elsewhere(question, candidate),
            "" if cut else _no_times(question, candidate),
            "" if cut else _one_channel(question, candidate),
            "" if cut else _too_long(question, candidate),
        )
        if obstacle
    ]


def _in_form(question: Question, candidate: Candidate) -> list[str]:
    """What speaks against the file as it is, and not against a re-encoded copy, in words."""
    return [
        obstacle
        for obstacle in (
            _container(question, candidate),
            _codec(question, candidate),
            _several_tracks(question, candidate),
            _only_exactly(question, candidate),
            _too_large(question, candidate),
        )
        if obstacle
    ]


def _can_encode(question: Question, candidate: Candidate) -> bool:
    return question.can_encode and (candidate.takes_bytes or question.can_publish)


def _refused_before(question: Question, candidate: Candidate) -> str:
    return "it refused this recording before" if candidate.name in question.refused else ""


def _elsewhere(question: Question, candidate: Candidate) -> str:
    if candidate.regions and question.region not in candidate.regions:
        return f"it is not offered in region {question.region}"
    return ""


def _no_times(question: Question, candidate: Candidate) -> str:
    if candidate.timestamps or not (question.wishes.timestamps or question.wishes.words):
        return ""
    return "it gives no timestamps, and subtitles or words are wanted"


def _one_channel(question: Question, candidate: Candidate) -> str:
    if candidate.channels or question.wishes.channels == (0,):
        return ""
    wanted = ", ".join(str(channel) for channel in question.wishes.channels)
    return f"it hears one mixed channel, and wanted are channels {wanted}"


def _container(question: Question, candidate: Candidate) -> str:
    container = question.facts.container
    if container is None or taken_by(container, candidate.containers):
        return ""
    return f"it does not take {container} files"


def _codec(question: Question, candidate: Candidate) -> str:
    """Containers that may hold anything are taken with the sound that is sure to be understood."""
    facts = question.facts
    wanted = candidate.codecs.get(facts.container or "")
    if not question.can_encode or wanted is None or facts.codec is None:
        return ""  # without re-encoding it is better tried than given up: a refusal costs nothing
    if facts.codec not in wanted:
        return f"its sound is {facts.codec}"
    rate, fastest = facts.sample_rate, candidate.fastest_rate
    if rate is not None and fastest is not None and rate > fastest:
        return f"{rate / 1000:g} kHz is more than the {fastest / 1000:g} kHz that are worth sending"
    return ""


def _several_tracks(question: Question, candidate: Candidate) -> str:
    """Which of them an engine would take is written nowhere; one that is chosen here can be told."""
    tracks = question.facts.tracks
    if tracks is None or tracks == 1 or not _can_encode(question, candidate):
        return ""
    return f"it has {tracks} tracks of sound, of which the {ordinal(question.facts.track)} is sent"


def _too_long(question: Question, candidate: Candidate) -> str:
    duration = question.facts.duration
    if duration is None:
        if candidate.tasks:
            return ""
        return f"its limit is {_seconds(candidate.longest)} and the length is unknown"
    if duration <= candidate.longest or _only_exactly(question, candidate):
        return ""
    is_long, limit = _seconds(duration), _seconds(candidate.longest)
    if is_long == limit:  # a hair over: rounding would make nonsense of it
        is_long, limit = (f"{span.total_seconds()} s" for span in (duration, candidate.longest))
    return f"{is_long} is longer than its limit of {limit}"


def _only_exactly(question: Question, candidate: Candidate) -> str:
    """Frames of a compressed file round its length up; a copy has every sample counted, and may go to the limit."""
    duration, most = question.facts.duration, candidate.longest_copy
    if duration is None or most is None or not _can_encode(question, candidate):
        return ""
    if not candidate.longest < duration <= most:
        return ""
    return f"only a copy of exactly {_seconds(duration)} is sure to be within {_seconds(most)}"


def _too_large(question: Question, candidate: Candidate) -> str:
    if question.size is None:
        return ""
    size = encoded_size(question.size) if candidate.base64 else question.size
    if size <= candidate.largest:
        return ""
    form = " as Base64" if candidate.base64 else ""
    is_large, limit = format_size(size), format_size(candidate.largest)
    if is_large == limit:  # same
        is_large, limit = f"{size:,} bytes", f"{candidate.largest:,} bytes"
    return f"{is_large}{form} is more than its limit of {limit}"


def _fits(question: Question, candidate: Candidate) -> str:
    chosen = "it was named" if question.engine else "it takes the recording as it is"
    duration = question.facts.duration
    parts = [
        f"{_seconds(duration)} of at most {_seconds(candidate.longest)}"
        if duration is not None
        else "unknown length"
    ]
    if question.size is not None:
        size = encoded_size(question.size) if candidate.base64 else question.size
        form = " as Base64" if candidate.base64 else ""
        parts.append(f"{format_size(size)}{form} of at most {format_size(candidate.largest)}")
    return f"{candidate.name}: {chosen} ({', '.join(parts)})"


def _best_of_a_bad_lot(question: Question, ordered: Sequence[Candidate]) -> Candidate | None:
    """An engine against which nothing speaks but an unknown length: better asked than given up."""
    if question.facts.duration is not None:
        return None
    for candidate in ordered:
        unknown = _too_long(question, candidate)
        if [*_lasting(question, candidate), *_in_form(question, candidate)] == [unknown]:
            return candidate
    return None


def _seconds(span: timedelta) -> str:
    """Seconds up to ten minutes, since the limits are written so; the longer form beyond."""
    seconds = span.total_seconds()
    return f"{seconds:.4g} s" if seconds < 600 else format_duration(span)  # noqa: PLR2004 - ten minutes
