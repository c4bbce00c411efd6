"""The places where a test may kill the process: all are named, all are in the code, all cost nothing."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

from asrwatch.crash import PLACES
from asrwatch.journey.recording import State

PACKAGE = Path(__file__).parent.parent / "asrwatch"


def _named(node: ast.expr) -> set[str]:
    """The names an argument of `crash_point` can take."""
    match node:
        case ast.Constant(value=str(name)):
            return {name}
        case ast.IfExp(body=body, orelse=orelse):
            return _named(body) | _named(orelse)
        case ast.JoinedStr(values=[ast.Constant(value=str(prefix)), ast.FormattedValue()]):
            return {f"{prefix}{state.value}" for state in State}
        case _:
            msg = f"crash_point takes a name that no test can find: {ast.unparse(node)}"
            raise AssertionError(msg)


@cache
def _called() -> dict[str, list[str]]:
    """Every name that the code passes, and the modules that do."""
    called: dict[str, list[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        if path.name == "crash.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "crash_point":
                for name in _named(node.args[0]):
                    called.setdefault(name, []).append(path.name)
    return called


def test_every_place_is_in_the_code() -> None:
    """At least forty places are named, and each stands in the code: no name is without its place, none unknown."""
    assert len(PLACES) >= 40
    assert set(_called()) == set(PLACES)


def test_every_place_stands_once() -> None:
    """A name means one place, so that a test which dies there knows what was true."""
    assert {name: where for name, where in _called().items() if len(where) > 1} == {}


def test_a_place_nobody_knows_is_refused() -> None:
    """A misspelt ASRWATCH_CRASH ends asrwatch at once, or a test would wait for a death that never comes."""
    program = "from asrwatch.crash import crash_point; crash_point('read')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"ASRWATCH_CRASH": "redd"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "ASRWATCH_CRASH names no place: redd\n")
