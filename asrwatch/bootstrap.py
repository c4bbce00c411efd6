"""The only place where names from the configuration become objects."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from asrwatch import engines, formats, logs, notifiers, parts, storages
from asrwatch.audio.studio import INSTALL_CODECS, WITHOUT_CODECS, Studio
from asrwatch.cloud import Cloud, KeyRing
from asrwatch.cloud.regions import currency_of
from asrwatch.config import AUTOMATIC, InboxSettings, PartChoice, Settings
from asrwatch.daemon import Daemon, House
from asrwatch.engines import Engine
from asrwatch.errors import ConfigError, Problem, StartupError
from asrwatch.formats import Format
from asrwatch.inbox.caching import least_settle
from asrwatch.inbox.lookout import InboxView, Lookout
from asrwatch.inbox.mounts import file_system_of, find_mount, is_network, mounts_here
from asrwatch.inbox.presence import Presence
from asrwatch.journey.backups import BackupRules
from asrwatch.journey.book import Change
from asrwatch.journey.budget import Allowance, Budget
from asrwatch.journey.delivery import Rules
from asrwatch.journey.herald import Wish
from asrwatch.journey.plan import Wishes
from asrwatch.journey.preparing import Preparer
from asrwatch.journey.recording import State
from asrwatch.journey.route import Route
from asrwatch.journey.source import Care
from asrwatch.journey.speeds import FILE as SPEEDS
from asrwatch.journey.speeds import Speedometer
from asrwatch.journey.spool import FOLDER, Spool
from asrwatch.journey.store import Store
from asrwatch.notifiers import Notifier as MessageNotifier
from asrwatch.notifiers import Surroundings
from asrwatch.storages import Storage
from asrwatch.systemd import Notifier
from asrwatch.values import format_duration, printable

__all__ = [
    "Parts",
    "budget_of",
    "build_cloud",
    "build_daemon",
    "build_engine",
    "build_format",
    "build_notifiers",
    "build_parts",
    "build_storage",
    "open_store",
]

log = logs.get("bootstrap")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """Every part the settings name, as objects: the engines all inboxes share, and a route per inbox."""

    cloud: Cloud
    engines: Mapping[str, Engine[Any]]
    routes: Mapping[str, Route]
    spool: Spool


def build_cloud(settings: Settings, *, spool: Spool | None = None) -> Cloud:
    """The way to DashScope; with `spool`, answers to paid requests are kept there before they are read.

    Raises:
        ConfigError: a base URL or proxy that cannot be one.
    """
    cloud = settings.cloud
    keys = KeyRing(
        api_key_file=cloud.api_key_file,
        environment=os.environ,
        home=Path.home(),
        noticed=logs.register_secret,
    )
    return Cloud(
        region=cloud.region,
        base_url=cloud.base_url,
        keys=keys,
        trusted_hosts=cloud.trusted_hosts,
        proxy=cloud.proxy,
        connect_timeout=cloud.connect_timeout,
        workspace=cloud.workspace,
        spool=spool,
    )


def build_engine(settings: Settings, cloud: Cloud, choice: PartChoice) -> Engine[Any]:
    """An engine with its shipped options, the configuration's, and the choice's own, in that order."""
    part: type[Engine[Any]] = parts.find(engines, Engine, choice.use)  # type: ignore[type-abstract] # a base to look for
    options = {**(settings.engines.get(choice.use) or {}), **choice.options}
    return part(part.Options.model_validate(options), cloud)


def build_storage(settings: Settings, cloud: Cloud) -> Storage[Any]:
    """The way the cloud reaches local files."""
    part: type[Storage[Any]] = parts.find(storages, Storage, settings.storage.use)  # type: ignore[type-abstract] # a base to look for
    return part(part.Options.model_validate(dict(settings.storage.options)), cloud)


def build_format(choice: PartChoice) -> Format[Any]:
    """A transcript format with the choice's options."""
    part: type[Format[Any]] = parts.find(formats, Format, choice.use)  # type: ignore[type-abstract] # a base to look for
    return part(part.Options.model_validate(dict(choice.options)))


