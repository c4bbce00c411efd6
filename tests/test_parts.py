import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from asrwatch import engines, formats, notifiers, parts, storages
from asrwatch.engines import Engine
from asrwatch.errors import OurBug
from asrwatch.formats import Format
from asrwatch.storages import Storage

A_PART = """
from asrwatch.formats import Format, FormatOptions

class Shout(Format[FormatOptions]):
    \"\"\"Loud.\"\"\"

    def render(self, transcript, provenance):
        return transcript.text.upper()
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """An empty package of parts."""
    (tmp_path / "loud_formats").mkdir()
    (tmp_path / "loud_formats" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("loud_formats")
    for name in [name for name in sys.modules if name.partition(".")[0] == "loud_formats"]:
        del sys.modules[name]


def add(package: ModuleType, name: str, text: str) -> None:
    """Drop a file into the package."""
    (Path(package.__path__[0]) / name).write_text(text)
    importlib.invalidate_caches()
    parts.names.cache_clear()


def test_parts_are_known_by_their_files() -> None:
    """The files of a package are its parts, a new one too; files that begin with an underscore are helpers."""
    for package in (engines, storages, formats, notifiers):
        files = {path.stem for path in Path(package.__path__[0]).glob("*.py")}
        of_parts = {name.replace("_", "-") for name in files if not name.startswith("_")}
        assert of_parts == set(parts.names(package))
    assert {"qwen3-asr-flash", "qwen3-asr-flash-filetrans"} <= set(parts.names(engines))


@pytest.mark.parametrize(
    ("package", "base"), [(engines, Engine), (formats, Format), (storages, Storage)]
)
def test_every_part_explains_itself(package: ModuleType, base: type[Any]) -> None:
    """Every part has one class with options that can be listed and a docstring whose first line says what it is."""
    for name in parts.names(package):
        part: type[Any] = parts.find(package, base, name)
        assert part.__name__ != base.__name__
        assert (part.__doc__ or "").strip().splitlines()[0].strip()
        schema = part.Options.model_json_schema()
        assert schema["type"] == "object"


def test_new_file_is_a_new_part(package: ModuleType) -> None:
    """A file dropped into a package is found by its name, with no second file touched."""
    add(package, "shout_it.py", A_PART)
    add(package, "_helper.py", "this is not even Python")
    assert parts.names(package) == ("shout-it",)
    part = parts.find(package, Format, "shout-it")  # type: ignore[type-abstract] # a base to look for
    assert part(part.Options()).name == "shout-it"


def test_unknown_part_is_a_key_error(package: ModuleType) -> None:
    """A name without a file is not found, nor is a helper or a name that only looks like a module."""
    add(package, "_helper.py", A_PART)
    for name in ("shout", "-helper", "_helper", "os.path", ""):
        with pytest.raises(KeyError):
            parts.find(package, Format, name)  # type: ignore[type-abstract] # a base to look for


@pytest.mark.parametrize("text", ["", A_PART + A_PART.replace("Shout", "Whisper")])
def test_part_is_exactly_one_class(package: ModuleType, text: str) -> None:
    """A file with none or two parts is our own bug and says so."""
    add(package, "shout.py", text)
    with pytest.raises(OurBug, match="must hold exactly one Format"):
        parts.find(package, Format, "shout")  # type: ignore[type-abstract] # a base to look for


def test_only_the_part_asked_for_is_imported(package: ModuleType) -> None:
    """A part that cannot be imported does not stand in the way of the others."""
    add(package, "shout.py", A_PART)
    add(package, "broken.py", "raise RuntimeError('never imported')")
    assert parts.find(package, Format, "shout").__name__ == "Shout"  # type: ignore[type-abstract] # a base to look for
    assert "loud_formats.broken" not in sys.modules
