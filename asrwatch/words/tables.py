"""Reads the Chinese table: one JSON file per room, English sentence -> Chinese, for a translator to edit."""

import json
from collections.abc import Mapping
from pathlib import Path

__all__ = ["FOLDER", "rows"]

FOLDER = Path(__file__).parent / "zh"


def rows(folder: Path = FOLDER) -> Mapping[str, str]:
    """Every row of every file; rows that nobody has translated yet (empty) are left out."""
    read: dict[str, str] = {}
    for file in sorted(folder.glob("*.json")):
        read |= json.loads(file.read_text(encoding="utf-8"))
    return {english: chinese for english, chinese in read.items() if chinese}
