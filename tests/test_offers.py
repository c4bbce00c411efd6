"""What another engine would cost is what it then costs, for recordings that are cut, too."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from fake_engine import FakeOptions, fake_cloud
from journey_helpers import a_recording
from test_daemon import Scripted as Quiet
from test_daemon import World

from asrwatch.audio.studio import Studio
from asrwatch.desk.another import offers
from asrwatch.engines.qwen3_asr_flash import FlashOptions, Qwen3AsrFlash
from asrwatch.journey.evidence import Answer, Reading
from asrwatch.journey.plan import AudioFacts, Plan, Wishes
from asrwatch.journey.preparing import Preparer
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Store


def test_cutting_and_channels_are_in_the_offer(tmp_path: Path, store: Store, now: datetime) -> None:
    """The price counts each channel and piece, and an answer to the whole is no answer to pieces: they are paid for."""
    engine = Qwen3AsrFlash(FlashOptions(), fake_cloud())
    made = World(root=tmp_path, engine=Quiet(FakeOptions(), fake_cloud()))
    route = replace(
        made.house(store).routes["inbox"],
        engines={engine.name: engine},
        preparer=Preparer(Studio(), tmp_path / "spool"),
        wishes=Wishes(split=True),
    )
    facts = AudioFacts(
        container="wav", duration=timedelta(seconds=40), channels=2, same_channels=False
    )
    plain = Plan(
        engine=engine.name,
        model=engine.options.model,
        options=engine.sent(Wishes()).options,
        channels=(0,),
    )
    asked = Reading(sha256="ab", facts=facts, plan=plain)
    done = store.add(replace(a_recording(State.SETTLED, now), id=0, reading=None))
    read = done.read(asked, now=now)
    store.save(done, read)
    store.save(read, read.hear(Answer(raw=b"{}", received_at=now), now=now))
    one = replace(route, wishes=Wishes())

    (whole,) = offers(_there(store, done), one, store)
    assert (whole.answered, whole.billed) == (True, timedelta(seconds=40))
    (cut,) = offers(_there(store, done), replace(one, cut=timedelta(seconds=20)), store)
    assert (cut.answered, cut.billed) == (False, timedelta(seconds=42))
    (apart,) = offers(_there(store, done), replace(route, cut=timedelta(seconds=20)), store)
    assert (apart.answered, apart.billed) == (False, timedelta(seconds=88))
    assert apart.price == 88 * (engine.price_per_second or Decimal(0))


def _there(store: Store, recording: Recording) -> Recording:
    found = store.get(recording.id)
    assert found is not None
    return found
