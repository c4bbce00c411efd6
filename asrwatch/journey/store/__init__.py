"""The only SQL: recordings and their stories, answers paid for, the ledger of asks, and holds."""

from asrwatch.journey.store.database import RESERVE, StoreTrouble
from asrwatch.journey.store.due import STEPS_LEFT
from asrwatch.journey.store.lately import Happened
from asrwatch.journey.store.listing import Day, Listed, Page, Place, Wanted
from asrwatch.journey.store.money import EVERY_ENGINE, Bought, Hold, Ledger
from asrwatch.journey.store.outbox import DayFigures, Letter, Receiver
from asrwatch.journey.store.reading import SEARCH_DAMAGED, Reader, Readers
from asrwatch.journey.store.recordings import Event, Store
from asrwatch.journey.store.said import MOST_RANKED, Finding, Hit
from asrwatch.journey.store.searching import Excerpt, Fragment, Search
from asrwatch.journey.store.tries import Suspect

__all__ = [
    "EVERY_ENGINE",
    "MOST_RANKED",
    "RESERVE",
    "SEARCH_DAMAGED",
    "STEPS_LEFT",
    "Bought",
    "Day",
    "DayFigures",
    "Event",
    "Excerpt",
    "Finding",
    "Fragment",
    "Happened",
    "Hit",
    "Hold",
    "Ledger",
    "Letter",
    "Listed",
    "Page",
    "Place",
    "Reader",
    "Readers",
    "Receiver",
    "Search",
    "Store",
    "StoreTrouble",
    "Suspect",
    "Wanted",
]
