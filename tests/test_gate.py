"""When an engine may be asked."""

from datetime import UTC, datetime, timedelta

import pytest

from asrwatch.errors import EngineError, EngineTrouble
from asrwatch.journey.gate import Gate
from asrwatch.journey.store import EVERY_ENGINE

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def _gate() -> Gate:
    return Gate({"fast": 6000, "slow": 60}, (), chance=lambda: 0.5)


def _error(trouble: EngineTrouble, retry_after: timedelta | None = None) -> EngineError:
    return EngineError("No.", code="c", trouble=trouble, retry_after=retry_after)


def _refuse(
    gate: Gate, trouble: EngineTrouble, *, now: datetime = NOW, asked: datetime = NOW
) -> None:
    gate.refuse("slow", _error(trouble), now=now, asked_at=asked, key_digest="k1")


def test_requests_per_minute_become_evenly_spaced_dates() -> None:
    """Sixty a minute is one a second, from the first request on (contract section 8)."""
    gate = _gate()
    gate.take("slow", NOW)
    assert not gate.is_open("slow", NOW + SECOND / 2)
    opens = gate.opens(NOW)
    assert opens is not None
    assert NOW + SECOND * 0.9 < opens <= NOW + SECOND
    assert gate.is_open("slow", opens)
    assert gate.is_open("slow", NOW + SECOND)
    assert gate.is_open("fast", NOW)


def test_a_pause_does_not_save_up_requests() -> None:
    """After an hour of rest the next two requests still keep their distance."""
    gate = _gate()
    gate.take("slow", NOW)
    later = NOW + timedelta(hours=1)
    gate.take("slow", later)
    assert not gate.is_open("slow", later)


@pytest.mark.parametrize("trouble", list(EngineTrouble))
def test_a_refusal_holds_the_engine_until_a_date(trouble: EngineTrouble) -> None:
    """A held engine is closed until its date, then open for one probe."""
    gate = _gate()
    _refuse(gate, trouble)
    hold = gate.holds[0]
    assert not gate.is_open("slow", NOW + SECOND)
    assert gate.is_open("slow", hold.until)
    gate.take("slow", hold.until)
    assert not gate.is_open("slow", hold.until + timedelta(hours=9))


@pytest.mark.parametrize(
    ("trouble", "closed"), [(EngineTrouble.KEY, True), (EngineTrouble.DOWN, False)]
)
def test_a_bad_key_holds_every_engine(trouble: EngineTrouble, closed: bool) -> None:
    """What lies in the key or the account holds all engines, what lies in an engine only itself."""
    gate = _gate()
    _refuse(gate, trouble)
    assert gate.is_open("fast", NOW + SECOND) is not closed
    assert (gate.holds[0].scope == EVERY_ENGINE) is closed


def test_a_successful_probe_lifts_the_hold() -> None:
    """One request that goes through opens the engine for all."""
    gate = _gate()
    _refuse(gate, EngineTrouble.THROTTLED)
    until = gate.holds[0].until
    gate.take("slow", until)
    assert [hold.scope for hold in gate.succeed("slow", now=until, asked_at=until)] == ["slow"]
    assert gate.is_open("slow", until + SECOND)


def test_a_failed_probe_holds_longer() -> None:
    """Each refused probe doubles the wait."""
    gate = _gate()
    _refuse(gate, EngineTrouble.THROTTLED)
    first = gate.holds[0].until - NOW
    gate.take("slow", NOW + first)
    _refuse(gate, EngineTrouble.THROTTLED, now=NOW + first, asked=NOW + first)
    assert gate.holds[0].until - (NOW + first) == first * 2
    assert gate.holds[0].count == 2


def test_requests_that_were_under_way_do_not_lengthen_a_hold() -> None:
    """Eight workers refused at the same moment are one refusal, not eight doublings."""
    gate = _gate()
    for _ in range(8):
        _refuse(gate, EngineTrouble.THROTTLED, asked=NOW - SECOND)
    assert gate.holds[0].count == 1


def test_a_changed_key_lifts_the_hold_of_the_old_one() -> None:
    """A corrected key heals at once, without waiting for the probe's date."""
    gate = _gate()
    _refuse(gate, EngineTrouble.KEY)
    assert gate.key_changed("k1") == ()
    assert len(gate.key_changed("k2")) == 1
    assert gate.is_open("slow", NOW)


def test_a_key_that_cannot_be_read_lifts_nothing() -> None:
    """A key file that is away for a moment is no other key; nor is the hold of a probe without one another's."""
    gate = _gate()
    _refuse(gate, EngineTrouble.KEY)
    assert gate.key_changed(None) == ()
    later = gate.holds[0].until
    gate.take("slow", later)
    gate.refuse("slow", _error(EngineTrouble.KEY), now=later, asked_at=later, key_digest=None)
    assert gate.key_changed("k1") == ()
    assert len(gate.key_changed("k2")) == 1


def test_a_changed_key_does_not_lift_throttling() -> None:
    """Holds that are not the key's fault stay."""
    gate = _gate()
    _refuse(gate, EngineTrouble.THROTTLED)
    assert gate.key_changed("k2") == ()


def test_an_absurd_retry_after_is_bounded() -> None:
    """A cloud that asks for thirty years gets minutes [A04]."""
    gate = _gate()
    error = _error(EngineTrouble.THROTTLED, retry_after=timedelta(days=11_000))
    hold = gate.refuse("slow", error, now=NOW, asked_at=NOW, key_digest=None)
    assert hold is not None
    assert hold.until <= NOW + timedelta(minutes=5)


def test_a_probe_that_tells_nothing_makes_room_for_another() -> None:
    """A probe that failed for the recording's own sake does not leave the engine closed for ever."""
    gate = _gate()
    _refuse(gate, EngineTrouble.DOWN)
    until = gate.holds[0].until
    gate.take("slow", until)
    gate.give_up_probe("slow")
    assert gate.is_open("slow", until + SECOND)


def test_a_person_may_open_the_gate() -> None:
    """After a retry by hand the next request goes out as a probe at once."""
    gate = _gate()
    _refuse(gate, EngineTrouble.MONEY)
    gate.open_now(NOW)
    assert gate.is_open("slow", NOW)


@pytest.mark.parametrize(
    ("first", "then"),
    [(EngineTrouble.DOWN, EngineTrouble.MONEY), (EngineTrouble.KEY, EngineTrouble.DOWN)],
)
def test_a_probe_refused_for_another_reason_ends_too(
    first: EngineTrouble, then: EngineTrouble
) -> None:
    """A probe of the engine that is answered "no money", or the other way round, does not close it for ever."""
    gate = _gate()
    _refuse(gate, first)
    until = gate.holds[0].until
    gate.take("slow", until)
    _refuse(gate, then, now=until, asked=until)
    latest = max(hold.until for hold in gate.holds)
    assert not gate.is_open("slow", until)
    assert gate.is_open("slow", latest + SECOND)
