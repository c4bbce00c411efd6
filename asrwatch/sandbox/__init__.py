"""A faithful local DashScope that really listens: the door to the sandbox for the command, demo and tests.

Importing it without the extra raises `StartupError`, which names what to install.
"""

from asrwatch.errors import StartupError

try:
    from asrwatch.sandbox.bill import Bill, Outcome, Work
    from asrwatch.sandbox.faults import Fault, Faults, Route, Wire
    from asrwatch.sandbox.knobs import (
        DEFAULT_KEY,
        Knobs,
        Layout,
        SilentSync,
        SilentTask,
        read_knobs,
    )
    from asrwatch.sandbox.models import Region
    from asrwatch.sandbox.pocket import PocketSphinx
    from asrwatch.sandbox.recogniser import Recogniser, Sound
    from asrwatch.sandbox.sample import LONG_SAMPLE, SAMPLES, SHORT_SAMPLE, Sample
    from asrwatch.sandbox.scripted import Said, Scripted
    from asrwatch.sandbox.server import Sandbox, serve
    from asrwatch.sandbox.traffic import Seen
except ModuleNotFoundError as error:
    if (error.name or "").startswith("asrwatch"):
        raise
    raise StartupError(
        f"The sandbox needs the Python package {error.name}, which is not installed.",
        code="extra-missing",
        advice="Install it with: pip install 'asrwatch[sandbox]'",
    ) from error

__all__ = [
    "DEFAULT_KEY",
    "LONG_SAMPLE",
    "SAMPLES",
    "SHORT_SAMPLE",
    "Bill",
    "Fault",
    "Faults",
    "Knobs",
    "Layout",
    "Outcome",
    "PocketSphinx",
    "Recogniser",
    "Region",
    "Route",
    "Said",
    "Sample",
    "Sandbox",
    "Scripted",
    "Seen",
    "SilentSync",
    "SilentTask",
    "Sound",
    "Wire",
    "Work",
    "read_knobs",
    "serve",
]
