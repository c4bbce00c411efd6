import ast
import functools
import re
from pathlib import Path

import pytest
from cli_helpers import asrwatch as asrwatch_command

import asrwatch
from asrwatch.config import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
SHELL = "".join(text for kind, text in BLOCKS if kind == "sh")
COMMANDS = sorted(
    set(re.findall(r"\basrwatch ([a-z]+)\b", SHELL + "".join(re.findall(r"`[^`]+`", README))))
)


def test_both_first_commands_stand_alone() -> None:
    """The two commands a newcomer copies stand on lines of their own, word for word."""
    lines = README.splitlines()
    for command in (
        "python3 -m venv .venv && .venv/bin/pip install '.[sandbox]' && .venv/bin/asrwatch demo",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[sandbox,test]' && .venv/bin/pytest",
    ):
        assert lines.count(command) == 1


def test_configuration_it_shows_loads(tmp_path: Path) -> None:
    """The configuration in the README is one."""
    (shown,) = [text for kind, text in BLOCKS if kind == "yaml"]
    file = tmp_path / "asrwatch.yaml"
    file.write_text(shown)
    assert len(load(file).inboxes) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_it_names_exist(command: str, tmp_path: Path) -> None:
    """Every `asrwatch COMMAND` in the README is a command, and its options there are its options."""
    ran = asrwatch_command(command, "--help", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    for line in SHELL.splitlines():
        if line.startswith(f"asrwatch {command} "):
            for option in re.findall(r"\s(--[a-z-]+)", line.partition(" #")[0]):
                assert option in ran.stdout, line


def test_python_it_shows_is_python() -> None:
    """The Python in the README parses, and calls only what asrwatch offers."""
    (shown,) = [text for kind, text in BLOCKS if kind == "python"]
    compile(shown, "README.md", "exec")
    for name in re.findall(r"asrwatch\.(\w+)", shown):
        assert hasattr(asrwatch, name)


def test_links_lead_somewhere() -> None:
    """Every file the README links to, or names by its path, is in the repository."""
    linked = re.findall(r"\]\(([^)#:]+)\)", README)
    named = list(re.findall(r"`((?:systemd|tests|asrwatch)/[\w./]*)`", README))
    for path in (*linked, *named):
        if "my_engine" not in path:
            assert (ROOT / path).exists(), path


@functools.cache
def rooms() -> list[list[str]]:
    """The rows of "The house": the paths each one names."""
    house = README.partition("## The house")[2].partition("\n## ")[0]
    rows = [line for line in house.splitlines() if line.startswith("| `")]
    return [re.findall(r"`(asrwatch/[\w./]*)`", row) for row in rows]


@functools.cache
def row_of(module: str) -> int | None:
    """In which row a module (its path) is at home: the longest path that leads to it."""
    found = [
        (len(path), number)
        for number, row in enumerate(rooms())
        for path in row
        if module == path or (path.endswith("/") and module.startswith(path))
    ]
    return max(found)[1] if found else None


def test_every_room_of_the_house_is_shown() -> None:
    """Every module has its room in "The house"; only the package's own doors stand outside."""
    outside = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "asrwatch").rglob("*.py")
        if row_of(path.relative_to(ROOT).as_posix()) is None
    }
    assert outside == {"asrwatch/__init__.py", "asrwatch/__main__.py"}


def imported(path: Path) -> set[str]:
    """The modules of ours that a module imports, anywhere in it, as paths."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("asrwatch"):
            base = (node.module or "").replace(".", "/")
            for place in (base, *(f"{base}/{alias.name}" for alias in node.names)):
                found |= {f"{place}.py", f"{place}/__init__.py"}
    return {module for module in found if (ROOT / module).is_file()}


def test_rooms_stand_in_the_order_of_imports() -> None:
    """No room imports from one that stands above it in "The house"."""
    upwards = set()
    for path in (ROOT / "asrwatch").rglob("*.py"):
        here = row_of(path.relative_to(ROOT).as_posix())
        for module in imported(path):
            there = row_of(module)
            if here is not None and there is not None and there < here:
                upwards.add((path.name, module))
    assert upwards == set()
