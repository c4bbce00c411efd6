"""Says what everything that waits would cost and where it would go, without sending anything."""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

from asrwatch.audio.cutting import about
from asrwatch.audio.diet import copy_size
from asrwatch.audio.facts import probe
from asrwatch.audio.orders import Codec
from asrwatch.cloud.regions import REGIONS, currency_of
from asrwatch.config import InboxSettings
from asrwatch.desk.scene import is_below
from asrwatch.errors import AsrwatchError
from asrwatch.files import open_recording
from asrwatch.inbox.scan import Folder, scan
from asrwatch.journey import silence
from asrwatch.journey.channels import billed as billed_channels
from asrwatch.journey.channels import wished
from asrwatch.journey.cost import expected_bill, last_seconds_of
from asrwatch.journey.listening import facts_of
from asrwatch.journey.plan import AudioFacts, Plan, Preparation
from asrwatch.journey.planning import plan_for
from asrwatch.journey.route import Route
from asrwatch.journey.source import check_arrived
from asrwatch.values import printable

__all__ = ["Planned", "Totals", "currencies", "plan", "takes_folder", "totals"]

AT_ONCE = 500
"""How many files the books are asked about at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One file: where it would go, or why it would fail, or, if it is `silent`, why it is not sent at all.

    `size` is what lies there, `sends` about what would be sent, in bytes; `billed` is the audio that would be paid
    for, in so many `channels` and about so many `pieces`; `prices` say what that costs in each region that has the
    engine.
    """

    path: bytes
    inbox: str
    size: int
    duration: timedelta | None = None
    engine: str | None = None
    preparation: str | None = None
    sends: int = 0
    billed: timedelta = timedelta(0)
    channels: int = 1
    pieces: int = 1
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    why: str = ""
    silent: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """All files together; those that would fail, and the silent, are counted by themselves, and cost nothing."""

    files: int
    failing: int
    silent: int
    size: int
    sends: int
    billed: timedelta
    engines: Mapping[str, int]
    prices: Mapping[str, Decimal]


def plan(
    inboxes: Iterable[InboxSettings],
    routes: Mapping[str, Route],
    *,
    booked: Callable[[Sequence[bytes]], Collection[bytes]],
    folders: Sequence[bytes] = (),
) -> Iterator[Planned]:
    """Everything in these inboxes that would be asked about, file by file.

    Args:
        inboxes: to look through.
        routes: of each of them.
        booked: tells which of some files cost nothing any more.
        folders: to look through these only, inboxes or folders in them; all of every inbox where there are none.
    """
    for inbox in inboxes:
        waiting: list[tuple[bytes, int]] = []
        for found in _files(inbox, folders):
            waiting.append(found)
            if len(waiting) >= AT_ONCE:
                yield from _planned(waiting, routes[inbox.name], booked)
                waiting = []
        yield from _planned(waiting, routes[inbox.name], booked)


def _files(inbox: InboxSettings, folders: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    rule = inbox.ignore_rule()
    meant = [folder for folder in folders if takes_folder(inbox, folder)]
    starts = [folder for folder in meant if not any(is_below(folder, other) for other in meant)]
    for start in dict.fromkeys(starts) if folders else (inbox.root,):
        for folder in scan(rule, folder=start, deep=inbox.recursive):
            if isinstance(folder, Folder):
                for name, status in folder.files():
                    if status.st_size:
                        path = os.path.join(folder.path, os.fsencode(name))  # noqa: PTH118 - bytes, which pathlib cannot hold
                        yield path, status.st_size


def takes_folder(inbox: InboxSettings, folder: bytes) -> bool:
    """Whether what lies in a folder, which is absolute, is this inbox's."""
    return folder == inbox.root or (inbox.recursive and is_below(folder, inbox.root))


def _planned(
    waiting: Sequence[tuple[bytes, int]],
    route: Route,
    booked: Callable[[Sequence[bytes]], Collection[bytes]],
) -> Iterator[Planned]:
    done = set(booked([path for path, _ in waiting])) if waiting else set()
    for path, size in waiting:
        if path not in done:
            yield _one(path, size, route)


def _one(path: bytes, size: int, route: Route) -> Planned:
    facts = AudioFacts()
    try:
        with open_recording(path, root=route.rules.inbox) as stream:
            check_arrived(stream, path, route.care)
            facts = probe(stream, path)
            facts = facts_of(stream, path, route)
        decided = plan_for(route.question(facts, size), route)
    except AsrwatchError as error:
        return _failing(path, size, route, facts, error.message)
    except OSError as error:
        return _failing(path, size, route, facts, f"It cannot be read: {error.strerror}.")
    if silence.is_planned(decided):
        unsent = _failing(path, size, route, facts, silence.REASON)
        return replace(unsent, silent=True)
    engine = route.engines[decided.engine]
    channels = billed_channels(decided.cut, engine.billed_channels(wished(route.wishes, decided)))
    pieces = about(facts.duration, decided.cut) if decided.cut and facts.duration else 1
    billed = expected_bill(facts, size, longest=engine.options.longest, channels=channels)
    billed += last_seconds_of(decided, facts)
    seconds = Decimal(round(billed.total_seconds()))
    regions = [region for region in REGIONS if not engine.regions or region in engine.regions]
    prices = {region: engine.prices[region] for region in regions if region in engine.prices}
    if engine.price_per_second is not None:
        prices[route.region] = engine.price_per_second
    return Planned(
        path=path,
        inbox=route.inbox,
        size=size,
        duration=facts.duration,
        engine=decided.engine,
        preparation=decided.preparation.value,
        sends=_sent(size, facts, decided, apart=engine.channels),
        billed=billed,
        channels=channels,
        pieces=pieces,
        prices={region: price * seconds for region, price in prices.items()},
        why="; ".join(decided.reasons),
    )


def _sent(size: int, facts: AudioFacts, decided: Plan, *, apart: bool) -> int:
    if decided.sends is not None:
        return decided.sends
    if decided.preparation is Preparation.AS_IT_IS or facts.duration is None:
        return size
    channels = max(decided.channels or (0,)) + 1 if apart else 1
    return min(size, copy_size(Codec.FLAC, facts.duration, channels))


def _failing(path: bytes, size: int, route: Route, facts: AudioFacts, why: str) -> Planned:
    return Planned(
        path=path, inbox=route.inbox, size=size, duration=facts.duration, why=printable(why)
    )


def totals(files: Iterable[Planned]) -> Totals:
    """All of them added up."""
    every = list(files)
    engines: dict[str, int] = defaultdict(int)
    prices: dict[str, Decimal] = defaultdict(Decimal)
    for one in every:
        if one.engine is not None:
            engines[one.engine] += 1
        for region, price in one.prices.items():
            prices[region] += price
    return Totals(
        files=len(every),
        failing=sum(one.engine is None and not one.silent for one in every),
        silent=sum(one.silent for one in every),
        size=sum(one.size for one in every),
        sends=sum(one.sends for one in every),
        billed=sum((one.billed for one in every), timedelta(0)),
        engines=dict(engines),
        prices={region: prices[region] for region in REGIONS if region in prices},
    )


def currencies() -> Mapping[str, str]:
    """The currency of every region's prices."""
    return {region: currency_of(region) for region in REGIONS}
