"""What the daemon works with: everything that the configuration names, as objects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asrwatch.clock import SYSTEM, Clock
from asrwatch.cloud import KeyRing
from asrwatch.engines import Engine
from asrwatch.inbox.lookout import Lookout
from asrwatch.journey.backups import BackupRules
from asrwatch.journey.book import Change
from asrwatch.journey.budget import Budget
from asrwatch.journey.herald import Wish
from asrwatch.journey.route import Route
from asrwatch.journey.store import Store
from asrwatch.notifiers import Notifier as MessageNotifier
from asrwatch.systemd import Notifier

__all__ = ["House"]


@dataclass(frozen=True, kw_only=True)
class House:
    """Everything the daemon works with, as objects (built by `bootstrap`).

    `workers` is how many paid requests are under way at once; at most as many other steps run beside them.
    `lookouts` makes an inbox's lookout from what is known already; `until_quiet` ends the daemon once
    everything there is has been dealt with (`asrwatch once`). `budget` is what may be asked for, in `currency`;
    `notifiers`, by key, are told what the `wishes` of the inboxes say; `reserve` is what must stay free on
    disks, None looks at none. `on_change` is told of recordings, `on_every_change` also of pieces of them.
    """

    store: Store
    routes: Mapping[str, Route]
    engines: Mapping[str, Engine[Any]]
    lookouts: Mapping[str, Callable[..., Lookout]]
    keys: KeyRing
    workers: int
    notifier: Notifier
    reserve: int | None = None
    backup: BackupRules | None = None
    budget: Budget = field(default=Budget())
    currency: str = ""
    until_quiet: bool = False
    on_change: Sequence[Callable[[Change], None]] = field(default=())
    on_every_change: Sequence[Callable[[Change], None]] = field(default=())
    notifiers: Mapping[str, MessageNotifier[Any]] = field(default_factory=dict)
    wishes: Sequence[Wish] = ()
    clock: Clock = SYSTEM
