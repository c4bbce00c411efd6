"""Says things in the reader's language: English is the source, Chinese comes from a table.

For whoever writes a sentence: write plain English (constants, f-strings), as ever; it stays so in logs, database and
JSON. At the border to a person put `shown(text)` around it (`say` in cli/_printing, `show` and help do it already),
on the page `shown(text, language)`. `tests/words_gathering.py --missing` names sentences that `zh/*.json` lacks.

A row of the table is an English sentence as the code writes it, with {names} where values come, and its Chinese.
There `{name}` shows the value as it is, `{name*}` translates it, too, and `{name#}` is a number, date or duration.
"""

from functools import cache

from asrwatch.words.choosing import (
    LANGUAGES,
    Language,
    accepted,
    language,
    language_of,
    speaking,
    use,
)
from asrwatch.words.matching import Table
from asrwatch.words.tables import rows

__all__ = [
    "LANGUAGES",
    "Language",
    "accepted",
    "language",
    "language_of",
    "shown",
    "speaking",
    "use",
]


@cache
def _table() -> Table:
    return Table(rows())


def shown(text: str, in_: Language | None = None) -> str:
    """English text as a person reads it; what the table does not know stays English.

    Args:
        text: sentences, lists and remarks as the code composed them, file names in them included.
        in_: the language; the one that holds here (see `language`) where none is given.
    """
    return text if (in_ or language()) == "en" or not text else _table().shown(text)
