"""Another engine for a recording that is done with: what that would cost, and the asking."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from asrwatch import logs
from asrwatch.desk.questions import AskAnother
from asrwatch.desk.reports.treatment import Treated, Treatment
from asrwatch.desk.scene import Scene
from asrwatch.engines import Engine
from asrwatch.errors import RecordingError
from asrwatch.journey.channels import billed as billed_channels
from asrwatch.journey.channels import wished
from asrwatch.journey.cost import expected_bill, last_seconds_of
from asrwatch.journey.plan import Plan, purchase_key
from asrwatch.journey.planning import plan_for
from asrwatch.journey.recording import DONE, Recording, State
from asrwatch.journey.route import Route
from asrwatch.journey.store import Store
from asrwatch.values import printable

__all__ = ["Offer", "another", "offers"]

log = logs.get("desk")


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """What an engine would do with a recording: the audio it bills, and what that costs (None: nobody knows).

    `answered` says that it was asked the same before: its answer is delivered, for nothing. `refusal` is why it
    does not take the recording.
    """

    engine: str
    billed: timedelta = timedelta(0)
    price: Decimal | None = None
    answered: bool = False
    refusal: str = ""


def offers(recording: Recording, route: Route, store: Store) -> Iterator[Offer]:
    """Every engine there is in this region, but for those that the vendor has retired."""
    for _, engine in sorted(route.engines.items()):
        if engine.automatic and (not engine.regions or route.region in engine.regions):
            yield _offer(recording, route, engine, store)


def another(scene: Scene, question: AskAnother, now: datetime) -> Treatment:
    """Have a recording that is done with transcribed by another engine; its transcript stays until then.

    Whether its file is still there is for the asker to have found out: this thread waits for no share.
    """
    recording = scene.store.get(question.recording)
    refusal = _why_not(scene, recording, question.engine)
    if recording is None or refusal:
        path = recording.path if recording else b""
        treated = Treated(path=path, done=False, what=refusal)
        return Treatment(running=scene.daemon is not None, treated=(treated,), done=0, refused=1)
    again = recording.ask_another(question.engine, now=now)
    was_parked = recording.state is State.PARKED
    note = f"a person asked for {question.engine}"
    scene.store.save(recording, again, note=note, outcome="again" if was_parked else "")
    log.info("asked-another", recording=recording.id, engine=question.engine, was=recording.state)
    what = f"It goes to {question.engine}, from the file on."
    treated = Treated(path=recording.path, done=True, what=what)
    return Treatment(running=scene.daemon is not None, treated=(treated,), done=1, refused=0)


def _why_not(scene: Scene, recording: Recording | None, name: str) -> str:
    """Why it must be left as it is; empty where it need not."""
    if recording is None:
        return "There is no such recording any more."
    routes = scene.daemon.house.routes if scene.daemon else {}
    route = routes.get(recording.inbox)
    if route is None:
        return "Its inbox is not in the configuration."
    engine = route.engines.get(name)
    if engine is None:
        return f"There is no engine called {printable(name)!r}."
    if (
        recording.state not in DONE
        or scene.is_under_way(recording)
        or scene.store.in_flight(recording.id)
    ):
        return "It is under way at this moment; wait for how it ends."
    latest = scene.store.latest_at(recording.path)
    if latest is None or latest.id != recording.id:
        return "Its file holds other content by now, which is a recording of its own."
    return _offer(recording, route, engine, scene.store).refusal


def _offer(recording: Recording, route: Route, engine: Engine[Any], store: Store) -> Offer:
    reading = recording.reading
    if reading is None:
        return Offer(engine=engine.name, price=None, refusal="It could not be read.")
    size = recording.fingerprint.size
    question = route.question(reading.facts, size, engine=engine.name)
    try:
        plan: Plan = plan_for(question, route)
    except RecordingError as error:
        return Offer(engine=engine.name, refusal=error.message)
    channels = billed_channels(plan.cut, engine.billed_channels(wished(route.wishes, plan)))
    billed = expected_bill(reading.facts, size, longest=engine.options.longest, channels=channels)
    billed += last_seconds_of(plan, reading.facts)
    price = engine.price_per_second
    return Offer(
        engine=engine.name,
        billed=billed,
        price=None if price is None else price * math.ceil(billed.total_seconds()),
        answered=store.answer_for(purchase_key(reading.sha256, plan)) is not None,
    )