def build_notifiers(
    settings: Settings,
) -> tuple[Mapping[str, MessageNotifier[Any]], tuple[Wish, ...]]:
    """The notifiers of all inboxes, by key, and what each inbox wants them to be told.

    Raises:
        ConfigError: two inboxes name one address with different options of its own.
    """
    built: dict[str, MessageNotifier[Any]] = {}
    wishes: list[Wish] = []
    problems: list[Problem] = []
    around = Surroundings(noticed=logs.register_secret)
    for n, inbox in enumerate(settings.inboxes):
        for m, choice in enumerate(inbox.notify):
            part: type[MessageNotifier[Any]] = parts.find(
                notifiers,
                MessageNotifier,  # type: ignore[type-abstract] # a base to look for
                choice.use,
            )
            made = part(part.Options.model_validate(dict(choice.options)), around)
            first = built.setdefault(made.key, made)
            if first.own_options != made.own_options:
                what = f"{made.label} stands elsewhere with other options; write the same ones in both places"
                problems.append(Problem(where=f"inboxes[{n}].notify[{m}]", what=what))
            elif any((wish.inbox, wish.key) == (inbox.name, made.key) for wish in wishes):
                what = f"{made.label} stands in this list already; name all occasions in one `on:`"
                problems.append(Problem(where=f"inboxes[{n}].notify[{m}]", what=what))
            wishes.append(
                Wish(inbox=inbox.name, key=made.key, label=made.label, options=made.options)
            )
    if problems:
        raise ConfigError(problems, source=settings.source)
    return built, tuple(wishes)


def build_parts(settings: Settings) -> Parts:
    """Every engine there is, and for every inbox its route."""
    spool = Spool(settings.state_dir / FOLDER)
    cloud = build_cloud(settings, spool=spool)
    shared = {
        name: build_engine(settings, cloud, PartChoice(use=name)) for name in parts.names(engines)
    }
    reach = build_storage(settings, cloud)
    meter = Speedometer(settings.state_dir / SPEEDS)
    preparer = Preparer(Studio(), settings.state_dir / "spool", meter)
    if not preparer.can_encode:
        log.warning("no-codecs", error=WITHOUT_CODECS, advice=INSTALL_CODECS)
    routes = {
        inbox.name: _route(inbox, settings, cloud, shared, reach, preparer=preparer)
        for inbox in settings.inboxes
    }
    return Parts(cloud=cloud, engines=shared, routes=routes, spool=spool)


def _route(
    inbox: InboxSettings,
    settings: Settings,
    cloud: Cloud,
    shared: Mapping[str, Engine[Any]],
    storage: Storage[Any],
    *,
    preparer: Preparer,
) -> Route:
    written = {choice.use: build_format(choice) for choice in inbox.formats}
    named = None if inbox.engine.use == AUTOMATIC else inbox.engine.use
    own = {named: build_engine(settings, cloud, inbox.engine)} if named else {}
    return Route(
        inbox=inbox.name,
        region=cloud.region,
        wishes=Wishes(
            language=inbox.language,
            context=inbox.context,
            words=inbox.words,
            timestamps=any(part.timestamps for part in written.values()),
            channels=inbox.channels or (0,),
            split=inbox.split,
            speakers=inbox.speakers,
        ),
        engine=named,
        engines={**shared, **own},
        storage=storage,
        formats=written,
        rules=_rules(inbox),
        presence=Presence(root=inbox.root, marker=inbox.marker, stays=inbox.after == "keep"),
        patience=inbox.patience,
        park_unknown=inbox.unknown == "park",
        preparer=preparer,
        send_silence=inbox.send_silence,
        diet=inbox.diet,
        care=Care(root=inbox.root, foreign_links=inbox.hard_links == "any"),
        rest_within=inbox.wait_for_rest,
        error_notes=inbox.error_notes,
        skip_marker=inbox.skip_marker,
        longest=inbox.longest,
        cut=inbox.cut.target if inbox.cut else None,
    )


