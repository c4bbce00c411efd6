"""The only SQL: recordings and their stories, answers paid for, the ledger of asks, and holds."""

from asrwatch.journey.store.database import RESERVE, StoreTrouble
from asrwatch.journey.store.money import EVERY_ENGINE, Bought, Hold, Ledger
from asrwatch.journey.store.outbox import Figures, Letter, Receiver
from asrwatch.journey.store.recordings import STEPS_LEFT, Event, Store
from asrwatch.journey.store.tries import Suspect

__all__ = [
    "EVERY_ENGINE",
    "RESERVE",
    "STEPS_LEFT",
    "Bought",
    "Event",
    "Figures",
    "Hold",
    "Ledger",
    "Letter",
    "Receiver",
    "Store",
    "StoreTrouble",
    "Suspect",
]
