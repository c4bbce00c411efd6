"""Where a recording goes, and what would be sent."""

from dataclasses import replace
from typing import Any

from asrwatch.audio.diet import Upload, judge
from asrwatch.engines import Engine
from asrwatch.journey import channels, silence
from asrwatch.journey.dispatch import Candidate, Question, choose
from asrwatch.journey.plan import Plan, Preparation
from asrwatch.journey.route import Route

__all__ = ["candidate_of", "plan_for"]


def plan_for(question: Question, route: Route) -> Plan:
    """Decide where a recording goes and what would be sent.

    Raises:
        RecordingError: nowhere; the message says why.
    """
    able = route.can_encode and question.size is not None
    facts, wishes = question.facts, question.wishes
    chosen = channels.choose(wishes, facts, send_silence=route.send_silence)
    one_each = replace(wishes, channels=chosen.channels or (0,), split=False)
    question = replace(
        question,
        can_encode=able,
        can_publish=route.storage.copies,
        wishes=one_each,
        split=wishes.split,
    )
    wishes = one_each
    choice = choose(question, [candidate_of(engine) for engine in route.engines.values()])
    engine = route.engines[choice.engine]
    sent = engine.sent(channels.left_to_the_engine(wishes, choice.cut))
    plan = Plan(
        engine=choice.engine,
        model=engine.options.model,
        preparation=choice.preparation,
        cut=choice.cut,
        options=sent.options,
        left_out=sent.left_out,
        reasons=(
            *choice.reasons,
            *chosen.reasons,
            *channels.billing(
                facts,
                asked=len(wishes.channels),
                billed=channels.billed(choice.cut, engine.billed_channels(wishes)),
                can_split=engine.channels,
                cut=choice.cut,
            ),
        ),
        channels=wishes.channels,
    )
    unsent = silence.is_not_sent(facts, send_silence=route.send_silence) or not chosen.channels
    return silence.planned(plan) if unsent else _with_diet(plan, question, route)


def _with_diet(plan: Plan, question: Question, route: Route) -> Plan:
    """The plan, with what is uploaded and why where something is."""
    engine, size = route.engines[plan.engine], question.size
    uploads = not engine.takes_bytes and route.storage.copies
    if not uploads or not question.can_encode or size is None or route.preparer is None:
        return plan
    if plan.preparation is not Preparation.AS_IT_IS:
        return plan
    sent = max(question.wishes.channels) + 1 if engine.channels else 1
    verdict = judge(
        Upload(facts=question.facts, size=size, channels=sent, overlaps=route.storage.streams),
        route.diet,
        route.preparer.meter.speeds(),
    )
    return replace(
        plan,
        preparation=Preparation.DIET if verdict.codec else Preparation.AS_IT_IS,
        sends=verdict.sends,
        reasons=(*plan.reasons, verdict.reason),
    )


def candidate_of(engine: Engine[Any]) -> Candidate:
    """What the dispatcher needs to know of an engine."""
    return Candidate(
        name=engine.name,
        takes_bytes=engine.takes_bytes,
        base64=engine.base64,
        timestamps=engine.timestamps,
        channels=engine.channels,
        tasks=engine.tasks,
        automatic=engine.automatic,
        regions=engine.regions,
        containers=engine.containers,
        longest=engine.options.longest,
        longest_copy=engine.longest_copy,
        largest=engine.options.largest,
        codecs=engine.codecs,
        fastest_rate=engine.fastest_rate,
    )