def _rules(inbox: InboxSettings) -> Rules:
    move_to = inbox.move_to
    after: Any = os.fsencode(move_to) if move_to else inbox.after
    output: Any = os.fsencode(inbox.output) if isinstance(inbox.output, Path) else inbox.output
    return Rules(
        inbox=inbox.root,
        output=output,
        formats=tuple(choice.use for choice in inbox.formats),
        after=after,
        portable=inbox.portable_names,
    )


def open_store(settings: Settings) -> Store:
    """The state, locked for this process.

    Raises:
        StartupError: in use, unusable, or on a network file system.
    """
    file_system = file_system_of(os.fsencode(settings.state_dir))
    if is_network(file_system):
        raise StartupError(
            f"The state folder {printable(str(settings.state_dir))} lies on a network file system "
            f"({file_system}), where SQLite loses or corrupts data.",
            code="state-dir",
            advice="Set state_dir to a folder on a local disk; inboxes and outputs may stay on the share.",
        )
    return Store(settings.state_dir)


def budget_of(settings: Settings) -> Budget:
    """What may be asked for."""
    day, month = settings.budget.day, settings.budget.month
    return Budget(
        day=Allowance(audio=day.audio, money=day.money),
        month=Allowance(audio=month.audio, money=month.money),
    )


def build_daemon(
    settings: Settings,
    store: Store,
    built: Parts,
    *,
    until_quiet: bool = False,
    on_change: Sequence[Callable[[Change], None]] = (),
    notifier: Notifier | None = None,
) -> Daemon:
    """The daemon with everything it works with."""
    built.spool.sweep(
        {
            recording.staging.ask_id
            for recording in store.in_state(State.ASKING, State.PARKED, pieces=True)
            if recording.staging is not None
        }
    )
    told, wishes = build_notifiers(settings)
    return Daemon(
        House(
            notifiers=told,
            wishes=wishes,
            store=store,
            routes=built.routes,
            engines=built.engines,
            lookouts={
                inbox.name: partial(Lookout, _view(inbox, built)) for inbox in settings.inboxes
            },
            keys=built.cloud.keys,
            workers=settings.workers,
            budget=budget_of(settings),
            currency=currency_of(settings.cloud.region),
            notifier=notifier or Notifier.from_environment(),
            reserve=settings.reserve,
            backup=BackupRules(every=settings.backup.every, keep=settings.backup.keep)
            if settings.backup and not until_quiet
            else None,
            until_quiet=until_quiet,
            on_change=on_change,
            on_every_change=(partial(_let_go, built.spool),),
        )
    )


def _let_go(spool: Spool, change: Change) -> None:
    """An answer whose outcome is in the database need not be kept beside it; a person may want to see a parked one."""
    before = change.before
    if (
        before is not None
        and before.staging is not None
        and before.state in {State.ASKING, State.PARKED}
        and change.after.state not in {State.ASKING, State.PARKED}
    ):
        spool.drop(before.staging.ask_id)


def _settle(inbox: InboxSettings) -> timedelta:
    """The inbox's quiet time, or the shortest that can be believed on its share; found without touching that."""
    path = os.fsencode(os.path.abspath(inbox.path))  # noqa: PTH100 - resolve() would ask the share
    mount = find_mount(path, mounts_here())
    least = least_settle(mount)
    if mount is not None and inbox.settle < least:
        log.warning(
            "settle-raised",
            inbox=inbox.name,
            settle=format_duration(least),
            reason=f"{mount.file_system} may show a file's size and date for half of that after they changed",
        )
    return max(inbox.settle, least)


def _view(inbox: InboxSettings, built: Parts) -> InboxView:
    return InboxView(
        name=inbox.name,
        ignore=inbox.ignore_rule(),
        recursive=inbox.recursive,
        watch=inbox.watch,
        settle=_settle(inbox),
        scan_every=inbox.scan_every,
        empty_for=inbox.wait_for_rest,
        presence=built.routes[inbox.name].presence,
        at_once=inbox.at_once,
    )
