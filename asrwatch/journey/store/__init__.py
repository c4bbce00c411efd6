"""The only SQL: recordings and their stories, answers paid for, the ledger of asks, and holds."""

from asrwatch.journey.store.database import RESERVE, StoreTrouble
from asrwatch.journey.store.listing import Listed, Page, Wanted
from asrwatch.journey.store.money import EVERY_ENGINE, Bought, Hold, Ledger
from asrwatch.journey.store.reading import Reader, Readers
from asrwatch.journey.store.recordings import STEPS_LEFT, Event, Store
from asrwatch.journey.store.tries import Suspect

__all__ = [
    "EVERY_ENGINE",
    "RESERVE",
    "STEPS_LEFT",
    "Bought",
    "Event",
    "Hold",
    "Ledger",
    "Listed",
    "Page",
    "Reader",
    "Readers",
    "Store",
    "StoreTrouble",
    "Suspect",
    "Wanted",
]
