"""Removes what a recording leaves behind on its way: drafts of outputs, copies in the spool."""

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta

from asrwatch.files import sweep
from asrwatch.journey.recording import Recording
from asrwatch.journey.route import Route

__all__ = ["discard", "sweep_spool", "tidy_up"]


def tidy_up(recording: Recording, route: Route) -> None:
    """Remove the drafts that a killed process left where this recording was being delivered."""
    discard(recording, route)
    folders = {os.path.dirname(output.path) for output in recording.outputs}  # noqa: PTH120 - paths are bytes
    if isinstance(route.rules.after, bytes):
        below = os.path.relpath(os.path.dirname(recording.path), route.rules.inbox)  # noqa: PTH120 - same
        folders.add(os.path.normpath(os.path.join(route.rules.after, below)))  # noqa: PTH118 - same
    for folder in folders:
        sweep(folder)


def discard(recording: Recording, route: Route) -> None:
    """Remove the re-encoded copy of a recording, or piece, that needs it no longer."""
    if route.preparer is not None:
        route.preparer.discard(recording.staging.prepared if recording.staging else None)
        route.preparer.discard(recording.piece.copy if recording.piece else None)


def sweep_spool(
    waiting: Iterable[Recording],
    routes: Mapping[str, Route],
    *,
    unchanged_for: timedelta = timedelta(0),
) -> None:
    """Remove re-encoded copies that nobody needs; those of recordings that wait to be asked about stay."""
    needed = frozenset(
        copy.name
        for one in waiting
        for copy in (
            one.piece.copy if one.piece else None,
            one.staging.prepared if one.staging else None,
        )
        if copy is not None
    )
    for preparer in {id(route.preparer): route.preparer for route in routes.values()}.values():
        if preparer is not None:
            preparer.sweep(needed, unchanged_for=unchanged_for)
