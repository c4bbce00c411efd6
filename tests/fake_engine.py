"""An engine of our own for tests: no cloud, answers by script."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from asrwatch.cloud import Cloud, KeyRing
from asrwatch.engines import Ask, Engine, EngineOptions, Heard, Pending, Sent
from asrwatch.journey.evidence import Answer
from asrwatch.journey.plan import Wishes
from asrwatch.journey.transcript import Transcript


class FakeOptions(EngineOptions):
    """Generous limits."""

    longest: timedelta = timedelta(hours=1)
    largest: int = 10**9
    requests_per_minute: int = 60_000
    model: str = "fake-model"


class FakeEngine(Engine[FakeOptions]):
    """Hears what it is told to; `asked` keeps what came."""

    Options: ClassVar[type[EngineOptions]] = FakeOptions
    takes_bytes = True
    timestamps = True
    channels = True
    tasks = False
    containers = frozenset({"wav"})
    fake_name = "some-engine"

    def __init__(self, options: FakeOptions, cloud: Cloud) -> None:
        super().__init__(options, cloud)
        self.asked: list[Ask] = []
        self.outcomes: list[Heard | Pending | Exception] = []

    @property
    def name(self) -> str:
        """As it was told."""
        return self.fake_name

    def sent(self, wishes: Wishes) -> Sent:
        """The language alone."""
        return Sent(options={"language": wishes.language} if wishes.language else {})

    def start(self, ask: Ask) -> Heard | Pending:
        """The next scripted outcome."""
        self.asked.append(ask)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def read(self, answer: Answer) -> Transcript:
        """The raw answer is the text."""
        return Transcript(text=answer.raw.decode(), billed=answer.billed)


EngineT = TypeVar("EngineT", bound=FakeEngine)


def fake_cloud(environment: Mapping[str, str] | None = None) -> Cloud:
    """A cloud nobody ever talks to."""
    keys = KeyRing(
        environment=environment or {"DASHSCOPE_API_KEY": "sk-fake"}, home=Path("/nowhere")
    )
    return Cloud(region="beijing", keys=keys, base_url="http://127.0.0.1:9")


def fake_engine(kind: type[EngineT], **options: Any) -> EngineT:
    """An engine of this kind."""
    return kind(FakeOptions(**options), fake_cloud())
